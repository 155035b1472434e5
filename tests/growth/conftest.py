"""Databases that have grown, filled once of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobboard.database import open_database
from tests.growth import past
from tests.servers import PostgreSQL


@pytest.fixture(scope="session")
def grown_sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("grown") / "countermand.db"
    yield _filled(f"sqlite:///{file}")
    for part in Path(file).parent.iterdir():
        part.unlink()  # pytest would keep it, and that of two runs before


@pytest.fixture(scope="session")
def grown_postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    url = postgresql.create_database()
    yield _filled(url)
    postgresql.drop_database(url)


def _filled(url: str) -> str:
    database = open_database(url)
    past.fill(database)
    database.close()
    return url
