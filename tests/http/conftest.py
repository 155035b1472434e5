"""A server for each test, on a real port: in a thread, so that the test has its database and flows at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from jobboard.database import open_database
from tests.emptied import emptied
from tests.http.served import Served
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


@pytest.fixture
def serve(house: House) -> Iterator[Callable[..., Served]]:
    """Starts a server for the house; with `token_needed=True` one that asks who it is."""
    with ExitStack() as until_the_end:
        yield lambda **how: until_the_end.enter_context(Served(house, **how))


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """One that asks nobody."""
    return serve()
