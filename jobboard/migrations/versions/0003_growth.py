"""Indexes for a million records: of what waits, each alone by what it waits for; none of what only some rows have."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_WAITING = "posting IS NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'paused', 'revert_failed'))"
_FREE = "session IS NULL AND trashed_at IS NULL"
_OLD = (
    ("jobs_unposted", "jobs", ["priority", "due_at", "id"], _WAITING),
    ("jobs_finished", "jobs", ["finished_at"], None),
    ("jobs_flow", "jobs", ["flow", "id"], None),
    ("postings_free", "postings", ["board", "priority", "seq"], _FREE),
)
_NEW = (
    (
        "jobs_unposted",
        "jobs",
        ["priority", "due_at", "id"],
        f"{_WAITING} AND (state != 'pending' OR max_running IS NULL)",
    ),
    (
        "jobs_limited",
        "jobs",
        ["flow", "priority", "due_at", "id"],
        f"{_WAITING} AND state = 'pending' AND max_running IS NOT NULL",
    ),
    ("jobs_limited_posted", "jobs", ["flow"], "posting IS NOT NULL AND max_running IS NOT NULL"),
    ("jobs_pending", "jobs", ["due_at"], "state = 'pending'"),
    ("jobs_finished", "jobs", ["finished_at", "id"], "finished_at IS NOT NULL"),
    ("postings_ours", "postings", ["board", "name", "priority", "seq"], f"{_FREE} AND job IS NOT NULL"),
    ("postings_others", "postings", ["board", "priority", "seq"], f"{_FREE} AND job IS NULL"),
)


def upgrade() -> None:
    _change(_OLD, _NEW)


def downgrade() -> None:
    _change(_NEW, _OLD)


def _change(old: Any, new: Any) -> None:
    for name, table, _columns, _condition in old:
        op.drop_index(name, table)
    for name, table, columns, condition in new:
        where = sa.text(condition) if condition else None
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)
