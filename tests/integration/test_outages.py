"""Servers that go away while conductors work: jobs wait or go on, nothing is lost, and everyone says so."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from jobboard import database as database_module
from jobboard.conductors import list_conductors
from jobboard.database import Database, open_database
from jobboard.errors import Unreachable
from jobboard.models import NewJob
from jobboard.schema import jobs
from jobboard.states import State
from poster.patience import patiently
from tests.chaos.proxy import HALF_OPEN, PASS, Proxy
from tests.integration.commands import Poster, PosterHere
from tests.integration.house import HoldOnce, House, Step, settings_for
from tests.servers import PostgreSQL
from tests.servers.link import Link
from tests.servers.required import require
from tests.waiting import until

S = State
STEPS = ("a", "b", "c")


def busy_house(url: str, database: Database, **flags: str) -> House:
    """With flow f of three steps, each of which takes a moment."""
    house = House(database, settings_for(url, **flags))

    def work(task: Step) -> str:
        counted[(task.job, task.name)] += 1
        task.sleep(0.02)
        return task.name

    counted: Counter[tuple[str | None, str]] = Counter()
    house.executions = counted  # type: ignore[attr-defined]
    house.flow(lambda: [house.step(name, work) for name in STEPS])
    return house


def post(house: House, number: int = 30) -> list[str]:
    return [posted.id for posted in house.records.post([NewJob("f", {})] * number, by="ann")]


def completed(house: House, posted: list[str]) -> int:
    states = house.records.states(posted).values()
    return sum(state is S.COMPLETED for state in states)


def some_have_completed(house: House, posted: list[str]) -> bool:
    return 0 < completed(house, posted) < len(posted)


def assert_all_completed(house: House, posted: list[str]) -> None:
    """Each once, but for the steps that were in flight."""
    until(lambda: completed(house, posted) == len(posted), timeout=90, what="the end of all jobs")
    for job in posted:
        house.assert_at_rest(job)
        assert house.row(job)["attempt"] == 1
        assert house.tasks_of(job).count("c success") == 1
    assert {step for (_, step) in house.executions} == set(STEPS)  # type: ignore[attr-defined]
    assert max(house.executions.values()) <= 2  # type: ignore[attr-defined]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What conductors say about it: no traceback of ours."""
    lines: list[str] = []
    with caplog.at_level(logging.WARNING):
        yield lines
        lines += [record.getMessage() for record in caplog.records]
    ours = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("conductor", "jobboard")) and record.exc_info
    ]
    assert ours == []


# PostgreSQL


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    """One of our own: that of the session is not to be broken."""
    require(PostgreSQL)
    with PostgreSQL() as server:
        yield server


def restarted(server: PostgreSQL, _url: str) -> None:
    server.restart()


def killed(server: PostgreSQL, _url: str) -> None:
    server.kill()
    server.restart()


def cut_all_connections(server: PostgreSQL, url: str) -> None:
    with server.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def cut_one_connection_after_the_other(server: PostgreSQL, url: str) -> None:
    with server.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for (pid,) in cursor.fetchall():
            cursor.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])


def frozen_for_a_moment(server: PostgreSQL, _url: str) -> None:
    server.freeze()
    server.thaw()


@pytest.mark.parametrize(
    "fault",
    [restarted, killed, cut_all_connections, cut_one_connection_after_the_other, frozen_for_a_moment],
    ids=lambda fault: fault.__name__,
)
def test_postgresql_is_away_for_a_moment(
    server: PostgreSQL, fault: Callable[[PostgreSQL, str], None], said: list[str]
):
    url = server.create_database()
    with closing(open_database(url)) as database:
        house = busy_house(url, database)
        with house.running("one"), house.running("two"):
            for _ in range(2):
                posted = post(house)
                until(lambda: some_have_completed(house, posted), timeout=60, what="some")  # noqa: B023
                fault(server, url)
                assert_all_completed(house, posted)
            assert {row.name for row in list_conductors(database) if row.alive} == {"one", "two"}


def test_of_many_connections_that_were_cut_none_is_used(server: PostgreSQL):
    url = server.create_database()
    with closing(open_database(url)) as database:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(database.read()).execute(sa.select(1))
        cut_all_connections(server, url)
        until(lambda: are_alone(server, url), what="the end of all connections")
        with database.read() as connection:
            assert connection.execute(sa.select(2)).scalar_one() == 2


def are_alone(server: PostgreSQL, url: str) -> bool:
    with server.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return bool(cursor.fetchone()[0] == 1)


def test_postgresql_is_away_for_longer_than_the_lease(server: PostgreSQL, caplog: pytest.LogCaptureFixture):
    url = server.create_database()
    with closing(open_database(url)) as database:
        house = busy_house(url, database, lease="2s")
        with house.running("one") as conductor:
            posted = post(house)
            until(lambda: some_have_completed(house, posted), timeout=60, what="some that completed")
            before = list_conductors(database)[0].owner
            server.stop()
            until(lambda: not conductor._dispatch.alive, timeout=30, what="the end of the lease")
            until(lambda: conductor._running() == [], timeout=30, what="the end of what ran")
            server.start()
            assert_all_completed(house, posted)
            (after,) = [row.owner for row in list_conductors(database) if row.alive]
            assert after != before
    assert "waiting for database postgresql" in caplog.text
    assert "the lease was lost: beginning anew" in caplog.text


@pytest.mark.skipif(not Link.possible(), reason="this process may not make network namespaces (root on Linux)")
def test_postgresql_is_behind_a_link_on_which_packets_vanish(server: PostgreSQL):
    """Half-open: who is cut off is told nothing, and gives its job up all the same; the other takes it over."""
    url = server.create_database()
    with Link(server) as link, closing(open_database(url)) as database:
        house = House(database, settings_for(url, lease="4s"))
        hold = HoldOnce()

        house.flow(lambda: [house.step("a"), house.step("b", hold), house.step("c")])
        job = house.post()
        far = open_database(url.replace(server.hosts, link.hosts))
        house.conductors_database = far
        with closing(far), house.running("far"):
            hold.arrived()
            link.cut()
            house.conductors_database = None
            with house.running("near"):
                assert house.comes_to(job, S.COMPLETED).conductor == "near"
                assert hold.interrupted.wait(30)
            assert house.calls == ["execute a", "execute b", "execute b", "execute c"]
            link.mend()
            again = house.post()
            assert house.comes_to(again, S.COMPLETED).conductor == "far"  # it hears and works again
    assert house.row(job)["epoch"] == 2


# SQLite


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """By another process, as far as SQLite is concerned."""
    other = sqlite3.connect(sa.make_url(url).database, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("COMMIT")
    finally:
        other.close()


def test_who_vanishes_in_a_transaction_holds_nobody_up_for_long(postgresql: PostgreSQL, postgresql_url: str):
    with Proxy(postgresql.port) as proxy, closing(open_database(postgresql_url)) as database:
        house = busy_house(postgresql_url, database)
        posted = post(house, 1)
        way = postgresql_url.replace(f":{postgresql.port}/", f":{proxy.port}/")
        with closing(open_database(way)) as gone, pytest.raises(Unreachable), gone.write() as connection:  # noqa: PT012
            connection.execute(sa.update(jobs).values(epoch=jobs.c.epoch + 1))
            proxy.behave(HALF_OPEN)  # the server is never told that he has gone
            with house.running():
                house.comes_to(*posted, S.COMPLETED)
            proxy.behave(PASS)
            connection.execute(sa.select(jobs))
        assert house.row(*posted)["epoch"] == 1


def test_sqlite_is_locked_for_longer_than_anyone_waits(sqlite_url: str, caplog: pytest.LogCaptureFixture):
    with closing(open_database(sqlite_url)) as database:
        sa.event.listen(database.engine, "connect", _be_impatient)
        database.engine.dispose()
        house = busy_house(sqlite_url, database, lease="2s")
        with house.running("one") as conductor:
            posted = post(house)
            until(lambda: some_have_completed(house, posted), timeout=60, what="some that completed")
            with locked(sqlite_url):
                until(lambda: not conductor._dispatch.alive, timeout=30, what="the end of the lease")
                until(lambda: "database is locked" in caplog.text, timeout=30, what="a word about it")
            assert_all_completed(house, posted)


def _be_impatient(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout = 200")


class Disk:
    """Full, or read-only, from one moment to the next, for all connections to a database."""

    def __init__(self, database: Database) -> None:
        self._pragma: dict[str, str] = {}
        sa.event.listen(database.engine, "checkout", self._set)

    def is_full(self) -> None:
        self._pragma = {"max_page_count": "1"}  # SQLite takes the pages that there are

    def is_read_only(self) -> None:
        self._pragma = {"query_only": "1"}

    def is_well(self) -> None:
        self._pragma = {}

    def _set(self, connection: Any, *_others: Any) -> None:
        for name, value in ({"max_page_count": "1000000000", "query_only": "0"} | self._pragma).items():
            connection.execute(f"PRAGMA {name} = {value}")


@pytest.mark.parametrize(
    ("what", "word"),
    [("is_full", "database or disk is full"), ("is_read_only", "attempt to write a readonly database")],
)
def test_sqlite_cannot_write(sqlite_url: str, caplog: pytest.LogCaptureFixture, what: str, word: str):
    with closing(open_database(sqlite_url)) as database, closing(open_database(sqlite_url)) as other:
        disk = Disk(database)
        house = busy_house(sqlite_url, other, lease="2s")
        house.conductors_database = database
        with house.running("one"):
            posted = post(house)
            until(lambda: some_have_completed(house, posted), timeout=60, what="some that completed")
            getattr(disk, what)()
            until(lambda: word in caplog.text, timeout=30, what="a word about it")
            disk.is_well()
            assert_all_completed(house, posted)


# What a poster is told


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real one of one megabyte, which can be filled, and made read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run([*_MOUNT, "size=1m", "tmpfs", folder], check=False).returncode:
        pytest.skip("this process may not mount a disk (root on Linux)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


_MOUNT = ("mount", "-t", "tmpfs", "-o")


def test_a_poster_is_told_of_a_full_disk_in_one_line(small_disk: Path):
    poster = Poster(f"sqlite:///{small_disk}/countermand.db")
    job = poster.post()
    with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(b"x" * 4096):
            pass
    told = [poster("post", "greet", "name=" + "x" * 100_000) for _ in range(2)]
    assert [(ran.code, ran.out, len(ran.err.splitlines())) for ran in told] == [(4, "", 1)] * 2
    assert str(small_disk) in told[0].err
    (small_disk / "ballast").unlink()
    assert [found["id"] for found in poster("list", "--json").json] == [job]
    assert poster("post", "greet", "name=bob").code == 0


def test_a_poster_is_told_of_a_read_only_disk_in_one_line(small_disk: Path):
    poster = Poster(f"sqlite:///{small_disk}/countermand.db")
    job = poster.post()
    subprocess.run([*_MOUNT, "remount,ro,size=1m", "tmpfs", small_disk], check=True)
    ran = poster("cancel", job)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (4, "", 1)
    subprocess.run([*_MOUNT, "remount,rw,size=1m", "tmpfs", small_disk], check=True)
    assert poster("cancel", job).code == 0


def test_a_poster_is_told_of_a_locked_database_in_one_line(sqlite_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database_module, "_BUSY_S", 0.2)
    monkeypatch.setattr(patiently, "__defaults__", (0.5,))
    poster = PosterHere(sqlite_url)
    job = poster.post()
    with locked(sqlite_url):
        ran = poster("cancel", job)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (4, "", 1)
    assert "locked" in ran.err
    assert poster("cancel", job).code == 0


def test_a_poster_is_told_of_a_server_that_is_away_in_one_line(server: PostgreSQL):
    poster = PosterHere(server.create_database())
    job = poster.post()
    server.kill()
    for words in (["cancel", job], ["show", job], ["retry", job], ["post", "greet", "name=bob"], ["doctor"]):
        ran = poster(*words)
        assert (ran.code, "Traceback" in ran.err) == (4, False)
        assert words == ["doctor"] or len(ran.err.splitlines()) == 1
    server.start()
    assert poster("cancel", job).code == 0
