"""What waits is found by its flow: a conductor feeds only what it can run, and asks when the next of that is due."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_WAITING = "posting IS NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'paused', 'revert_failed'))"
_UNLIMITED = f"{_WAITING} AND (state != 'pending' OR max_running IS NULL)"


def upgrade() -> None:
    op.drop_index("jobs_unposted", "jobs")
    _create("jobs_unposted", ["flow", "priority", "due_at", "id"], _UNLIMITED)
    _create("jobs_due", ["flow", "due_at"], _WAITING)


def downgrade() -> None:
    op.drop_index("jobs_due", "jobs")
    op.drop_index("jobs_unposted", "jobs")
    _create("jobs_unposted", ["priority", "due_at", "id"], _UNLIMITED)


def _create(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "jobs", columns, postgresql_where=where, sqlite_where=where)
