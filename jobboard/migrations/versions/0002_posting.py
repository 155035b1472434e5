"""An index of records by their posting: a claim finds them by it, and the reconciler goes round them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_POSTED = sa.text("posting IS NOT NULL")


def upgrade() -> None:
    op.create_index("jobs_posting", "jobs", ["posting"], postgresql_where=_POSTED, sqlite_where=_POSTED)


def downgrade() -> None:
    op.drop_index("jobs_posting", table_name="jobs")
