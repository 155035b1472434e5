"""The storage of a TaskFlow user, fenced by a claim on the `sql` board: who has lost the claim writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from taskflow import engines, states, task
from taskflow import exceptions as excp
from taskflow.patterns import linear_flow
from taskflow.persistence import backends as persistences
from taskflow.persistence import models

from jobboard.boards.sql import SqlJobBoard
from jobboard.boards.sql_fence import ClaimFence
from jobboard.database import Database, open_database
from jobboard.errors import Fenced
from jobboard.persistence import Persistence
from jobboard.taskflow_rows import ATOMS, FLOWS, LOGBOOKS
from tests.contract.boards import SqlBoards


@pytest.fixture
def boards(database_url: str) -> Iterator[SqlBoards]:
    with SqlBoards(database_url) as boards:
        yield boards


@pytest.fixture
def database(boards: SqlBoards) -> Database:
    return boards.database


class Do(task.Task):
    def __init__(self, name: str, act: Callable[[], None] = lambda: None) -> None:
        super().__init__(name)
        self._act = act

    def execute(self) -> None:
        self._act()


class Undo(Do):
    def execute(self) -> None:
        """Nothing yet."""

    def revert(self, **_: Any) -> None:
        self._act()


class Fail(task.Task):
    def execute(self) -> None:
        raise ValueError("boom")


def stored(database: Database) -> dict[str, list[Any]]:
    with database.read() as connection:
        return {
            table.name: list(connection.execute(sa.select(table).order_by(table.c.uuid)).mappings())
            for table in (LOGBOOKS, FLOWS, ATOMS)
        }


def engine_of(flow: Any, backend: Any, kind: str) -> Any:
    book, detail = models.LogBook("book"), models.FlowDetail("flow", "00000000-0000-4000-8000-000000000001")
    book.add(detail)
    backend.get_connection().save_logbook(book)
    return engines.load(flow, flow_detail=detail, backend=backend, engine=kind)


def claimed(board: SqlJobBoard) -> tuple[Any, ClaimFence]:
    job = board.post("x")
    board.claim(job, "me")
    return job, board.fence(job, "me")


def test_a_claim_that_holds_writes(boards: SqlBoards, database: Database):
    job, fence = claimed(boards.open())
    backend = Persistence(database=database, fence=fence)
    engine_of(linear_flow.Flow("f").add(Do("a"), Do("b")), backend, "serial").run()
    assert {atom["state"] for atom in stored(database)["atomdetails"]} == {states.SUCCESS}
    job.board.consume(job, "me")


def swept(boards: SqlBoards, board: SqlJobBoard, job: Any) -> None:
    """The process was stopped for longer than a lease, and another has the job."""
    boards.expire(board)
    other = boards.open()
    other.claim(job, "another")


def given_up(_boards: SqlBoards, board: SqlJobBoard, job: Any) -> None:
    board.abandon(job, "me")


def claimed_again(_boards: SqlBoards, board: SqlJobBoard, job: Any) -> None:
    board.abandon(job, "me")
    board.claim(job, "me")


def consumed(_boards: SqlBoards, board: SqlJobBoard, job: Any) -> None:
    board.consume(job, "me")


@pytest.mark.parametrize("kind", ["serial", "parallel"])
@pytest.mark.parametrize("reverting", [False, True])
@pytest.mark.parametrize("lose", [swept, given_up, claimed_again, consumed])
def test_a_zombie_writes_nothing(boards: SqlBoards, database: Database, lose: Any, reverting: bool, kind: str):
    board = boards.open()
    job, fence = claimed(board)
    seen: dict[str, list[Any]] = {}

    def lose_now() -> None:
        lose(boards, board, job)
        seen.update(stored(database))

    ran: list[str] = []
    middle = Undo("b", lose_now) if reverting else Do("b", lose_now)
    flow = linear_flow.Flow("f").add(Undo("a", lambda: ran.append("a")), middle, Fail("c"))
    backend = Persistence(database=database, fence=fence)
    with pytest.raises(Fenced, match=job.uuid):
        engine_of(flow, backend, kind).run()
    assert stored(database) == seen
    assert not ran  # nothing is begun after the claim is lost


def test_what_is_written_under_a_claim_is_there_before_another_gets_it(boards: SqlBoards, database: Database):
    board = boards.open()
    job, fence = claimed(board)
    with database.write() as connection:
        fence(connection)
        connection.execute(sa.insert(LOGBOOKS).values(models.LogBook("mine").to_dict()))
    swept(boards, board, job)
    with pytest.raises(Fenced), database.write() as connection:
        fence(connection)
    assert [book["name"] for book in stored(database)["logbooks"]] == ["mine"]


@pytest.mark.parametrize("who", ["me", "another"])
def test_there_is_no_fence_without_a_claim(boards: SqlBoards, who: str):
    board, other = boards.open(), boards.open()
    job = board.post("x")
    with pytest.raises(excp.NotFound, match="nobody has claimed it"):
        board.fence(job, "me")
    other.claim(job, who)
    with pytest.raises(excp.JobFailure, match="it is claimed by another"):
        board.fence(job, "me")
    other.consume(job, who)
    with pytest.raises(excp.NotFound, match="it is gone"):
        board.fence(job, "me")


def test_a_fence_may_be_any_function_that_raises(database: Database):
    epoch = {"mine": 1, "theirs": 1}

    def fence(_connection: sa.Connection) -> None:
        if epoch["mine"] < epoch["theirs"]:
            raise Fenced("work", epoch["mine"])

    connection = Persistence(database=database, fence=fence).get_connection()
    connection.save_logbook(models.LogBook("first"))
    epoch["theirs"] = 2
    with pytest.raises(Fenced, match="epoch 1"):
        connection.save_logbook(models.LogBook("second"))
    assert [book["name"] for book in stored(database)["logbooks"]] == ["first"]


def test_taskflow_finds_the_backend_by_its_name(database_url: str):
    with persistences.backend({"connection": f"countermand+{database_url}"}) as backend:
        assert isinstance(backend, Persistence)
        backend.get_connection().save_logbook(models.LogBook("found"))
    with closing(open_database(database_url)) as database:
        assert [book["name"] for book in stored(database)["logbooks"]] == ["found"]


def test_taskflow_hands_it_a_fence(boards: SqlBoards):
    _job, fence = claimed(boards.open())
    with closing(persistences.fetch({"connection": f"countermand+{boards.url}"}, fence=fence)) as backend:
        backend.get_connection().save_logbook(models.LogBook("found"))
        assert [book["name"] for book in stored(boards.database)["logbooks"]] == ["found"]
