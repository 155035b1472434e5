"""What `collect` writes, and how it is taken back, on each kind of database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, datetime

import pytest
import sqlalchemy as sa

from flows.library.collect.database import Database
from flows.library.collect.errors import CannotRestore, Superseded
from flows.library.collect.journal import Journal, forget_finished
from flows.library.collect.price import Price
from flows.library.collect.target import Target
from tests.flows.shelf import A_PRICE, Shelf
from tests.servers import PostgreSQL
from tests.servers.required import require
from tests.waiting import until

DAYS = [date(2026, 1, 5), date(2026, 1, 7)]  # on the first of them BETA has a row already


@pytest.fixture
def shelf(database_url: str) -> Iterator[Shelf]:
    with Shelf(database_url) as shelf:
        yield shelf


@pytest.fixture
def database(shelf: Shelf) -> Iterator[Database]:
    with Database(Target(shelf.url, None, "prices")) as database:
        yield database


def wrote(database: Database, run: str, *, finished: bool = True) -> Journal:
    """A run that has stored BETA on both days."""
    journal = Journal(database, run)
    assert journal.begin(["BETA"]) == ["BETA"]
    journal.write("BETA", prices(), rows=2)
    if finished:
        journal.finish("BETA")
    return journal


def prices() -> list[Price]:
    return [Price.model_validate({**A_PRICE, "date": day}) for day in DAYS]


def marks(shelf: Shelf) -> list[str | None]:
    """Who wrote what stands on both days."""
    found = {row["day"]: row["written_by"] for row in shelf.rows() if row["symbol"] == "BETA"}
    return [found.get(day) for day in DAYS]


def test_undone_twice_is_undone_once(database, shelf):
    journal = wrote(database, "a")
    assert marks(shelf) == ["a", "a"]
    for _ in range(2):
        journal.undo("BETA")
        assert shelf.is_as_before
    journal.check_undone(["BETA"])


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
def test_runs_that_replaced_each_others_rows_are_undone_in_any_order(database, shelf, order):
    runs = {name: wrote(database, name) for name in "abc"}
    for name in order[:-1]:
        runs[name].undo("BETA")
    assert marks(shelf) == [order[-1], order[-1]]
    runs[order[-1]].undo("BETA")
    assert shelf.is_as_before


def test_what_is_written_twice_is_written_once(database, shelf):
    journal = wrote(database, "a")
    journal.write("BETA", prices(), rows=2)
    journal.undo("BETA")
    assert shelf.is_as_before


def test_only_what_has_rows_is_to_be_undone(database, shelf):
    journal = Journal(database, "a")
    journal.begin(["ALPHA", "BETA"])
    journal.write("BETA", prices(), rows=2)
    assert journal.begin_undo() == ["BETA"]
    with pytest.raises(Superseded, match="ALPHA"):
        journal.write("ALPHA", prices(), rows=2)
    journal.undo("BETA")
    assert shelf.is_as_before


def test_what_a_crash_left_half_undone_is_undone_by_the_next(database, shelf):
    journal = Journal(database, "a")
    journal.begin(["ALPHA", "BETA"])
    for symbol in ("ALPHA", "BETA"):
        journal.write(symbol, prices(), rows=2)
        journal.finish(symbol)
    assert journal.begin_undo() == ["ALPHA", "BETA"]
    journal.undo("ALPHA")
    another = Journal(database, "a")
    assert another.begin_undo() == ["BETA"]
    another.undo("BETA")
    another.check_undone(["ALPHA", "BETA"])
    assert shelf.is_as_before


def test_a_run_that_is_undone_writes_no_more(database, shelf):
    journal = wrote(database, "a", finished=False)
    journal.undo("BETA")
    with pytest.raises(Superseded, match="BETA"):
        journal.write("BETA", prices(), rows=2)
    assert shelf.is_as_before


def test_what_a_crash_left_half_done_is_done_again(database, shelf):
    journal = wrote(database, "a", finished=False)
    shelf.do(sa.update(shelf.tables.prices).where(shelf.tables.prices.c.day == DAYS[1]).values(written_by="ann"))
    assert journal.begin(["BETA"]) == ["BETA"]
    assert marks(shelf) == ["an older job", "ann"]
    journal.write("BETA", prices(), rows=2)
    journal.undo("BETA")
    assert marks(shelf) == ["an older job", "ann"]


def test_what_is_done_is_not_done_again(database):
    journal = wrote(database, "a")
    assert journal.begin(["BETA"]) == []


def test_what_runs_have_replaced_is_forgotten_long_after_their_end(database, shelf):
    long_ago = datetime(2020, 1, 1)  # noqa: DTZ001 - as it is stored
    progress = shelf.tables.progress
    unfinished, finished, fresh = (
        wrote(database, name, finished=finished) for name, finished in [("a", False), ("b", True), ("c", True)]
    )
    shelf.do(sa.update(progress).where(progress.c.run == "b").values(done_at=long_ago))
    shelf.do(sa.insert(progress), [{"run": "a", "symbol": "ALPHA", "done_at": long_ago}])
    forget_finished(database)
    assert {row["replaced_by"] for row in shelf.rows(shelf.tables.replaced)} == {"a", "c"}
    fresh.undo("BETA")
    assert marks(shelf) == ["b", "b"]
    assert finished.begin_undo() == []
    with pytest.raises(CannotRestore, match="2 rows written_by b are left"):
        finished.check_undone(["BETA"])
    unfinished.check_undone(["BETA"])


def test_who_writes_the_same_row_at_the_same_time_is_waited_for(postgresql_url):
    waits = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with Shelf(postgresql_url) as shelf, Database(Target(shelf.url, None, "prices")) as database:
        theirs = {"symbol": "BETA", "day": DAYS[1], **A_PRICE, "written_by": "someone else"}
        writing = threading.Thread(target=wrote, args=(database, "a"))
        with shelf.engine.begin() as connection:
            connection.execute(sa.insert(shelf.tables.prices), theirs)
            writing.start()
            until(lambda: shelf.scalar(waits), what="the run to wait for the row")
        writing.join(20)
        assert marks(shelf) == ["a", "a"]
        Journal(database, "a").undo("BETA")
        assert marks(shelf) == ["an older job", "someone else"]


def test_a_database_that_restarts_is_waited_for():
    require(PostgreSQL)
    with PostgreSQL() as server, Shelf(server.create_database()) as shelf:
        target = Target(shelf.url, None, "prices")
        with Database(target, patience_s=60) as database:
            journal = wrote(database, "a")
            server.kill()
            undoing = threading.Thread(target=journal.undo, args=["BETA"])
            undoing.start()
            server.restart()
            undoing.join(60)
        shelf.engine.dispose()  # its connections went with the server
        assert shelf.is_as_before
