"""The records, on both databases: what is asked of them, all at once too, and what they then hold."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from jobboard import feeder, history
from jobboard.address import MASK
from jobboard.claims import take
from jobboard.database import Database, open_database
from jobboard.decisions import Accept, Refuse, on_cancel, on_retry
from jobboard.errors import AmbiguousJob, Fenced, KeyInUse, NoSuchJob, Refused, Unreachable
from jobboard.feeder import take_due
from jobboard.journal import Journal
from jobboard.models import PRIORITIES, HistoryLine, Job, NewJob, Task, TaskError
from jobboard.owner import Owner
from jobboard.records import Records
from jobboard.schema import attempts, events, jobs, metadata, postings
from jobboard.signals import Channel, Listener
from jobboard.states import AT_REST, ENDED, Cause, State
from jobboard.task_view import AtomState
from jobboard.taskflow_rows import LOGBOOKS, TaskflowRows
from tests.emptied import emptied
from tests.histories.lossy import LossyDatabase, Lost
from tests.servers import PostgreSQL

T = TypeVar("T")
BOARD = "test"


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, _postgresql_template: str) -> str:
    return emptied(postgresql, _postgresql_template)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    yield database
    database.close()


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database, BOARD)


@pytest.fixture
def elsewhere(database: Database) -> Records:
    """The board is not in this database: conductors feed it."""
    return Records(database, None)


def post(records: Records, flow: str = "f", **how: Any) -> str:
    return records.post([NewJob(flow, how.pop("arguments", {"n": 1}), **how)], by="ann")[0].id


def put(database: Database, job: str, state: State, **columns: Any) -> None:
    """Bring a record to a state, as if what leads there had happened."""
    with database.write() as connection:
        if state in AT_REST and "posting" not in columns:
            columns["posting"] = None
            connection.execute(sa.delete(postings).where(postings.c.job == job))
        connection.execute(sa.update(jobs).where(jobs.c.id == job).values(state=str(state), **columns))


def row_of(database: Database, job: str) -> Any:
    with database.read() as connection:
        return connection.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().one()


def rows(database: Database, table: sa.Table, **wanted: Any) -> list[Any]:
    query = sa.select(table).filter_by(**wanted).order_by(*table.primary_key)
    with database.read() as connection:
        return list(connection.execute(query).mappings())


def everything(database: Database) -> dict[str, int]:
    """How many rows our tables hold."""
    with database.read() as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def lines(database: Database, job: str) -> list[HistoryLine]:
    return history.read(database, job, kinds=[history.STATE])


def at_once(*calls: Callable[[], T]) -> list[T | Exception]:
    """Call all of them in threads that start together; what each returned or raised."""
    together = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | Exception:
        together.wait(10)
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


# Posting


def test_a_posted_job_is_pending_and_on_the_board(database, records):
    before = database.now()
    job = records.get(post(records, "pack", priority="high", timeout_s=5.0, max_retries=2))
    assert (job.flow, job.arguments, job.state) == ("pack", {"n": 1}, State.PENDING)
    assert (job.progress, job.attempt, job.priority, job.tasks) == (0.0, 1, "high", ())
    assert job.posted_at == job.due_at
    assert before <= job.posted_at <= database.now()
    assert job.posted_at.tzinfo is UTC
    empty = (
        job.reason,
        job.error,
        job.key,
        job.started_at,
        job.finished_at,
        job.conductor,
        job.cancel,
        job.results,
    )
    assert empty == (None,) * 8
    (posting,) = rows(database, postings, job=job.id)
    assert (posting["board"], posting["name"], posting["session"]) == (BOARD, "pack", None)
    assert posting["priority"] == PRIORITIES.index("high")
    assert posting["uuid"] == row_of(database, job.id)["posting"]
    (attempt,) = rows(database, attempts, job=job.id)
    assert (attempt["number"], attempt["arguments"]) == (1, {"n": 1})


def test_without_the_sql_board_conductors_feed_theirs(database, elsewhere):
    job = post(elsewhere)
    assert row_of(database, job)["posting"] is None
    assert elsewhere.cancel(job, by="bob").state is State.CANCELLED
    assert elsewhere.retry(job, by="bob").state is State.PENDING
    assert row_of(database, job)["posting"] is None
    assert rows(database, postings) == []


@pytest.mark.parametrize("how", [{"max_running": 1}, {"due_at": datetime.now(UTC) + timedelta(hours=1)}])
def test_a_job_that_has_to_wait_is_not_on_the_board_yet(database, records, how):
    job = post(records, **how)
    assert row_of(database, job)["posting"] is None
    assert rows(database, postings) == []


def test_a_due_time_that_is_over_is_now(database, records):
    due = datetime.now(UTC) - timedelta(hours=1)
    job = records.get(post(records, due_at=due))
    assert job.due_at == due
    assert len(rows(database, postings)) == 1


def test_many_are_posted_in_their_order(database, records):
    posted = records.post([NewJob("f", {"n": n}, key=f"k{n}") for n in range(2500)], by="ann")
    assert [job.id for job in posted] == sorted(job.id for job in posted)
    assert records.count() == {"f": {"pending": 2500}}
    again = records.post([NewJob("f", {"n": n}, key=f"k{n}") for n in range(2500)], by="bob")
    assert [job.id for job in again] == [job.id for job in posted]
    assert all(job.existed for job in again)


def test_nothing_is_nothing(database, records):
    assert records.post([], by="ann") == []
    assert not any(everything(database).values())


@pytest.mark.parametrize(
    "wrong",
    [
        NewJob("f", {"n": 2}, key="k"),  # a key in use
        NewJob("f", {"n": float("nan")}),
    ],
    ids=["key", "nan"],
)
def test_all_are_posted_or_none(database, records, wrong):
    post(records, key="k")
    before = everything(database)
    with pytest.raises(Exception, match=r"key|JSON"):
        records.post([NewJob("f", {"n": 7}), wrong, NewJob("f", {"n": 8})], by="ann")
    assert everything(database) == before


# Keys


def test_a_key_gives_the_job_back_until_it_has_ended(database, records):
    job = post(records, key="k")
    for state in [state for state in State if state not in ENDED]:
        put(database, job, state)
        (again,) = records.post([NewJob("f", {"n": 1}, key="k")], by="bob")
        assert (again.id, again.existed) == (job, True)
    assert len(rows(database, jobs)) == 1


def test_a_key_is_free_again_when_its_job_has_ended(database, records):
    for state in ENDED:
        job = post(records, key="k")
        put(database, job, state)
        (fresh,) = records.post([NewJob("g", {"n": 2}, key="k")], by="bob")
        assert fresh.id != job
        assert not fresh.existed
        put(database, fresh.id, State.CANCELLED)


@pytest.mark.parametrize("other", [NewJob("g", {"n": 1}, key="k"), NewJob("f", {"n": 2}, key="k")])
def test_a_key_with_another_flow_or_other_arguments_is_refused(records, other):
    job = post(records, key="k")
    with pytest.raises(KeyInUse, match=f"job {job}: has the key 'k' with another flow") as refused:
        records.post([other], by="bob")
    assert (refused.value.job, refused.value.state) == (job, "pending")


def test_one_key_twice_in_one_post_is_one_job(records):
    first, second = records.post([NewJob("f", {"n": 1}, key="k"), NewJob("f", {"n": 1}, key="k")], by="ann")
    assert first.id == second.id
    assert [first.existed, second.existed] == [False, True]
    with pytest.raises(KeyInUse):
        records.post([NewJob("f", {"n": 1}, key="j"), NewJob("f", {"n": 2}, key="j")], by="ann")


def test_posts_with_one_key_at_once_make_one_job(database, records):
    for turn in range(10):
        new = [NewJob("f", {"n": 1}, key=f"k{turn}")]
        answers = at_once(*[lambda new=new: records.post(new, by="ann")[0] for _ in range(6)])
        assert len({answer.id for answer in answers}) == 1
        assert Counter(answer.existed for answer in answers) == {False: 1, True: 5}
    assert len(rows(database, jobs)) == len(rows(database, attempts)) == 10


def test_posts_at_once_with_the_same_keys_in_other_orders_do_not_block_each_other(database, records):
    for turn in range(5):
        new = [NewJob("f", {"n": 1}, key=f"{turn}-{n}") for n in range(100)]
        answers = at_once(
            lambda new=new: records.post(new, by="ann"), lambda new=new: records.post(new[::-1], by="bob")
        )
        assert [len(answer) for answer in answers] == [100, 100]
    assert len(rows(database, jobs)) == 500


# Cancel


def test_a_cancel_does_what_is_decided_for_the_state(database, records):
    for state, begun, kept in product(State, [True, False], [True, False]):
        check_cancel(database, records, state, begun=begun, kept=kept)


def check_cancel(database: Database, records: Records, state: State, *, begun: bool, kept: bool) -> None:
    job = post(records)
    put(database, job, state, begun=begun, kept=kept)
    told = len(lines(database, job))
    decision = on_cancel(state, begun=begun, kept=kept)
    if isinstance(decision, Refuse):
        with pytest.raises(Refused) as refused:
            records.cancel(job, by="bob", reason="enough")
        assert str(refused.value) == f"job {job}: {decision.why}"
        assert (refused.value.job, refused.value.state) == (job, state)
    else:
        answer = records.cancel(job, by="bob", reason="enough")
        assert answer == records.get(job)
        assert answer.state is (decision.target if isinstance(decision, Accept) else state)
    if isinstance(decision, Accept):
        line = lines(database, job)[-1]
        assert (line.state, line.by, line.attempt) == (str(decision.target), "bob", 1)
        assert line.message == "cancelled by bob: enough"
        assert (answer.cancel.by, answer.cancel.reason) == ("bob", "enough")
        assert line.at == answer.cancel.requested_at
    else:
        assert len(lines(database, job)) == told
        assert records.get(job).cancel is None


def test_a_job_that_never_began_is_cancelled_at_once(database, records):
    job = post(records)
    answer = records.cancel(job, by="bob")
    assert (answer.state, answer.reason) == (State.CANCELLED, "cancelled by bob")
    cancel = answer.cancel
    moments = {cancel.requested_at, cancel.delivered_at, cancel.stopped_at, answer.finished_at}
    assert len(moments) == 1
    assert None not in moments
    assert (cancel.reverted, cancel.total) == (0, 0)
    assert rows(database, postings) == []
    assert row_of(database, job)["posting"] is None
    assert ends(database, job) == [("cancelled", answer.finished_at)]


def test_a_cancel_of_many_ends_the_attempts_that_never_began(database, records):
    waiting, running = post(records), post(records)
    put(database, running, State.RUNNING, begun=True)
    cancelled, _cancelling = records.cancel_many([waiting, running], by="bob")
    assert ends(database, waiting) == [("cancelled", cancelled.finished_at)]
    assert ends(database, running) == [(None, None)]


def ends(database: Database, job: str) -> list[Any]:
    return [(row["outcome"], row["ended_at"]) for row in rows(database, attempts, job=job)]


def test_a_running_job_keeps_its_posting_and_its_conductor(database, records):
    job = post(records)
    put(database, job, State.RUNNING, begun=True, owner="host:1:x", conductor="one")
    before = row_of(database, job)
    answer = records.cancel(job, by="bob")
    after = row_of(database, job)
    assert (after["posting"], after["owner"], after["epoch"]) == (before["posting"], "host:1:x", before["epoch"])
    assert (answer.conductor, answer.finished_at, answer.cancel.delivered_at) == ("one", None, None)


@pytest.mark.parametrize("state", [State.PAUSED, State.PENDING])
def test_a_cancel_of_effects_that_wait_wants_a_conductor_now(database, records, state):
    job = post(records, due_at=datetime.now(UTC) + timedelta(hours=1))
    put(database, job, state, begun=True)
    answer = records.cancel(job, by="bob")
    assert answer.state is State.CANCELLING
    assert answer.due_at <= database.now()


def test_a_second_cancel_changes_nothing(database, records):
    job = post(records)
    first = records.cancel(job, by="bob", reason="enough")
    assert records.cancel(job, by="eve", reason="me too") == first
    assert [line.by for line in lines(database, job)] == ["ann", "bob"]


def test_cancels_at_once_get_the_same_answer(database, records):
    for state in (State.PENDING, State.RUNNING, State.REVERTING):
        job = post(records)
        put(database, job, state, begun=state is not State.PENDING)
        answers = at_once(*[lambda job=job, n=n: records.cancel(job, by=f"user{n}") for n in range(20)])
        assert {repr(answer) for answer in answers} == {repr(records.get(job))}
        assert [line.by for line in lines(database, job)] == ["ann", answers[0].cancel.by]


def test_unknown_jobs_are_named(records):
    for request in (records.get, lambda job: records.cancel(job, by="x"), lambda job: records.retry(job, by="x")):
        with pytest.raises(NoSuchJob, match="no such job: 0123"):
            request("0123")


# The end against a cancel


def seal(database: Database, job: str) -> State:
    """What a conductor's seal does to the record."""
    journal = Journal(database, job, 1, row_of(database, job)["epoch"], [])
    with journal.begin() as connection:
        return journal.move(
            connection,
            (State.RUNNING, State.PAUSING),
            Cause.SEAL,
            State.COMPLETED,
            finished_at=database.now(),
            posting=None,
        )


def test_of_a_cancel_and_the_end_exactly_one_wins_and_the_loser_is_told(database, records):
    won: Counter[State] = Counter()
    ids = [job.id for job in records.post([NewJob("f", {"n": n}) for n in range(200)], by="ann")]
    with database.write() as connection:
        connection.execute(sa.update(jobs).values(state="running", begun=True, epoch=1))
    together = threading.Barrier(2)

    def each(call: Callable[[str], Any]) -> list[Any]:
        answers = []
        for job in ids:
            together.wait(30)
            try:
                answers.append(call(job))
            except Refused as refused:
                answers.append(refused)
        return answers

    with ThreadPoolExecutor(2) as threads:
        cancelled = threads.submit(each, lambda job: records.cancel(job, by="bob"))
        sealed = threads.submit(each, lambda job: seal(database, job))
    for job, cancel, end in zip(ids, cancelled.result(), sealed.result(), strict=True):
        state = records.get(job).state
        won[state] += 1
        assert end is state
        if state is State.COMPLETED:
            assert isinstance(cancel, Refused)
            assert (cancel.state, cancel.why) == ("completed", "already completed, nothing to cancel")
        else:
            assert (state, cancel.state) == (State.CANCELLING, State.CANCELLING)
        assert [line.state for line in lines(database, job)] == ["pending", str(state)]
    assert sum(won.values()) == 200


# Retry


def test_a_retry_does_what_is_decided_for_the_state(database, records):
    for state in State:
        check_retry(database, records, state)


def check_retry(database: Database, records: Records, state: State) -> None:
    job = post(records, max_retries=3)
    put(database, job, state, begun=True)
    before = records.get(job)
    decision = on_retry(state)
    if isinstance(decision, Refuse):
        with pytest.raises(Refused) as refused:
            records.retry(job, by="bob")
        assert refused.value.why == decision.why
        assert records.get(job) == before
        return
    answer = records.retry(job, by="bob")
    assert (answer.state, answer.attempt) == (State.PENDING, 2)
    line = lines(database, job)[-1]
    assert (line.state, line.by, line.attempt, line.message) == ("pending", "bob", 2, "retried by hand")


def test_a_retry_begins_from_nothing(database, records):
    job = post(records, priority="low", max_retries=3, key="k")
    now = database.now()
    put(
        database,
        job,
        State.CANCELLED,
        begun=True,
        ran_s=7.0,
        progress=0.5,
        claims=3,
        retries_left=1,
        started_at=now,
        finished_at=now,
        reason="cancelled by x",
        error={"task": "a", "type": "E", "message": "m"},
        conductor="one",
        results={"x": 1},
        cancel_requested_at=now,
        cancel_by="x",
        tasks=[{"name": "a", "state": "reverted", "error": None}],
    )
    answer = records.retry(job, by="bob")
    fresh = records.get(post(records, priority="low", max_retries=3, arguments={"n": 2}))
    untouched = {"id", "attempt", "epoch", "posted_at", "due_at", "arguments", "key"}
    for name in Job.__dataclass_fields__.keys() - untouched:
        assert getattr(answer, name) == getattr(fresh, name), name
    row = row_of(database, job)
    assert (row["retries_left"], row["claims"], row["ran_s"], row["begun"]) == (3, 0, 0.0, False)
    assert [posting["uuid"] for posting in rows(database, postings, job=job)] == [row["posting"]]
    assert [attempt["number"] for attempt in rows(database, attempts, job=job)] == [1, 2]


def test_a_retry_has_a_posting_of_its_own(database, records):
    job = post(records)
    first = row_of(database, job)["posting"]
    records.cancel(job, by="bob")
    records.retry(job, by="bob")
    second = row_of(database, job)["posting"]
    assert second not in (None, first)
    assert [posting["uuid"] for posting in rows(database, postings)] == [second]


def test_retries_at_once_make_one_attempt(database, records):
    for _ in range(10):
        job = post(records)
        put(database, job, State.FAILED)
        answers = at_once(*[lambda job=job: records.retry(job, by="bob") for _ in range(4)])
        assert Counter(type(answer) for answer in answers) == {Job: 1, Refused: 3}
        assert records.get(job).attempt == len(rows(database, attempts, job=job)) == 2


def test_a_retry_and_a_cancel_at_once_leave_one_of_two_histories(database, records):
    for _ in range(10):
        job = post(records)
        records.cancel(job, by="ann")
        retried, cancelled = at_once(
            lambda job=job: records.retry(job, by="bob"), lambda job=job: records.cancel(job, by="eve")
        )
        assert retried.attempt == 2
        # The cancel was for the attempt that had been cancelled before, or for the new one.
        assert cancelled.state is State.CANCELLED
        assert records.get(job).state is (State.CANCELLED if cancelled.attempt == 2 else State.PENDING)


def test_a_retry_is_refused_while_its_key_has_a_newer_job(database, records):
    old = post(records, key="k")
    records.cancel(old, by="ann")
    new = post(records, key="k")
    with pytest.raises(Refused, match="its key 'k' has a newer job now"):
        records.retry(old, by="ann")
    assert records.get(old).state is State.CANCELLED
    assert len(rows(database, attempts, job=old)) == 1
    records.cancel(new, by="ann")
    assert records.retry(old, by="ann").state is State.PENDING


def test_a_kept_job_whose_key_has_a_newer_job_is_refused_among_many(database, records):
    kept = post(records, key="k")
    put(database, kept, State.FAILED, begun=True, kept=True)
    newer, other, alike = post(records, key="k"), post(records), post(records, key="m")
    put(database, alike, State.FAILED, begun=True, kept=True)
    with pytest.raises(Refused, match="its key 'k' has a newer job now"):
        records.cancel(kept, by="bob")
    answers = dict(zip(ids := [kept, other, alike], records.cancel_many(ids, by="bob"), strict=True))
    assert str(answers[kept]) == f"job {kept}: its key 'k' has a newer job now"
    assert (answers[other].state, answers[alike].state) == (State.CANCELLED, State.CANCELLING)
    assert records.states([kept, newer]) == {kept: State.FAILED, newer: State.PENDING}


def test_a_retry_and_a_post_with_one_key_at_once_leave_one_live_job(database, records):
    for turn in range(10):
        key = f"k{turn}"
        old = post(records, key=key)
        records.cancel(old, by="ann")
        retried, posted = at_once(
            lambda old=old: records.retry(old, by="bob"),
            lambda key=key: records.post([NewJob("f", {"n": 1}, key=key)], by="eve")[0],
        )
        live = [row["id"] for row in rows(database, jobs, key=key) if row["state"] == "pending"]
        assert live == [posted.id]
        assert isinstance(retried, Job) == (posted.id == old)


# Claims


def claim(database: Database, *ids: str, name: str = "one") -> list[Any]:
    uuids = [row_of(database, job)["posting"] or "none" for job in ids]
    with database.write() as connection:
        return take(connection, database, Owner(name, f"host:1:{name}"), uuids, {})


def test_who_claims_is_not_woken_for_a_job_that_a_conductor_has(postgresql_url):
    with closing(open_database(postgresql_url)) as database, Listener(database) as listener:
        records = Records(database, BOARD)
        running, pending = post(records), post(records)
        claim(database, running)
        heard(listener)
        records.cancel(running, by="bob")
        assert heard(listener) == {Channel.CONTROL, Channel.CHANGE}
        records.cancel(pending, by="bob")
        assert heard(listener) == {*Channel}, "there may be room for the next now"


def heard(listener: Listener) -> set[Channel]:
    """All that was signalled so far: it comes with the commit, but not always at once."""
    found = set(listener.wait(30))
    while more := listener.wait(0.1):
        found |= more
    return found


def test_each_claim_raises_the_epoch_and_says_so(database, records):
    job = post(records)
    (first,) = claim(database, job)
    assert (first.job, first.state, first.epoch, first.resumed, first.claims) == (job, State.RUNNING, 1, False, 1)
    (second,) = claim(database, job, name="two")
    assert (second.epoch, second.resumed, second.claims) == (2, True, 2)
    said = [(line.state, line.by, line.message) for line in lines(database, job)[1:]]
    assert said == [
        ("running", "one", "claimed by one"),
        ("running", "two", "taken over by two from one, which was not heard of any more"),
    ]
    assert records.get(job).conductor == "two"


def test_a_claim_moves_only_what_is_pending_and_takes_nothing_at_rest(database, records):
    for state in State:
        check_claim(database, records, state)


def check_claim(database: Database, records: Records, state: State) -> None:
    job = post(records)
    posting = row_of(database, job)["posting"]
    put(database, job, state, posting=posting)
    claims = claim(database, job)
    if state in AT_REST:
        assert claims == []
        assert records.get(job).state is state
    else:
        assert [taken.state for taken in claims] == [State.RUNNING if state is State.PENDING else state]


def test_claims_come_in_the_order_of_the_board(database, records):
    ids = [post(records, arguments={"n": n}) for n in range(5)]
    assert [taken.job for taken in claim(database, *reversed(ids))] == ids[::-1]


def test_what_a_stale_claim_writes_is_refused(database, records):
    job = post(records)
    (stale,) = claim(database, job)
    claim(database, job, name="two")
    journal = Journal(database, job, 1, stale.epoch, [Task("a")])
    journal.note(history.LOG, message="too late")
    before = everything(database), row_of(database, job)
    with pytest.raises(Fenced, match=f"job {job}: claim of epoch 1 is stale"), journal.begin():
        pytest.fail("the block must not be entered")
    assert journal.lost
    assert (everything(database), row_of(database, job)) == before


@pytest.fixture
def lossy(database: Database) -> LossyDatabase:
    return LossyDatabase(database.engine)


@pytest.fixture
def journal(database: Database, records: Records, lossy: LossyDatabase) -> Journal:
    """Of a claimed job, through the lossy database."""
    job = post(records)
    (taken,) = claim(database, job)
    return Journal(lossy, job, 1, taken.epoch, [Task("a")])


@pytest.mark.parametrize("lost", Lost)
def test_lines_are_told_once_whatever_was_lost(database, lossy, journal, lost):
    for number in range(3):
        journal.note(history.LOG, message=f"line {number}")
        lossy.lose = lost
        with pytest.raises(Unreachable):
            journal.flush()
    journal.note(history.LOG, message="line 3")
    journal.flush()
    said = [line.message for line in history.read(database, journal.job, kinds=[history.LOG])]
    assert said == [f"line {number}" for number in range(4)]


@pytest.mark.parametrize("lost", Lost)
def test_a_task_is_told_once_and_together_with_what_is_stored_of_it(database, records, lossy, journal, lost):
    rows = TaskflowRows(books={"book": {"uuid": "book", "name": "b", "meta": {}}})
    journal.put(rows, [AtomState("a", "RUNNING")])
    lossy.lose = lost
    with pytest.raises(Unreachable):
        journal.store()
    journal.flush()  # by whoever watches the job, before TaskFlow tries again, if it does
    journal.store()
    with database.read() as connection:
        assert connection.execute(sa.select(LOGBOOKS.c.uuid)).scalars().all() == ["book"]
    assert [line.state for line in history.read(database, journal.job, kinds=[history.TASK])] == ["running"]
    (shown,) = records.get(journal.job).tasks
    assert shown.state == "running"


@pytest.mark.parametrize("request_", ["retry", "force"])
def test_who_had_the_last_attempt_writes_nothing_into_the_next(database, records, request_):
    job = post(records)
    (last,) = claim(database, job)
    journal = Journal(database, job, 1, last.epoch, [Task("a", "reverted")])
    journal.note(history.LOG, message="still to be written")  # its reply to the end of the attempt was lost
    if request_ == "retry":
        put(database, job, State.CANCELLED)
        records.retry(job, by="bob")
    else:
        put(database, job, State.REVERT_FAILED)
        records.force(job, by="bob", reason="looked at it")
    before = everything(database), row_of(database, job)
    with pytest.raises(Fenced):
        journal.flush()
    assert (everything(database), row_of(database, job)) == before


# What is due


FLOWS = ["f", "limited", "other"]


def fed(database: Database, limit: int = 10, flows: Sequence[str] = FLOWS, there: Sequence[int] = ()) -> list[str]:
    with database.write() as connection:
        return [row["id"] for row in take_due(connection, database, flows, limit, there)]


def test_what_is_due_comes_by_priority_and_time(database, elsewhere):
    now = database.now()
    late, early = (now - timedelta(minutes=minutes) for minutes in (1, 2))
    normal = [post(elsewhere, due_at=moment) for moment in (late, early)]
    urgent = post(elsewhere, priority="high")
    post(elsewhere, due_at=now + timedelta(hours=1))
    assert fed(database, 2) == [urgent, normal[1]]
    assert fed(database) == [normal[0]]
    assert fed(database) == []
    assert len({row_of(database, job)["posting"] for job in (*normal, urgent)} - {None}) == 3


def test_a_flow_that_may_not_run_more_holds_no_other_back(database, elsewhere):
    limited = [post(elsewhere, "limited", max_running=2) for _ in range(20)]
    other = post(elsewhere, "other", priority="low")
    assert fed(database, 5) == [*limited[:2], other]
    assert fed(database, 5) == []
    put(database, limited[0], State.COMPLETED)
    assert fed(database, 5) == [limited[2]]


def test_effects_are_reverted_whatever_the_flow_may_run(database, elsewhere):
    limited = [post(elsewhere, "limited", max_running=1) for _ in range(3)]
    put(database, limited[2], State.PENDING, begun=True)
    elsewhere.cancel(limited[2], by="bob")
    assert fed(database) == [limited[0], limited[2]]


def test_jobs_of_flows_that_nobody_there_knows_hold_no_other_back(database, elsewhere):
    strange = [post(elsewhere, "strange", priority="high") for _ in range(10)]
    limited = [post(elsewhere, "strange too", priority="high", max_running=5) for _ in range(10)]
    known = [post(elsewhere) for _ in range(3)]
    assert fed(database, 2) == known[:2]
    assert fed(database, 10) == known[2:]
    assert fed(database, 10, []) == []
    assert fed(database, 12, ["strange", "strange too"]) == [*strange, *limited[:2]]


def test_what_comes_next_of_many_flows_is_taken_in_order(database, elsewhere, monkeypatch):
    monkeypatch.setattr(feeder, "_LINES", 2)
    moment = database.now() - timedelta(hours=1)
    flows = ["a", "b", "c", "d"]
    ids = [post(elsewhere, flow, due_at=moment + timedelta(seconds=n)) for n, flow in enumerate(flows[::-1] * 3)]
    assert [fed(database, 2, flows) for _ in range(6)] == [ids[n : n + 2] for n in range(0, 12, 2)]


def test_what_is_there_takes_room(database, elsewhere):
    ids = [post(elsewhere) for _ in range(5)]
    normal, low = PRIORITIES.index("normal"), PRIORITIES.index("low")
    assert fed(database, 4, there=[normal] * 4) == []
    assert fed(database, 4, there=[normal] * 3) == ids[:1]
    assert fed(database, 4, there=[0, 0, normal, low]) == ids[1:2]


def test_what_is_less_urgent_takes_no_room_from_what_is_more(database, elsewhere):
    low, urgent = [post(elsewhere, priority="low") for _ in range(5)], []
    there = [PRIORITIES.index("low")] * 4
    assert fed(database, 4, there=there) == []
    urgent = [post(elsewhere, priority="high") for _ in range(5)]
    assert fed(database, 4, there=there) == urgent[:4]
    assert fed(database, 4) == [urgent[4], *low[:3]]


def ahead(database: Database) -> tuple[bool, float | None]:
    """Whether anything is due, and in how many seconds the next will be."""
    now = database.now()
    return feeder.seen(database.ask(feeder.ahead(len(FLOWS)), feeder.given(FLOWS, now)), now)


def test_it_is_told_when_the_next_of_its_flows_is_due(database, elsewhere):
    for_long = database.now() + timedelta(hours=1)
    post(elsewhere, "strange", due_at=for_long - timedelta(minutes=30))
    assert ahead(database) == (False, None)
    for how in ({}, {"max_running": 1}):
        post(elsewhere, due_at=for_long - timedelta(minutes=len(how)), **how)
    post(elsewhere, "limited", due_at=for_long, max_running=1)
    post(elsewhere, "strange")
    is_due, due_s = ahead(database)
    assert not is_due
    assert due_s == pytest.approx(59 * 60, abs=30)
    post(elsewhere, due_at=database.now())
    assert ahead(database) == (True, pytest.approx(59 * 60, abs=30))


def test_many_feeders_at_once_give_each_job_to_one(database, elsewhere):
    ids = [job.id for job in elsewhere.post([NewJob("f", {}, max_running=30)] * 50, by="ann")]
    answers = at_once(*[lambda: fed(database, 20) for _ in range(4)])
    given = [job for answer in answers for job in answer]
    assert sorted(given) == ids[:30]


# Reading


def test_the_newest_come_first_a_page_at_a_time(records):
    ids = [job.id for job in records.post([NewJob("f", {"n": n}) for n in range(25)], by="ann")][::-1]
    assert [job.id for job in records.list()] == ids
    pages, before = [], None
    while page := records.list(limit=10, before=before):
        pages.append([job.id for job in page])
        before = pages[-1][-1]
    assert pages == [ids[:10], ids[10:20], ids[20:]]


def test_pages_of_several_states_and_all_that_match(database, records):
    ids = [job.id for job in records.post([NewJob("fg"[n % 2], {"n": n}) for n in range(2100)], by="ann")]
    with database.write() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids[::3])).values(state="running"))
    states, pages, before = [State.PENDING, State.RUNNING], [], None
    while page := records.list(states=states, limit=500, before=before):
        pages += [job.id for job in page]
        before = pages[-1]
    assert pages == ids[::-1]
    assert list(records.matching(states=states)) == ids
    assert list(records.matching(states=[State.RUNNING], flow="f")) == ids[::6]
    matching = records.matching(states=states)
    assert next(matching) == ids[0]
    post(records)  # what comes later is not among them
    assert [ids[0], *matching] == ids


def test_filters(database, records):
    start = database.now()
    one, two, three = post(records, "f"), post(records, "g"), post(records, "f", arguments={"n": 3})
    records.cancel(one, by="ann")
    put(database, two, State.RUNNING)

    def found(**filters: Any) -> set[str]:
        return {job.id for job in records.list(**filters)}

    assert found(states=[State.CANCELLED]) == {one}
    assert found(states=[State.RUNNING, State.PENDING]) == {two, three}
    assert found(flow="f") == {one, three}
    assert found(flow="f", states=[State.PENDING]) == {three}
    assert found(flow="nobody") == set()
    assert found(since=start) == {one, two, three}
    assert found(since=records.get(three).posted_at) == {three}
    assert found(since=database.now() + timedelta(seconds=1)) == set()
    assert records.count() == {"f": {"cancelled": 1, "pending": 1}, "g": {"running": 1}}


def test_a_prefix_finds_the_one_job(records):
    job = post(records)
    for length in range(1, 27):
        assert records.resolve(job[:length]) == records.resolve(job[:length].upper()) == job
    ids = [posted.id for posted in records.post([NewJob("f", {"n": n}) for n in range(20)], by="ann")]
    assert [records.resolve(other) for other in ids] == ids


def test_an_ambiguous_prefix_names_some(records):
    ids = [job.id for job in records.post([NewJob("f", {"n": n}) for n in range(20)], by="ann")]
    with pytest.raises(AmbiguousJob, match=f"0 fits several jobs: {ids[0]}, ") as ambiguous:
        records.resolve("0")
    assert ambiguous.value.jobs == ids[:5]


def test_a_prefix_of_nothing(records):
    job = post(records)
    for prefix in ("", "zz", "%", "_", "0%", "'", "\\", "é", "0" * 26, "0" * 300, job + "0"):
        with pytest.raises(NoSuchJob):
            records.resolve(prefix)


def test_a_prefix_is_found_under_any_collation(postgresql: PostgreSQL):
    name = "collated"
    with postgresql.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
    url = postgresql.database_url(name)
    try:
        database = open_database(url)
        records = Records(database, BOARD)
        job = post(records)
        assert records.resolve(job[:25]) == records.resolve(job[:1]) == job
        ids = [job, *(posted.id for posted in records.post([NewJob("f", {"n": n}) for n in range(20)], by="ann"))]
        with pytest.raises(AmbiguousJob):
            records.resolve(ids[0][:4])
        assert [job.id for job in records.list()] == ids[::-1]
        database.close()
    finally:
        postgresql.drop_database(url)


def test_what_waits_longest(database, records):
    assert records.oldest_due() is None
    post(records, due_at=database.now() + timedelta(hours=1))
    assert records.oldest_due() is None
    past = database.now() - timedelta(minutes=1)
    job = post(records, due_at=past)
    assert records.oldest_due() == past
    records.cancel(job, by="ann")
    assert records.oldest_due() is None


def test_secrets_are_masked_and_kept(database, records):
    job = post(records, arguments={"password": "env:PASSWORD", "n": 1}, masked=("password",))
    for answer in (
        records.get(job),
        records.list()[0],
        records.cancel(job, by="ann"),
        records.retry(job, by="ann"),
    ):
        assert answer.arguments == {"password": MASK, "n": 1}
        assert "env:PASSWORD" not in repr(answer)
    assert row_of(database, job)["arguments"]["password"] == "env:PASSWORD"
    assert [attempt["arguments"]["password"] for attempt in rows(database, attempts, job=job)] == [
        "env:PASSWORD"
    ] * 2
    assert "env:PASSWORD" not in repr(rows(database, events)) + repr(rows(database, postings))


def test_values_come_back_as_they_were_stored(database, records):
    arguments = {"text": 'ü "\\ \0 \ud800', "big": 2**60, "deep": [{"a": None}, 1.5, True], "": {}}
    job = post(records, arguments=arguments)
    assert records.get(job).arguments == arguments
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, UTC)
    error = TaskError("a", "ValueError", "boom")
    put(database, job, State.FAILED, finished_at=moment, error=vars(error), results={"x": [1]})
    answer = records.get(job)
    assert (answer.finished_at, answer.error, answer.results) == (moment, error, {"x": [1]})


# History


def test_lines_are_read_in_order_and_on_from_any(database, records):
    job, other = post(records), post(records, arguments={"n": 2})
    records.cancel(job, by="bob", reason="enough")
    records.retry(job, by="eve")
    seen = lines(database, job)
    assert [(line.state, line.by, line.message, line.attempt) for line in seen] == [
        ("pending", "ann", "posted", 1),
        ("cancelled", "bob", "cancelled by bob: enough", 1),
        ("pending", "eve", "retried by hand", 2),
    ]
    assert [line.seq for line in seen] == sorted(line.seq for line in seen)
    assert [line.at for line in seen] == sorted(line.at for line in seen)
    assert history.read(database, job, kinds=[history.STATE], after=seen[0].seq) == seen[1:]
    assert history.read(database, job, kinds=[history.STATE], limit=2) == seen[:2]
    assert history.read(database, job, kinds=[history.LOG, history.TASK]) == []
    assert records.last_line(job) == seen[-1].seq
    assert records.last_line("nobody") == 0
    assert len(lines(database, other)) == 1


def test_every_kind_of_line_is_read_back(database, records):
    job = post(records)
    (taken,) = claim(database, job)
    journal = Journal(database, job, 1, taken.epoch, [Task("a")])
    journal.put(TaskflowRows(), [AtomState("a", "RUNNING")])
    journal.note(history.LOG, task="a", state="info", message="ü\nsecond line", data={"x": [1]})
    journal.flush()
    found = history.read(database, job, kinds=[history.TASK, history.LOG])
    assert [(line.kind, line.task, line.state, line.message, line.data) for line in found] == [
        ("task", "a", "running", None, None),
        ("log", "a", "info", "ü\nsecond line", {"x": [1]}),
    ]
    (shown,) = records.get(job).tasks
    assert (shown.name, shown.state) == ("a", "running")
