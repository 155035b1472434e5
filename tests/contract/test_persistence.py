"""Our persistence as TaskFlow's own tests want it, and what it does beyond that: the fence, and fewer writes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from taskflow import engines, exceptions, retry, states, storage, task, test
from taskflow.patterns import linear_flow
from taskflow.persistence import models
from taskflow.persistence.backends.impl_sqlalchemy import SQLAlchemyBackend
from taskflow.tests.unit.persistence import base

from jobboard.claims import take
from jobboard.database import Database, create_engine, open_database
from jobboard.errors import Fenced
from jobboard.job_persistence import JobConnection, JobPersistence
from jobboard.journal import Journal
from jobboard.models import NewJob, Task
from jobboard.owner import Owner
from jobboard.persistence import Persistence
from jobboard.records import Records
from jobboard.schema import attempts, events, jobs
from jobboard.task_view import AtomState
from jobboard.taskflow_rows import ATOMS, FLOWS, LOGBOOKS, TaskflowRows
from tests.emptied import emptied
from tests.requests_seen import on_commits, on_statements
from tests.servers import PostgreSQL
from tests.servers.ports import free_port

UUID = "00000000-0000-4000-8000-00000000000"


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, _postgresql_template: str) -> str:
    return emptied(postgresql, _postgresql_template)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    yield database
    database.close()


def claimed(database: Database) -> Journal:
    """The journal of a job that has just been claimed."""
    (posted,) = Records(database, "test").post([NewJob("f", {})], by="ann")
    with database.write() as connection:
        uuid = connection.execute(sa.select(jobs.c.posting).where(jobs.c.id == posted.id)).scalar_one()
        (claim,) = take(connection, database, Owner("one", "host:1:one"), [uuid], {})
    return Journal(database, posted.id, 1, claim.epoch, [Task("a"), Task("b")])


@pytest.fixture
def journal(database: Database) -> Journal:
    return claimed(database)


def steal(journal: Journal) -> None:
    """Another conductor claims the job."""
    with journal._database.write() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.id == journal.job).values(epoch=jobs.c.epoch + 1))


def stored(database: Database) -> dict[str, list[Any]]:
    """Everything that a job's conductor may write, without the times that TaskFlow's tables note by themselves."""
    found = {}
    with database.read() as connection:
        for table in (LOGBOOKS, FLOWS, ATOMS, jobs, attempts, events):
            columns = [column for column in table.c if column.name not in ("created_at", "updated_at")]
            query = sa.select(*columns).order_by(*table.primary_key)
            found[table.name] = [dict(row) for row in connection.execute(query).mappings()]
    return found


# TaskFlow's own tests


class PersistenceContract(base.PersistenceTestMixin):
    def _get_connection(self) -> Any:
        return self.backend.get_connection()

    def _keep(self, url: str, *, fenced: bool) -> Iterator[None]:
        database = open_database(url)
        self.backend = JobPersistence(database, claimed(database)) if fenced else Persistence(database=database)
        yield
        database.close()


class TestOnSQLite(PersistenceContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _backend(self, sqlite_url: str) -> Iterator[None]:
        yield from self._keep(sqlite_url, fenced=False)


class TestOnPostgreSQL(PersistenceContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _backend(self, postgresql_url: str) -> Iterator[None]:
        yield from self._keep(postgresql_url, fenced=False)


class TestOfAClaimedJob(PersistenceContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _backend(self, sqlite_url: str) -> Iterator[None]:
        yield from self._keep(sqlite_url, fenced=True)


# Beside TaskFlow's stock backend


class Give(task.Task):
    def execute(self, given: int) -> dict[str, Any]:
        return {"given": given, "text": "ü"}

    def revert(self, *_args: Any, **_kwargs: Any) -> str:
        return "given back"


class Fail(task.Task):
    def execute(self) -> None:
        raise ValueError("boom")


class Succeed(task.Task):
    def execute(self) -> int:
        return 7


def flow_that(ends_with: task.Task) -> Any:
    inner = linear_flow.Flow("inner", retry=retry.Times(2, "tries")).add(Give("b", provides="c"), ends_with)
    return linear_flow.Flow("f").add(Give("a", provides="d"), inner)


def book_with_flow() -> tuple[Any, Any]:
    book, flow = models.LogBook("book", UUID + "1"), models.FlowDetail("f", UUID + "2")
    book.meta, flow.meta = {"m": [1]}, {"n": {}}
    book.add(flow)
    return book, flow


def engine_on(backend: Any, flow: Any, detail: Any, kind: str = "serial") -> Any:
    engine = engines.load(flow, engine=kind, flow_detail=detail, backend=backend)
    engine.storage.inject({"given": 1}, transient=True)
    return engine


def saved_flow(backend: Any) -> Any:
    """A flow's detail that has been stored with its logbook."""
    book, flow = book_with_flow()
    backend.get_connection().save_logbook(book)
    return flow


def as_read_by(backend: Any) -> Any:
    book = backend.get_connection().get_logbook(UUID + "1")
    (flow,) = book
    atoms = {atom.name: atom.to_dict() | {"type": type(atom)} for atom in flow}
    return (
        {name: value for name, value in book.to_dict().items() if not name.endswith("_at")},
        flow.to_dict(),
        atoms,
    )


@pytest.fixture
def stock(database_url: str) -> Iterator[Any]:
    backend = SQLAlchemyBackend({"connection": database_url})
    yield backend
    backend.close()


@pytest.fixture
def ours(database: Database) -> Persistence:
    return Persistence(database=database)


@pytest.mark.parametrize("last", [Succeed("end"), Fail("end")], ids=["success", "failure"])
@pytest.mark.parametrize("writer", ["ours", "stock"])
def test_each_reads_what_the_other_wrote(request, ours, stock, writer, last):
    backend = request.getfixturevalue(writer)
    engine = engine_on(backend, flow_that(last), saved_flow(backend))
    if last.__class__ is Fail:
        with pytest.raises(ValueError, match="boom"):
            engine.run()
    else:
        engine.run()
    read = as_read_by(ours)
    assert read == as_read_by(stock)
    _book, flow, atoms = read
    assert flow["state"] == (states.REVERTED if last.__class__ is Fail else states.SUCCESS)
    assert len(atoms) == 4


@pytest.mark.parametrize(("first", "second"), [("ours", "stock"), ("stock", "ours")])
def test_each_goes_on_where_the_other_stopped(request, ours, stock, first, second):
    backend = request.getfixturevalue(first)
    run = engine_on(backend, flow_that(Succeed("end")), saved_flow(backend)).run_iter()
    for _ in range(8):
        next(run)
    with contextlib.suppress(StopIteration):
        while True:
            run.send(True)
    backend = request.getfixturevalue(second)
    detail = backend.get_connection().get_flow_details(UUID + "2")
    assert detail.state == states.SUSPENDED
    engine = engine_on(backend, flow_that(Succeed("end")), detail)
    done = {atom.name for atom in detail if atom.state == states.SUCCESS}
    assert done
    assert len(done) < 4
    engine.run()
    assert engine.storage.fetch_all()["c"] == {"given": 1, "text": "ü"}
    assert as_read_by(request.getfixturevalue(first))[1]["state"] == states.SUCCESS


def test_it_opens_and_closes_a_database_of_its_own(sqlite_url):
    backend = Persistence({"connection": sqlite_url})
    connection = backend.get_connection()
    connection.upgrade()
    connection.validate()
    assert connection.backend is backend
    assert list(connection.get_logbooks()) == []
    connection.close()
    backend.close()
    assert backend.database.engine.pool.checkedin() == 0


@pytest.mark.parametrize("url", ["sqlite:////", "postgresql://127.0.0.1:{port}/x"])
def test_a_database_that_is_away_is_a_storage_failure(url):
    url = url.format(port=free_port())
    connection = Persistence(database=Database(create_engine(url))).get_connection()
    _book, flow = book_with_flow()
    for call in (
        connection.validate,
        lambda: connection.get_flow_details(UUID + "2"),
        lambda: connection.update_flow_details(flow),
    ):
        with pytest.raises(exceptions.StorageFailure, match=r"unable to open|refused"):
            call()


# The fence


def flow_of(journal: Journal) -> tuple[Persistence, Any, Any]:
    """A flow of two atoms that is stored."""
    backend = JobPersistence(journal._database, journal)
    book, flow = book_with_flow()
    for number, name in enumerate("ab"):
        flow.add(models.TaskDetail(name, f"{UUID}{number + 3}"))
    backend.get_connection().save_logbook(book)
    return backend, book, flow


def changed_atom(flow: Any) -> Any:
    atom = flow.find(UUID + "3")
    atom.state = states.RUNNING
    return atom


def changed_flow(flow: Any) -> Any:
    flow.state = states.RUNNING
    changed_atom(flow)
    return flow


WRITES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "update_atom_details": lambda connection, _book, flow: connection.update_atom_details(changed_atom(flow)),
    "update_flow_details": lambda connection, _book, flow: connection.update_flow_details(changed_flow(flow)),
    "save_logbook": lambda connection, book, flow: connection.save_logbook(book if changed_flow(flow) else None),
    "destroy_logbook": lambda connection, book, _flow: connection.destroy_logbook(book.uuid),
    "clear_all": lambda connection, _book, _flow: connection.clear_all(),
}


def test_every_way_to_write_is_tried_here():
    writers = {name for name in dir(JobConnection) if name.split("_")[0] in ("update", "save", "destroy", "clear")}
    assert writers == {*WRITES, "save_later"}


def test_a_claim_that_holds_writes(database):
    for name, write in WRITES.items():
        backend, book, flow = flow_of(claimed(database))
        before = stored(database)
        write(backend.get_connection(), book, flow)
        assert stored(database) != before, name
        Persistence(database=database).get_connection().clear_all()


def test_a_claim_that_has_passed_on_writes_nothing(database):
    for name, write in WRITES.items():
        journal = claimed(database)
        backend, book, flow = flow_of(journal)
        steal(journal)
        before = stored(database)
        with pytest.raises(Fenced):
            write(backend.get_connection(), book, flow)
        assert stored(database) == before, name
        assert journal.lost
        Persistence(database=database).get_connection().clear_all()


def test_the_first_save_is_fenced_with_what_belongs_to_it(database, journal):
    backend = JobPersistence(database, journal)
    book, flow = book_with_flow()
    backend.get_connection().save_later(book, flow, flow_detail=flow.uuid)
    before = stored(database)
    steal(journal)
    backend.get_connection().update_flow_details(flow)
    with pytest.raises(Fenced):
        journal.store()
    assert stored(database) == before | {"jobs": stored(database)["jobs"]}


def test_nothing_of_a_new_flow_is_stored_before_the_flow(database, journal):
    """The watch may store what has gathered at any moment."""
    backend = JobPersistence(database, journal)
    book, flow = book_with_flow()
    backend.get_connection().save_later(book, flow, flow_detail=flow.uuid)
    journal.note("log", message="meanwhile")
    journal.flush()
    found = stored(database)
    assert found["events"][-1]["message"] == "meanwhile"
    assert [attempt["flow_detail"] for attempt in found["attempts"]] == [None]
    assert found["logbooks"] == []


class Steal(task.Task):
    """Lets another conductor take the job while it runs."""

    def __init__(self, name: str, steal_now: Callable[[], None]) -> None:
        super().__init__(name)
        self.steal_now = steal_now

    def execute(self) -> None:
        self.steal_now()


class StealInRevert(Steal):
    def execute(self) -> None:
        pass

    def revert(self, *_args: Any, **_kwargs: Any) -> None:
        self.steal_now()


class Note(task.Task):
    """Notes what is called."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__(name)
        self.calls = calls

    def execute(self) -> None:
        self.calls.append(f"{self.name} executed")

    def revert(self, *_args: Any, **_kwargs: Any) -> None:
        self.calls.append(f"{self.name} reverted")


@pytest.mark.parametrize("kind", ["serial", "parallel"])
@pytest.mark.parametrize("thief", [Steal, StealInRevert])
def test_an_engine_whose_claim_is_taken_stops_without_a_trace(database, journal, kind, thief):
    calls: list[str] = []
    seen = {}

    def steal_now() -> None:
        steal(journal)
        seen.update(stored(database))

    flow = linear_flow.Flow("f").add(Note("a", calls), thief("b", steal_now), Note("c", calls), Fail("d"))
    backend = JobPersistence(database, journal)
    engine = engine_on(backend, flow, saved_flow(backend), kind)
    with pytest.raises(Fenced):
        engine.run()
    assert stored(database) == seen
    after = ["c executed", "c reverted"] if thief is StealInRevert else []
    assert calls == ["a executed", *after]


# What failed reverts leave


class FailToRevert(Give):
    def revert(self, *_args: Any, **_kwargs: Any) -> str:
        raise OSError("disk gone")


@pytest.mark.parametrize("fenced", [True, False])
def test_a_failed_revert_keeps_the_result_for_the_next_try(database, journal, fenced):
    backend = JobPersistence(database, journal) if fenced else Persistence(database=database)
    flow = linear_flow.Flow("f").add(FailToRevert("a", provides="x"), Fail("b"))
    with pytest.raises(OSError, match="disk gone"):
        engine_on(backend, flow, saved_flow(backend)).run()
    for reader in (backend, Persistence(database=database)):
        detail = reader.get_connection().get_flow_details(UUID + "2")
        assert detail.state == states.FAILURE
        atom = next(atom for atom in detail if atom.name == "a")
        assert (atom.state, atom.results) == (states.REVERT_FAILURE, {"given": 1, "text": "ü"})
        assert atom.revert_failure.check(OSError)
        reader.get_connection().update_atom_details(atom)  # and over every later write


# Writes that are left out


def statements(database: Database) -> list[str]:
    """Everything that is written from now on."""
    seen: list[str] = []

    def note(request: str) -> None:
        seen.extend(
            statement
            for statement in request.split(";\n")
            if statement.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE")
        )

    on_statements(database, note)
    return seen


def test_progress_alone_is_not_written_when_a_journal_keeps_it(database, journal):
    backend, _book, flow = flow_of(journal)
    connection = backend.get_connection()
    atom = flow.find(UUID + "3")
    written = statements(database)
    for progress in (0.0, 0.5, 1.0):
        atom.meta = {**(atom.meta or {}), storage.META_PROGRESS: progress}
        assert connection.update_atom_details(atom) is atom
        journal.store()
    assert written == []
    atom.meta = {**atom.meta, "other": 1}
    connection.update_atom_details(atom)
    journal.store()
    assert written != []
    assert backend.get_connection().get_atom_details(atom.uuid).meta == atom.meta


def test_progress_is_written_without_a_journal(ours):
    book, flow = book_with_flow()
    flow.add(models.TaskDetail("a", UUID + "3"))
    ours.get_connection().save_logbook(book)
    atom = flow.find(UUID + "3")
    atom.meta = {storage.META_PROGRESS: 0.5}
    ours.get_connection().update_atom_details(atom)
    assert ours.get_connection().get_atom_details(atom.uuid).meta == {storage.META_PROGRESS: 0.5}


class Look(task.Task):
    """Looks at what is stored of itself while it runs, and fails at first."""

    def __init__(self, name: str, backend: Any, seen: list[Any], failures: int = 0) -> None:
        super().__init__(name, provides="x")
        self.backend, self.seen, self.failures = backend, seen, failures

    def execute(self) -> int:
        self.seen.append(("execute", self.stored_state()))
        if len(self.seen) <= 2 * self.failures:
            raise ValueError("again")
        return 7

    def revert(self, *_args: Any, **_kwargs: Any) -> None:
        self.seen.append(("revert", self.stored_state()))

    def stored_state(self) -> str | None:
        flow = self.backend.get_connection().get_flow_details(UUID + "2")
        return next(atom.state for atom in flow if atom.name == self.name)


def test_that_a_task_runs_is_stored_before_it_runs_each_time(database, journal, ours):
    backend = JobPersistence(database, journal)
    seen: list[Any] = []
    look = Look("a", ours, seen, failures=2)
    flow = linear_flow.Flow("f", retry=retry.Times(3, "tries")).add(look)
    engine_on(backend, flow, saved_flow(backend)).run()
    tries = [("execute", states.RUNNING), ("revert", states.REVERTING)]
    assert seen == [*tries, *tries, ("execute", states.RUNNING)]
    journal.store()
    found = {atom.name: atom for atom in ours.get_connection().get_flow_details(UUID + "2")}
    assert (found["a"].state, found["a"].results) == (states.SUCCESS, 7)


def test_without_a_journal_others_may_write_too(database, ours):
    flow = saved_flow(ours)
    flow.add(models.TaskDetail("a", UUID + "3"))
    ours.get_connection().update_flow_details(flow)
    ours.get_connection().update_atom_details(changed_atom(flow))
    other = Persistence(database=database).get_connection()
    theirs = other.get_atom_details(UUID + "3")
    theirs.state = states.SUCCESS
    other.update_atom_details(theirs)
    ours.get_connection().update_flow_details(flow)
    assert other.get_atom_details(UUID + "3").state == states.RUNNING


def test_a_flow_is_saved_without_its_unchanged_atoms(database, journal):
    backend, _book, flow = flow_of(journal)
    backend.get_connection().update_flow_details(flow)
    journal.store()
    written = statements(database)
    flow.state = states.RUNNING
    backend.get_connection().update_flow_details(flow)
    assert written == []
    journal.store()
    assert [statement.split()[:3] for statement in written] == [
        ["UPDATE", "jobs", "SET"],
        ["INSERT", "INTO", "flowdetails"],
    ]


# Commits that fail


def fail_next_commit(database: Database) -> None:
    left = [1]

    def refuse(_commit: Any) -> None:
        if left:
            left.pop()
            raise sa_exc.OperationalError("COMMIT", {}, ConnectionError("connection lost"))

    on_commits(database, refuse)


def test_what_a_failed_commit_did_not_store_is_stored_by_the_next_try(database, journal, ours):
    backend, _book, flow = flow_of(journal)
    connection = backend.get_connection()
    changed_flow(flow)
    fail_next_commit(database)
    connection.update_flow_details(flow)  # tries again by itself: something begins
    again = ours.get_connection().get_flow_details(flow.uuid)
    assert again.state == states.RUNNING
    assert again.find(UUID + "3").state == states.RUNNING


def test_a_first_save_that_failed_is_done_again(database, journal, ours):
    backend = JobPersistence(database, journal)
    connection = backend.get_connection()
    book, flow = book_with_flow()
    flow.add(models.TaskDetail("a", UUID + "3"))
    connection.save_later(book, flow, flow_detail=flow.uuid)
    connection.update_flow_details(flow)
    fail_next_commit(database)
    with pytest.raises(exceptions.StorageFailure, match="connection lost"):
        connection.store()
    connection.store()
    assert [atom.name for atom in ours.get_connection().get_flow_details(flow.uuid)] == ["a"]
    assert [attempt["flow_detail"] for attempt in stored(database)["attempts"]] == [flow.uuid]


def test_lines_that_a_failed_commit_did_not_store_are_not_lost(database, journal):
    journal.note("log", message="one")
    journal.report("a", 0.5, {"done": 1})
    fail_next_commit(database)
    with pytest.raises(Exception, match="connection lost"):
        journal.flush()
    journal.note("log", message="two")
    journal.flush()
    journal.flush()
    assert [line["message"] for line in stored(database)["events"]][-2:] == ["one", "two"]
    assert stored(database)["jobs"][0]["tasks"][0]["detail"] == {"done": 1}


def test_what_was_seen_later_is_never_overwritten_by_what_was_seen_before(database, journal):
    """Two threads write for one job. The slower was first."""
    slow = threading.Event()

    def held_up(_commit: Any) -> None:
        if threading.current_thread() is watching:
            taken.set()
            assert slow.wait(60)

    def store(state: str) -> None:
        journal.put(TaskflowRows(), [AtomState("a", state)])
        journal.store()

    on_commits(database, held_up)
    taken = threading.Event()
    watching = threading.Thread(target=store, args=[states.RUNNING])
    running = threading.Thread(target=store, args=[states.SUCCESS])
    watching.start()
    assert taken.wait(60)
    running.start()
    running.join(0.2)  # either it is through, or it waits for its turn
    slow.set()
    watching.join()
    running.join()
    with database.read() as connection:
        (row,) = connection.execute(sa.select(jobs.c.tasks)).all()
    assert [task["state"] for task in row.tasks] == ["success", "pending"]
