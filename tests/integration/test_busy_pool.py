"""A conductor whose threads hold every connection of the pool still renews its lease, and hears of cancels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from jobboard.database import Database, open_database
from jobboard.states import State
from tests.integration.house import Hold, House, settings_for
from tests.waiting import until


@pytest.fixture
def house(postgresql_url: str) -> Iterator[House]:
    database = open_database(postgresql_url)
    conductors = open_database(postgresql_url)
    yield House(database, settings_for(postgresql_url, lease="2s"), conductors_database=conductors)
    conductors.close()
    database.close()


def take_all(database: Database, stack: ExitStack) -> None:
    """Hold every connection that the pool can give."""
    pool = database.engine.pool
    for _ in range(pool.size() + pool._max_overflow - pool.checkedout()):  # type: ignore[attr-defined]
        stack.enter_context(database.engine.connect())


def test_the_lease_is_renewed_and_a_cancel_is_delivered(house: House) -> None:
    hold = Hold()
    house.flow(lambda: [house.step("a", hold)])
    job = house.post()
    with house.running() as conductor:
        hold.arrived()
        (run,) = conductor._running()
        session = conductor._dispatch.board.session
        with ExitStack() as stack:
            take_all(house.conductors_database, stack)
            renewed_at = session._asked_at
            until(lambda: session._asked_at > renewed_at, timeout=60, what="the lease to be renewed")
            house.records.cancel(job, by="bob")
            until(lambda: run.token.is_set, timeout=60, what="the cancel to be delivered")
        assert session.alive
        house.comes_to(job, State.CANCELLED)


def test_what_is_reserved_is_closed_with_the_rest(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    reserved = database.reserved
    assert database.reserved is reserved
    with reserved.read():
        assert reserved.engine.pool.checkedout() == 1  # type: ignore[attr-defined]
    database.close()
    assert reserved.engine.pool.checkedin() == 0  # type: ignore[attr-defined]


def test_sqlite_has_one_writer_however_many_connections(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    assert database.reserved is database
    database.close()
