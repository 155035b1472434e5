"""Alembic's entry: runs the migrations on the connection, and in the transaction, that `upgrade` passes."""

from __future__ import annotations

from alembic import context

from jobboard import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.VERSION_TABLE,
)
context.run_migrations()
