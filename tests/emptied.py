"""One PostgreSQL database for many tests, emptied for each: a tenth of the time that a new one takes.

For tests that leave the schema as it is. Modules and folders override the fixture `postgresql_url` with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from jobboard.schema import VERSION_TABLE

if TYPE_CHECKING:
    from tests.servers import PostgreSQL

_KEPT = f"('{VERSION_TABLE}', 'alembic_version')"
_urls: WeakKeyDictionary[PostgreSQL, str] = WeakKeyDictionary()


def emptied(server: PostgreSQL, template: str) -> str:
    """The URL of the one database, to which no one is connected any more."""
    if server not in _urls:
        _urls[server] = server.create_database(template=template)
    url = _urls[server]
    with server.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        cursor.execute(f'ALTER DATABASE "{connection.info.dbname}" RESET ALL')
        cursor.execute(f"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN {_KEPT}")
        tables = [name for (name,) in cursor.fetchall()]
        cursor.execute(";".join(f'DELETE FROM "{name}"' for name in tables))
        cursor.execute("SELECT setval(CAST(sequencename AS regclass), 1, false) FROM pg_sequences")
    return url
