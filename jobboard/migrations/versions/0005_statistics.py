"""SQLite is told what a database looks like that has grown.

Its planner knows sizes only where someone runs ANALYZE, which nobody does; without them it reads, for one, all jobs that
have ended to find the oldest. So it gets those of a database with a million jobs, in the table that ANALYZE would fill.
PostgreSQL gathers them by itself.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# Rows of the index, and how many of them are alike in the first column, in the first two, and so on.
_SIZES = {
    "jobs": {
        "sqlite_autoindex_jobs_1": "1000000 1",
        "jobs_state": "1000000 150000 1",
        "jobs_flow_state": "1000000 90000 20000 1",
        "jobs_key": "24000 1",
        "jobs_finished": "750000 1 1",
        "jobs_pending": "240000 1",
        "jobs_unposted": "120000 13000 2600 1 1",
        "jobs_limited": "60000 12000 3000 1 1",
        "jobs_limited_posted": "1000 100",
        "jobs_due": "180000 18000 1",
        "jobs_posting": "60000 1",
        "jobs_owner": "800 8",
    },
    "attempts": {"sqlite_autoindex_attempts_1": "1000000 1 1"},
    "events": {"events_job": "10000000 10 5 1"},
    "postings": {
        "sqlite_autoindex_postings_1": "60000 1",
        "postings_ours": "60000 60000 10000 3000 1",
        "postings_others": "1000 20 5 1",
        "postings_held": "800 8",
        "postings_job": "60000 40",  # those of TaskFlow users, which have none, are alike
    },
    "logbooks": {"sqlite_autoindex_logbooks_1": "200000 1"},
    "flowdetails": {"sqlite_autoindex_flowdetails_1": "200000 1", "flowdetails_parent": "200000 1"},
    "atomdetails": {"sqlite_autoindex_atomdetails_1": "800000 1", "atomdetails_parent": "800000 4"},
}
_LOAD = "ANALYZE sqlite_master"  # also makes the table, if there is none


def upgrade() -> None:
    if not _is_sqlite():
        return
    op.execute(_LOAD)
    _forget()
    rows = [{"t": table, "i": index, "s": size} for table, sizes in _SIZES.items() for index, size in sizes.items()]
    op.get_bind().execute(sa.text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:t, :i, :s)"), rows)
    op.execute(_LOAD)


def downgrade() -> None:
    if _is_sqlite():
        _forget()
        op.execute(_LOAD)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _forget() -> None:
    rows = [{"t": table} for table in _SIZES]
    op.get_bind().execute(sa.text("DELETE FROM sqlite_stat1 WHERE tbl = :t"), rows)
