"""An index of what waits by its time alone: for who only asks whether anything is due, or when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_WAITING = sa.text(
    "posting IS NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'paused', 'revert_failed'))"
)


def upgrade() -> None:
    op.create_index("jobs_due", "jobs", ["due_at"], postgresql_where=_WAITING, sqlite_where=_WAITING)


def downgrade() -> None:
    op.drop_index("jobs_due", "jobs")
