"""A conductor that cannot renew its lease: it gives its jobs up in time, and goes on as another when it can."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Any

import pytest

from conductor import service
from conductor.lease_guard import LeaseGuard
from conductor.service import Conductor
from jobboard import history
from jobboard.boards import session as session_module
from jobboard.boards.sql import SqlJobBoard
from jobboard.claims import Claim
from jobboard.conductors import list_conductors
from jobboard.database import open_database
from jobboard.dispatch.sql import SqlDispatch
from jobboard.dispatch.taskflow import TaskflowDispatch
from jobboard.errors import Unreachable
from jobboard.states import State
from tests.integration.house import HoldOnce, House, settings_for
from tests.integration.test_every_board import end_session
from tests.servers import PostgreSQL
from tests.servers.required import require
from tests.waiting import patience, until

S = State


@pytest.fixture
def frozen() -> Iterator[PostgreSQL]:
    """A server of one's own."""
    require(PostgreSQL)
    with PostgreSQL() as server:
        yield server


def owners(house: House, job: str) -> list[str]:
    """Who claimed the job, one after the other."""
    return [line.data["owner"] for line in house.lines(job, history.STATE) if line.data and "owner" in line.data]


def test_what_runs_is_interrupted_before_the_lease_ends_though_no_server_answers(
    frozen: PostgreSQL, monkeypatch: pytest.MonkeyPatch
):
    # The loop that claims gives them up as well, once it no longer waits for the server.
    monkeypatch.setattr(service, "give_up", lambda runs: None)
    url = frozen.create_database()
    with closing(open_database(url)) as database:
        house = House(database, settings_for(url, lease="15s"))
        hold = HoldOnce()
        house.flow(lambda: [house.step("a"), house.step("b", hold), house.step("c")])
        job = house.post()
        with house.running("one") as conductor:
            hold.arrived()
            renewed = until(lambda: _renewed_just_now(conductor), timeout=30, what="a renewal")
            frozen.freeze()
            try:
                # By the session's clock nine tenths of the lease have passed, but not all of it.
                now_s = session_module._now_s()
                monkeypatch.setattr(session_module, "_now_s", lambda: max(now_s, renewed + 15 * 0.95))
                assert hold.interrupted.wait(patience(30))
                assert session_module._now_s() < renewed + 15
            finally:
                monkeypatch.undo()
                frozen.thaw()
            done = house.comes_to(job, S.COMPLETED)
        assert house.calls == ["execute a", "execute b", "execute b", "execute c"]
        first, second = owners(house, job)
        assert first != second
        assert done.conductor == "one"


def test_what_runs_is_interrupted_before_a_new_lease_is_begun(
    house: House, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(LeaseGuard, "_guard", lambda guard: None)  # it would do so as well, if it came first
    house.settings = settings_for(database_url, lease="2s")
    hold = HoldOnce()
    house.flow(lambda: [house.step("a", hold)])
    job = house.post()
    with house.running("one") as conductor:
        hold.arrived()
        end_session(house, conductor._dispatch.board)
        assert hold.interrupted.wait(patience(30))
        house.comes_to(job, S.COMPLETED)
    first, second = owners(house, job)
    assert first != second


def _renewed_just_now(conductor: Conductor) -> float | None:
    """When the lease was renewed last, if that was no more than a second ago."""
    session = conductor._dispatch.board.session
    return session._asked_at if session_module._now_s() - session._asked_at < 1 else None


def test_one_without_a_lease_does_not_say_that_it_lives(house: House):
    """Others wait with the jobs of one who seems to live: on a board beside the records it would be for ever."""

    class Cut(SqlDispatch):
        """Its board has lost its session, and cannot be reached to begin another."""

        cut = threading.Event()

        def close(self) -> None:
            if self.cut.is_set():
                raise Unreachable("no route to the board")
            super().close()

    def make() -> SqlDispatch:
        made.append(Cut(house.database, SqlJobBoard("countermand", {}, database=house.database)))
        return made[0]

    made: list[Cut] = []
    house.dispatch = make
    house.settings = settings_for(house.settings.database_url, lease="2s")
    with house.running("one"):
        until(lambda: house.names_of_conductors() == ["one"], what="its row")
        made[0].cut.set()
        with made[0].board.session._lock:
            made[0].board.session._dead = True
        until(lambda: not _lives(house, "one"), timeout=30, what="the end of its row's life")
        made[0].cut.clear()
        until(lambda: _lives(house, "one"), timeout=30, what="its new row")


def _lives(house: House, name: str) -> bool:
    return any(row.alive for row in list_conductors(house.database) if row.name == name)


def test_a_claim_whose_reply_was_lost_is_run_by_the_same_conductor(house: House):
    class Deaf(SqlDispatch):
        """The first claim is stored, but the answer to it never arrives."""

        lost = False

        def claim(self, *arguments: Any, busy: Collection[str] = (), **how: Any) -> list[Claim]:
            claims = super().claim(*arguments, busy=busy, **how)
            if claims and not self.lost:
                self.lost = True
                raise Unreachable("connection lost")
            return claims

    house.settings = settings_for(house.settings.database_url, lease="3s")
    house.dispatch = lambda: Deaf(house.database, SqlJobBoard("countermand", {}, database=house.database))
    house.flow(lambda: [house.step("a")])
    job = house.post()
    with house.running("one"):
        house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a"]
    assert (house.row(job)["epoch"], house.row(job)["claims"]) == (2, 1)


def test_a_job_whose_record_could_not_be_told_of_its_claim_is_run(house: House):
    """On a board beside the records: both claims came about, and the answer was lost."""

    class Deaf(TaskflowDispatch):
        lost = False

        def _tell_records(self, *arguments: Any) -> list[Claim]:
            claims = super()._tell_records(*arguments)
            if claims and not self.lost:
                self.lost = True
                raise Unreachable("connection lost")
            return claims

    house.settings = settings_for(
        house.settings.database_url, lease="3s", jobboard_url="zookeeper://of-no-use:1/x"
    )
    house.dispatch = lambda: Deaf(house.database, SqlJobBoard("outside", {}, database=house.database))
    house.flow(lambda: [house.step("a")])
    job = house.post()
    with house.running("one"), house.running("two"):
        house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a"]
