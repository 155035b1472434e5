"""What integration tests may ask for beside the servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobboard.database import open_database
from tests.emptied import emptied
from tests.integration.house import House, settings_for
from tests.servers import PostgreSQL


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, _postgresql_template: str) -> str:
    return emptied(postgresql, _postgresql_template)


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """An empty database, and all that a test has to do with; the test runs on each kind."""
    database = open_database(database_url)
    yield House(database, settings_for(database_url))
    database.close()
