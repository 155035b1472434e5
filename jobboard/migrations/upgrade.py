"""Brings a database to the newest schema: TaskFlow's tables first, ours after, in one transaction."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from jobboard import schema
from jobboard.errors import DatabaseTooNew

_LOCK = 0x636F756E7465  # PostgreSQL's advisory lock of ours; any number that others do not use
_alembic = threading.Lock()  # it keeps what it works on in globals


def upgrade(connection: sa.Connection) -> None:
    """Bring the database up to date, in the caller's transaction. Blocks while another process does.

    Raises `DatabaseTooNew` for a database of a newer program.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    stored = stored_version(connection)
    if stored == schema.VERSION:
        return  # another process was first
    if stored is not None and stored > schema.VERSION:
        raise DatabaseTooNew(
            f"the database has schema {stored}, this program knows {schema.VERSION}: upgrade countermand here"
        )
    with _alembic:
        _upgrade_taskflow(connection)
        _upgrade_ours(connection)


def stored_version(connection: sa.Connection) -> str | None:
    """The migration the database stands at; None for a database without our tables."""
    if not sa.inspect(connection).has_table(schema.VERSION_TABLE):
        return None
    table = sa.table(schema.VERSION_TABLE, sa.column("version_num", sa.String))
    version: str | None = connection.execute(sa.select(table.c.version_num)).scalar()
    return version


def _upgrade_taskflow(connection: sa.Connection) -> None:
    # Imported here: alembic costs 0.1 s, and a database is migrated once.
    from taskflow.persistence.backends.sqlalchemy import migration, tables

    if connection.dialect.name == "postgresql":
        migration.db_sync(connection)
        return
    # As TaskFlow's own backend does: its migrations do not run on SQLite.
    metadata = sa.MetaData()
    tables.fetch(metadata)
    metadata.create_all(connection)


def _upgrade_ours(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
