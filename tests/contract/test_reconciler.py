"""What is left between records, board and conductors by crashes, lost replies and other hands is mended.

On the `sql` board, on one of TaskFlow's kind beside the records, and on ZooKeeper.
"""

from __future__ import annotations

import functools
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from jobboard import history, reconciler
from jobboard.boards import etcd as etcd_boards
from jobboard.boards import redis as redis_boards
from jobboard.boards.sql import SqlJobBoard
from jobboard.boards.zookeeper import ZookeeperOptions, open_board
from jobboard.claims import Claim
from jobboard.conductors import Registration
from jobboard.database import Database, open_database
from jobboard.dispatch import taskflow
from jobboard.dispatch.base import Ahead, Dispatch
from jobboard.dispatch.sql import SqlDispatch
from jobboard.dispatch.taskflow import TaskflowDispatch
from jobboard.dispatch.zookeeper import ZookeeperDispatch
from jobboard.models import NewJob
from jobboard.owner import Owner, new_owner
from jobboard.records import Records
from jobboard.schema import conductors, jobs, postings, sessions
from tests.emptied import emptied
from tests.servers import PostgreSQL
from tests.waiting import until

FLOWS = ["f"]
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Desk(ABC):
    """Records and a board, and conductors' access to them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.records = Records(database, self.board)
        self.stack = ExitStack()

    board: str | None = None

    @abstractmethod
    def make(self) -> Dispatch:
        """Another conductor's access."""

    def on_board(self) -> list[Any]:
        """Everything on the board."""
        return list(self.looker.board.iterjobs(ensure_fresh=True))

    def posting_of(self, job: str) -> Any:
        return next(posting for posting in self.on_board() if posting.details["job"] == job)

    def owner_of(self, posting: Any) -> str | None:
        owner: str | None = self.looker.board.find_owner(posting)
        return owner

    def remove(self, posting: Any) -> None:
        """As someone does who has no business here."""
        self.looker.board.claim(posting, "someone")
        self.looker.board.consume(posting, "someone")

    def plant(self, job: str | None) -> None:
        """A posting that this job's record knows nothing of."""
        details = {"job": job, "posting": str(uuid.uuid4())} if job else {"of": "someone else"}
        self.looker.board.post("f", details=details)

    def enter(self, name: str = "one") -> tuple[Dispatch, Owner]:
        """A conductor that lives."""
        dispatch, owner = self.make(), new_owner(name)
        dispatch.open()
        self.stack.callback(dispatch.close)
        Registration(self.database, owner, 4, FLOWS, 60.0).enter()
        return dispatch, owner

    def open(self) -> None:
        self.looker = self.make()
        self.looker.open()
        self.stack.callback(self.looker.close)

    def post(self) -> str:
        return self.records.post([NewJob("f", {})], by="ann")[0].id

    def row(self, job: str) -> Any:
        with self.database.read() as connection:
            return connection.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().one()

    def change(self, job: str, **columns: Any) -> None:
        with self.database.write() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job).values(**columns))

    def die(self, dispatch: Dispatch, owner: Owner) -> None:
        """The conductor's lease has ended, and it did nothing about it."""
        past = self.database.now() - timedelta(hours=1)
        with self.database.write() as connection:
            connection.execute(sa.update(conductors).where(conductors.c.owner == owner.id).values(expires_at=past))
        self.end_session(dispatch, past)

    @abstractmethod
    def end_session(self, dispatch: Any, past: Any) -> None:
        """Of its board."""


class SqlDesk(Desk):
    board = "countermand"

    def make(self) -> Dispatch:
        return SqlDispatch(self.database, SqlJobBoard("countermand", {}, database=self.database))

    def plant(self, job: str | None) -> None:
        super().plant(job)
        with self.database.write() as connection:
            newest = sa.select(sa.func.max(postings.c.seq)).scalar_subquery()
            connection.execute(sa.update(postings).where(postings.c.seq == newest).values(job=job))

    def end_session(self, dispatch: Any, past: Any) -> None:
        with self.database.write() as connection:
            mine = sessions.c.id == dispatch.board.session.id
            connection.execute(sa.update(sessions).where(mine).values(expires_at=past))
        dispatch.free_dead_claims()


class OutsideDesk(Desk):
    def make(self) -> Dispatch:
        return TaskflowDispatch(self.database, SqlJobBoard("outside", {}, database=self.database))

    end_session = SqlDesk.end_session

    def on_board(self) -> list[Any]:
        self.looker.free_dead_claims()
        return super().on_board()


class ServerDesk(Desk):
    """The board is on a server of its own. `board` gives one that nobody else has opened."""

    def __init__(self, database: Database, board: Callable[[], Any], dispatch: type[TaskflowDispatch]) -> None:
        super().__init__(database)
        self._board = board
        self._dispatch = dispatch

    def make(self) -> Dispatch:
        return self._dispatch(self.database, self._board())

    def end_session(self, dispatch: Any, past: Any) -> None:
        dispatch.board.close()


def on_zookeeper(hosts: str) -> Callable[[], Any]:
    return functools.partial(open_board, "countermand", ZookeeperOptions(hosts, f"/{uuid.uuid4()}"))


def on_redis(hosts: str) -> Callable[[], Any]:
    options = redis_boards.parse_redis_url(f"redis://{hosts}?namespace={uuid.uuid4()}")
    return functools.partial(redis_boards.open_board, "countermand", options)


def on_etcd(hosts: str) -> Callable[[], Any]:
    options = etcd_boards.parse_etcd_url(f"etcd://{hosts}/{uuid.uuid4()}")
    return functools.partial(etcd_boards.open_board, "countermand", options)


ON_SERVERS = {"zookeeper": on_zookeeper, "redis": on_redis, "etcd": on_etcd}


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, _postgresql_template: str) -> str:
    return emptied(postgresql, _postgresql_template)


SQL = ["sql-sqlite", "sql-postgresql"]
BESIDE = ["outside-sqlite", "outside-postgresql", *(f"{board}-sqlite" for board in ON_SERVERS)]


@pytest.fixture(params=SQL + BESIDE)
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(taskflow, "_POSTED_S", 0.0)
    board, database = request.param.split("-")
    opened = open_database(request.getfixturevalue(f"{database}_url"))
    made: Desk
    if board in ON_SERVERS:
        dispatch = ZookeeperDispatch if board == "zookeeper" else TaskflowDispatch
        made = ServerDesk(opened, ON_SERVERS[board](request.getfixturevalue(board).hosts), dispatch)
    else:
        made = {"sql": SqlDesk, "outside": OutsideDesk}[board](opened)
    made.open()
    yield made
    made.stack.close()
    opened.close()


def claimed(dispatch: Dispatch, owner: Owner, limit: int = 10) -> list[Claim]:
    return dispatch.claim(owner, FLOWS, limit)


def posted(desk: Desk, dispatch: Any, owner: Owner) -> str:
    """A job that is on the board."""
    job = desk.post()
    dispatch._feed_at_s = 0.0
    dispatch.claim(owner, FLOWS, 0)  # which feeds the board
    until(lambda: desk.posting_of(job), what="its posting")
    return job


# What is ahead


def test_a_look_tells_what_is_ahead(desk: Desk):
    dispatch, owner = desk.enter()
    assert dispatch.look(FLOWS) == Ahead(ready=False, dead=False, due_s=None)
    job = posted(desk, dispatch, owner)
    until(lambda: dispatch.look(FLOWS).ready, what="its sight")
    assert not dispatch.look(["another"]).ready
    assert [claim.job for claim in claimed(dispatch, owner)] == [job]
    until(lambda: not dispatch.look(FLOWS).ready, what="its end")
    desk.records.post([NewJob("f", {}, due_at=desk.database.now() + timedelta(hours=1))], by="ann")
    ahead = dispatch.look(FLOWS)
    assert not ahead.ready
    assert 3500 < (ahead.due_s or 0) <= 3600


def test_a_look_sees_the_dead_where_a_board_leaves_that_to_us(desk: Desk):
    (one, first), (two, _second) = desk.enter("one"), desk.enter("two")
    posted(desk, one, first)
    assert len(claimed(one, first)) == 1
    if isinstance(one, SqlDispatch):
        past = desk.database.now() - timedelta(hours=1)
        with desk.database.write() as connection:
            mine = sessions.c.id == one.board.session.id
            connection.execute(sa.update(sessions).where(mine).values(expires_at=past))
        assert two.look(FLOWS).dead
        assert two.free_dead_claims() == 1
    assert not two.look(FLOWS).dead


# Postings


def test_where_all_is_well_nothing_is_mended(desk: Desk):
    (one, first), (two, second) = desk.enter("one"), desk.enter("two")
    waits, runs = posted(desk, one, first), posted(desk, one, first)
    assert len(claimed(one, first, 1)) == 1
    if desk.board:  # elsewhere a cancel leaves a posting to be removed
        desk.records.cancel(posted(desk, two, second), by="ann")
    assert [one.mend(first, {waits, runs}), two.mend(second, ())] == [0, 0]
    assert [len(claimed(two, second)), two.mend(second, {waits, runs})] == [1, 0]


def test_a_due_job_whose_posting_is_gone_is_posted_again(desk: Desk):
    dispatch, owner = desk.enter()
    job = posted(desk, dispatch, owner)
    desk.remove(desk.posting_of(job))
    assert claimed(dispatch, owner) == []
    assert dispatch.mend(owner, ()) == 1
    assert [claim.job for claim in claimed(dispatch, owner)] == [job]
    assert dispatch.mend(owner, [job]) == 0


def test_a_job_whose_conductor_died_without_a_posting_is_posted_again(desk: Desk):
    (one, first), (two, second) = desk.enter("one"), desk.enter("two")
    job = posted(desk, one, first)
    assert len(claimed(one, first)) == 1
    desk.die(one, first)
    until(lambda: desk.owner_of(desk.posting_of(job)) is None, timeout=30, what="the claim's end")
    desk.remove(desk.posting_of(job))
    assert two.mend(second, ()) == 1
    assert [(claim.job, claim.epoch) for claim in claimed(two, second)] == [(job, 2)]


def test_the_posting_of_a_job_that_rests_is_removed(desk: Desk):
    dispatch, owner = desk.enter()
    job = posted(desk, dispatch, owner)
    desk.change(job, state="cancelled", posting=None)
    assert dispatch.mend(owner, ()) == 1
    assert desk.on_board() == []


@pytest.mark.parametrize("of", ["a job that has another", "a job that is gone"])
def test_a_posting_that_no_record_knows_is_removed(desk: Desk, of: str):
    dispatch, owner = desk.enter()
    job = posted(desk, dispatch, owner)
    desk.plant(job if of == "a job that has another" else "01j00000000000000000000000")
    assert len(desk.on_board()) == 2
    assert dispatch.mend(owner, ()) == 1
    (left,) = desk.on_board()
    assert left.uuid == desk.posting_of(job).uuid
    assert [claim.job for claim in claimed(dispatch, owner)] == [job]


def test_what_others_posted_is_left_alone(desk: Desk):
    dispatch, owner = desk.enter()
    desk.plant(None)
    assert dispatch.mend(owner, ()) == 0
    assert [posting.details for posting in desk.on_board()] == [{"of": "someone else"}]


@pytest.mark.parametrize("posted_s", [0.0, 0.05], ids=["at once", "after a second look"])
def test_more_than_a_batch_is_mended_batch_by_batch(desk: Desk, monkeypatch: pytest.MonkeyPatch, posted_s: float):
    monkeypatch.setattr(taskflow, "_POSTED_S", posted_s)
    monkeypatch.setattr(reconciler, "BATCH", 3)
    dispatch, owner = desk.enter()
    known = {posted(desk, dispatch, owner) for _ in range(8)}
    for posting in desk.on_board():
        desk.remove(posting)
    passes: list[int] = []
    # How many it takes is not fixed: what is posted under a new id may come round again.
    until(lambda: passes.append(dispatch.mend(owner, ())) or sum(passes) >= 8, timeout=60, what="all of them")
    assert (sum(passes), max(passes)) == (8, 3)
    assert {claim.job for claim in claimed(dispatch, owner)} == known


@pytest.mark.parametrize("desk", BESIDE, indirect=True)  # the other has no window
def test_jobs_that_another_board_was_fed_with_wait_for_room_on_this_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(taskflow, "WINDOW", 5)
    monkeypatch.setattr(taskflow, "_PER_SLOT", 1)
    dispatch, owner = desk.enter()
    before = Records(desk.database, "the board before")
    known = [job.id for job in before.post([NewJob("f", {})] * 12, by="ann")]
    runs = desk.post()  # its conductor died
    desk.change(runs, state="running", begun=True, epoch=1, claims=1, posting=str(uuid.uuid4()), due_at=LONG_AGO)
    taken: list[str] = []
    while len(taken) < 13:
        dispatch.mend(owner, taken)
        claims = claimed(dispatch, owner, 2)
        assert claims
        assert len(desk.on_board()) <= 6
        for claim in claims:
            desk.change(claim.job, state="completed", posting=None, owner=None)
            dispatch.was_put_down(claim, keep_posting=False)
        taken += [claim.job for claim in claims]
    assert runs in taken[:2]
    assert sorted(taken) == sorted([*known, runs])


def test_two_who_mend_at_once_do_no_harm(desk: Desk):
    pairs = [desk.enter("one"), desk.enter("two")]
    dispatch, owner = pairs[0]
    known = [posted(desk, dispatch, owner) for _ in range(20)]
    for posting in desk.on_board()[:10]:
        desk.remove(posting)
    for _ in range(10):
        desk.plant("01j00000000000000000000000")
    together = threading.Barrier(2)
    failed: list[Exception] = []

    def mend(dispatch: Dispatch, owner: Owner) -> None:
        together.wait(10)
        try:
            for _ in range(3):
                dispatch.mend(owner, ())
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=mend, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    taken = [claim.job for dispatch, owner in pairs for claim in dispatch.claim(owner, FLOWS, 30)]
    assert sorted(taken) == sorted(known)
    dispatch.mend(owner, taken)
    assert {desk.row(job)["epoch"] for job in known} == {1}


# Claims


@pytest.mark.parametrize("desk", BESIDE, indirect=True)  # on the other a posting's id is unique
def test_a_job_that_is_on_the_board_twice_is_had_once(desk: Desk):
    dispatch, owner = desk.enter()
    job = posted(desk, dispatch, owner)
    desk.looker.board.post("f", details=desk.posting_of(job).details)
    assert [claim.job for claim in claimed(dispatch, owner)] == [job]
    assert [claim.job for claim in dispatch.claim(owner, FLOWS, 10, busy=[job])] == []
    assert desk.row(job)["epoch"] == 1


def test_a_claim_whose_reply_was_lost_is_freed_and_does_not_count(desk: Desk):
    (one, first), (two, second) = desk.enter("one"), desk.enter("two")
    job = posted(desk, one, first)
    claimed(one, first)  # and the answer never came
    assert claimed(two, second) == []
    assert two.mend(second, ()) == 0  # its conductor lives
    assert one.mend(first, ()) >= 1
    assert (desk.row(job)["owner"], desk.row(job)["claims"]) == (None, 0)
    lines = history.read(desk.database, job, kinds=[history.STATE])
    assert "answer to it was lost" in (lines[-1].message or "")
    (again,) = until(lambda: claimed(two, second), what="the claim of another")
    assert (again.job, again.epoch, again.claims) == (job, 2, 1)


def test_what_runs_is_left_alone(desk: Desk):
    dispatch, owner = desk.enter()
    runs, lost = posted(desk, dispatch, owner), posted(desk, dispatch, owner)
    assert len(claimed(dispatch, owner)) == 2
    dispatch.mend(owner, [runs])
    assert desk.row(runs)["owner"] == desk.owner_of(desk.posting_of(runs)) == owner.id
    assert (desk.row(lost)["owner"], desk.owner_of(desk.posting_of(lost))) == (None, None)


@pytest.mark.parametrize("desk", BESIDE, indirect=True)  # the other is told in the record's transaction
def test_a_claim_that_only_the_board_knows_is_given_back(desk: Desk):
    (one, first), (two, second) = desk.enter("one"), desk.enter("two")
    job = posted(desk, one, first)
    (posting,) = list(one.board.iterjobs(ensure_fresh=True))
    one.board.claim(posting, first.id)
    assert two.mend(second, ()) == 0
    assert one.mend(first, ()) == 1
    (taken,) = until(lambda: claimed(two, second), what="the claim of another")
    assert (taken.job, taken.epoch) == (job, 1)


# Conductors


def test_the_rows_of_conductors_long_dead_are_removed(desk: Desk):
    (dispatch, owner), (_, yesterday), (_, before) = desk.enter("one"), desk.enter("two"), desk.enter("three")
    for dead, hours in ((yesterday, 23), (before, 25)):
        past = desk.database.now() - timedelta(hours=hours)
        with desk.database.write() as connection:
            connection.execute(sa.update(conductors).where(conductors.c.owner == dead.id).values(expires_at=past))
    assert dispatch.mend(owner, ()) == 1
    with desk.database.read() as connection:
        names = set(connection.execute(sa.select(conductors.c.name)).scalars())
    assert names == {"one", "two"}


def test_jobs_that_another_kind_of_board_was_fed_with_are_posted_on_the_sql_board(database_url: str):
    """The setting was changed, and the other board is no more."""
    database = open_database(database_url)
    before = OutsideDesk(database)
    before.open()
    dispatch, owner = before.enter()
    job = posted(before, dispatch, owner)
    before.stack.close()
    after = SqlDesk(database)
    after.open()
    dispatch, owner = after.enter()
    assert claimed(dispatch, owner) == []
    with database.write() as connection:
        connection.execute(sa.delete(postings))
    assert dispatch.mend(owner, ()) == 1
    assert [claim.job for claim in claimed(dispatch, owner)] == [job]
    after.stack.close()
    database.close()
