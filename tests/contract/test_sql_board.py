"""What is special about the `sql` board: its database, its entry point, and what it costs."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from taskflow import exceptions as excp
from taskflow.jobs import backends
from taskflow.types import entity

from jobboard.boards import sql
from jobboard.boards.sql import SqlJobBoard
from jobboard.boards.sql_job import PAGE
from jobboard.database import Database, open_database
from jobboard.errors import SettingError
from jobboard.schema import postings, sessions
from tests.servers import PostgreSQL
from tests.servers.required import require

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_database(database_url)) as database:
        yield database


@pytest.fixture
def board(database: Database) -> Iterator[SqlJobBoard]:
    with closing(SqlJobBoard("board", {}, database=database)) as board:
        board.connect()
        yield board


def statements(database: Database) -> list[str]:
    """All that is sent to the database from now on."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "clock_timestamp() AS" not in statement:  # the comparison of clocks, once a minute
            sent.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    return sent


def test_taskflow_fetches_it_with_an_empty_sqlite_database(tmp_path: Path):
    _fetch_and_use(f"sqlite:///{tmp_path / 'new' / 'board.db'}")


def test_taskflow_fetches_it_with_an_empty_postgresql_database(postgresql: PostgreSQL):
    url = postgresql.create_database()
    _fetch_and_use(url)
    postgresql.drop_database(url)


def _fetch_and_use(url: str) -> None:
    with backends.backend("mine", {"board": "sql", "connection": url, "lease": "20"}) as board:
        assert isinstance(board, SqlJobBoard)
        assert board.lease_s == 20
        board.post("x")
        assert board.job_count == 1


@pytest.mark.parametrize("lease", ["soon", 0, -1, None])
def test_a_lease_is_a_number_of_seconds(lease: Any):
    with pytest.raises(SettingError, match="lease"):
        SqlJobBoard("b", {"connection": "sqlite:////folder/x.db", "lease": lease})


def test_it_needs_a_database():
    with pytest.raises(SettingError, match="connection"):
        SqlJobBoard("b", {})


def test_boards_of_other_names_share_a_database_but_no_jobs(board: SqlJobBoard, database: Database):
    with closing(SqlJobBoard("other", {}, database=database)) as other:
        other.connect()
        job = board.post("x")
        assert list(other.iterjobs()) == []
        assert other.job_count == 0
        with pytest.raises(excp.NotFound):
            other.claim(job, "me")
        with pytest.raises(excp.NotFound):
            other.wait(timeout=0)


def test_a_database_that_was_given_stays_open(board: SqlJobBoard, database: Database):
    board.close()
    with database.read() as connection:
        assert connection.execute(sa.select(sessions)).all() == []


def test_what_a_plain_user_posts_has_no_job(board: SqlJobBoard, database: Database):
    board.post("x", priority="LOW", details={"a": 1})
    with database.read() as connection:
        row = connection.execute(sa.select(postings)).one()
    assert (row.job, row.priority, row.details, row.book, row.session) == (None, 3, {"a": 1}, None, None)


def test_details_that_are_no_json_are_refused(board: SqlJobBoard):
    with pytest.raises(ValueError, match="JSON"):
        board.post("x", details={"n": float("nan")})
    assert board.job_count == 0


def test_an_entity_is_registered_as_long_as_it_is_connected(board: SqlJobBoard, database: Database):
    def registered() -> list[Any]:
        with database.read() as connection:
            return list(connection.execute(sa.select(sessions.c.entity)).scalars())

    board.register_entity(entity.Entity("conductor", "c", {"pid": 1}))
    expected = {"kind": "conductor", "name": "c", "metadata": {"pid": 1}}
    assert registered() == [expected]
    board.session.close()
    list(board.iterjobs())  # begins a new session
    assert registered() == [expected]
    board.close()
    assert registered() == []


def test_connect_is_repeatable_and_begins_a_dead_session_anew(board: SqlJobBoard):
    first = board.session
    board.connect()
    assert board.session is first
    first.close()
    assert not board.connected
    board.connect()
    assert board.connected
    assert board.session is not first


def test_a_claim_is_made_in_a_session_that_lives(board: SqlJobBoard, database: Database):
    job = board.post("x")
    with database.write() as connection:
        connection.execute(sa.update(sessions).values(expires_at=datetime(2000, 1, 1, tzinfo=UTC)))
    dead = board.session
    assert dead.alive  # as far as it knows
    board.claim(job, "me")
    assert board.session is not dead
    assert not dead.alive
    assert board.find_owner(job) == "me"


def test_a_signal_wakes_who_waits_for_jobs(board: SqlJobBoard, database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sql, "_POLL_S", 60.0)
    original = board._is_empty

    def empty_then_posted() -> bool:
        empty = original()
        if empty:
            with closing(SqlJobBoard("board", {"connection": database_url})) as other:
                other.connect()
                other.post("x")
        return empty

    monkeypatch.setattr(board, "_is_empty", empty_then_posted)
    begun = time.monotonic()
    assert [job.name for job in board.wait(timeout=60)] == ["x"]
    assert time.monotonic() - begun < 30


def test_an_unreachable_database_is_a_job_failure_without_password():
    require(PostgreSQL)
    with PostgreSQL() as server:
        url = server.create_database().replace("postgres@", "postgres:s3cret@")
        board = SqlJobBoard("b", {"connection": url})
        board.connect()
        job = board.post("x")
        server.kill()
        for request in (
            lambda: board.post("y"),
            lambda: board.claim(job, "me"),
            lambda: board.consume(job, "me"),
            lambda: list(board.iterjobs()),
            lambda: board.wait(timeout=5),
            lambda: board.job_count,
            lambda: job.state,
        ):
            with pytest.raises(excp.JobFailure) as failure:
                request()
            assert "s3cret" not in str(failure.value)
            assert str(server.port) in str(failure.value)
        board.close()  # says so in the log, and goes on
        with pytest.raises(excp.JobFailure):
            board.connect()
        server.restart()
        with closing(board):
            board.connect()
            assert [job.name for job in board.iterjobs()] == ["x"]


# What it costs


def test_iterating_asks_for_pages_and_not_for_jobs(board: SqlJobBoard, database: Database):
    count = 2 * PAGE + 50
    for number in range(count):
        board.post(f"job {number}")
    board.claim(next(board.iterjobs()), "me")
    sent = statements(database)
    assert len(list(board.iterjobs(only_unclaimed=True))) == count - 1
    assert len(list(board.iterjobs())) == count
    assert len([one for one in sent if one.startswith("SELECT")]) == 6


@pytest.mark.parametrize("ending", ["consume", "abandon", "trash"])
def test_a_claim_and_its_end_are_one_statement_each(board: SqlJobBoard, database: Database, ending: str):
    job = board.post("x")
    sent = statements(database)
    board.claim(job, "me")
    getattr(board, ending)(job, "me")
    work = [one.split()[0] for one in sent if not one.startswith(("BEGIN", "SELECT pg_notify"))]
    assert work == ["UPDATE", "DELETE" if ending == "consume" else "UPDATE"]


def test_the_unclaimed_are_found_by_their_index(board: SqlJobBoard, database: Database):
    for number in range(300):
        board.post(f"job {number}")
    page = board._page(database, [], (2, 100), only_unclaimed=True)
    text = str(page.compile(database.engine, compile_kwargs={"literal_binds": True}))
    with database.write() as connection:
        if database.dialect == "sqlite":
            plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}")).all()
        else:
            connection.execute(sa.text("ANALYZE postings"))
            connection.execute(sa.text("SET LOCAL enable_seqscan = off"))  # a small table would be read whole
            plan = connection.execute(sa.text(f"EXPLAIN {text}")).all()
    assert "postings_others" in str(plan)
    assert "Sort" not in str(plan)
    assert "TEMP B-TREE" not in str(plan)


def test_who_looks_on_writes_nothing(board: SqlJobBoard, sqlite_url: str):
    board.post("x")
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as watcher:
        version = watcher.execute("PRAGMA data_version").fetchone()
        list(board.iterjobs())
        _ = board.job_count
        assert watcher.execute("PRAGMA data_version").fetchone() == version
