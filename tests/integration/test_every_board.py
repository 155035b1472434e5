"""The same happens on every board: what became of a job, and the way it took, do not tell which one it was on."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from flows.registry import Registry
from jobboard import history
from jobboard.boards.redis import RedisBoard
from jobboard.boards.sql import SqlJobBoard
from jobboard.boards.zookeeper import ZookeeperBoard
from jobboard.database import open_database
from jobboard.dispatch.opening import open_dispatch
from jobboard.dispatch.taskflow import WINDOW
from jobboard.models import NewJob, TaskError
from jobboard.owner import new_owner
from jobboard.schema import attempts, conductors, events, jobs, sessions
from jobboard.states import State
from jobboard.taskflow_rows import ATOMS, FLOWS
from tests.contract.boards import expire_session
from tests.integration.house import Gate, Hold, House, Step, settings_for
from tests.servers import Etcd, Redis, ServerProcess, ZooKeeper
from tests.servers.required import require
from tests.waiting import until

S = State
WAIT_S = 60.0

ON_SERVERS = ["zookeeper", "redis", "etcd"]
EVERYWHERE = [
    "sql on sqlite",
    "sql on postgresql",
    *(f"{board} beside sqlite" for board in ON_SERVERS),
    "redis beside postgresql",
]


@pytest.fixture(params=EVERYWHERE)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    """Overrides that of all other tests: on every board."""
    board, _, database = request.param.split()
    server = None if board == "sql" else request.getfixturevalue(board)
    with opened(request.getfixturevalue(f"{database}_url"), server) as house:
        yield house


@pytest.fixture(params=[ZooKeeper, Redis, Etcd], ids=ON_SERVERS)
def shaken(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[tuple[House, ServerProcess]]:
    """With a board's server that may be broken."""
    require(request.param)
    with request.param() as server, opened(sqlite_url, server) as house:
        yield house, server


@contextmanager
def opened(database_url: str, server: ServerProcess | None) -> Iterator[House]:
    with closing(open_database(database_url)) as database:
        yield House(database, settings_for(database_url, jobboard_url=address(server)))


def address(server: ServerProcess | None) -> str:
    """A board of the test's own."""
    if server is None:
        return "sql"
    own = uuid.uuid4()
    return f"{server.url}?namespace={own}" if isinstance(server, Redis) else f"{server.url}/{own}"


def on_board(house: House) -> list[Any]:
    """All that is posted now."""
    dispatch = open_dispatch(house.database, house.settings)
    dispatch.open()
    try:
        return list(dispatch.board.iterjobs(ensure_fresh=True))
    finally:
        dispatch.close()


def feed(house: House) -> None:
    """Put on the board what is due, and claim nothing."""
    dispatch = open_dispatch(house.database, house.settings)
    dispatch.open()
    try:
        assert dispatch.claim(new_owner("feeder"), [spec.name for spec in house.registry], 0) == []
    finally:
        dispatch.close()
    assert on_board(house)


def assert_nothing_is_left(house: House) -> None:
    until(lambda: on_board(house) == [], WAIT_S, what="an empty board")
    assert [row["id"] for row in house.rows(jobs) if row["owner"] or row["posting"]] == []


def end_session(house: House, board: Any) -> None:
    """As the board's server does when it has not heard of the conductor for a lease."""
    if isinstance(board, SqlJobBoard):
        past = house.database.now() - timedelta(hours=1)
        with house.database.write() as connection:
            mine = sessions.c.id == board.session.id
            connection.execute(sa.update(sessions).where(mine).values(expires_at=past))
    elif isinstance(board, ZookeeperBoard):
        expire_session(board._client)
    elif isinstance(board, RedisBoard):
        board._client.delete(board._session_key(board._lease.last))
    else:
        board.end_session(board._lease.last)


def expire_row(house: House, owner: str) -> None:
    """As if the conductor could not write to the database either."""
    past = house.database.now() - timedelta(hours=1)
    with house.database.write() as connection:
        connection.execute(sa.update(conductors).where(conductors.c.owner == owner).values(expires_at=past))


def stored(house: House) -> list[Any]:
    """Everything that a conductor writes for its jobs."""
    return [house.rows(table) for table in (jobs, attempts, events, FLOWS, ATOMS)]


def fail(_task: Step) -> None:
    raise ValueError("boom")


def three_steps(house: House, *acts: Callable[[Step], Any] | None) -> None:
    """Flow f of a, b and c. `acts` is what b does, attempt by attempt, and then all goes well."""
    left = list(acts)
    house.flow(lambda: [house.step("a"), house.step("b", left.pop(0) if left else None), house.step("c")])


DONE = [f"{task} {state}" for task in "abc" for state in ("running", "success")]
UNDONE = [f"{task} {state}" for task in "ba" for state in ("reverting", "reverted")]


def test_a_job_completes(house: House):
    three_steps(house)
    job = house.run()
    assert (job.state, job.attempt, job.error, job.conductor) == (S.COMPLETED, 1, None, "one")
    assert job.results == {name: f"{name}'s result" for name in "abc"}
    assert house.calls == ["execute a", "execute b", "execute c"]
    assert house.states_of(job.id) == ["pending", "running", "completed"]
    assert house.tasks_of(job.id) == DONE
    assert house.row(job.id)["claims"] == house.row(job.id)["epoch"] == 1
    assert_nothing_is_left(house)


def test_a_job_that_fails_is_reverted(house: House):
    three_steps(house, fail)
    job = house.run()
    assert (job.state, job.error, job.results) == (S.FAILED, TaskError("b", "ValueError", "boom"), None)
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    assert house.states_of(job.id) == ["pending", "running", "reverting", "failed"]
    assert house.tasks_of(job.id) == ["a running", "a success", "b running", "b failure", *UNDONE]
    assert_nothing_is_left(house)


def test_a_job_that_runs_is_cancelled_and_its_retry_completes(house: House):
    hold = Hold()
    three_steps(house, hold)
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob", reason="enough")
        cancelled = house.comes_to(job, S.CANCELLED)
        assert (cancelled.reason, cancelled.cancel.reverted) == ("cancelled by bob: enough", 2)
        house.records.retry(job, by="eve")
        done = house.comes_to(job, S.COMPLETED)
    assert (done.attempt, done.cancel, done.reason) == (2, None, None)
    assert house.calls == ["execute a", "execute b", "revert b", "revert a", "execute a", "execute b", "execute c"]
    assert house.states_of(job) == [
        *("pending", "running", "cancelling", "cancelled"),
        *("pending", "running", "completed"),
    ]
    assert house.tasks_of(job) == ["a running", "a success", "b running", "b failure", *UNDONE, *DONE]
    assert_nothing_is_left(house)


def test_a_job_that_waits_is_cancelled_at_once_and_never_runs(house: House):
    three_steps(house)
    job = house.post()
    feed(house)
    assert house.records.cancel(job, by="bob").state is S.CANCELLED
    house.drain()
    assert house.calls == []
    assert house.states_of(job) == ["pending", "cancelled"]
    assert_nothing_is_left(house)


def test_a_job_is_paused_between_two_tasks_and_goes_on_there(house: House):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running() as conductor:
        gate.arrived()
        house.records.pause(job, by="bob")
        until(lambda: any(run._pause.is_set() for run in conductor._running()), WAIT_S, what="the pause")
        gate.open.set()
        house.comes_to(job, S.PAUSED)
        until(lambda: on_board(house) == [], WAIT_S, what="an empty board")
        house.records.resume(job, by="bob")
        house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a", "execute b", "execute c"]
    assert house.states_of(job) == [
        *("pending", "running", "pausing", "paused"),
        *("pending", "running", "completed"),
    ]
    assert house.tasks_of(job) == DONE
    assert house.row(job)["claims"] == 1
    assert_nothing_is_left(house)


def test_a_job_is_retried_by_itself_until_it_completes(house: House):
    three_steps(house, fail, fail)
    job = house.post(max_retries=3, retry_interval_s=0.05)
    with house.running():
        done = house.comes_to(job, S.COMPLETED)
    assert (done.attempt, done.error) == (3, None)
    once = ["pending", "running", "reverting"]
    assert house.states_of(job) == [*once, *once, "pending", "running", "completed"]
    failed = ["a running", "a success", "b running", "b failure", *UNDONE]
    assert house.tasks_of(job) == [*failed, *failed, *DONE]
    assert [attempt["outcome"] for attempt in house.rows(attempts)] == ["failed", "failed", "completed"]
    assert_nothing_is_left(house)


def test_what_is_urgent_comes_first_and_then_what_is_oldest(house: House):
    order: list[str] = []
    house.flow(lambda: [house.step("a", lambda task: order.append(task.job))])
    low = [house.post(priority="low") for _ in range(3)]
    high = [house.post(priority="high") for _ in range(3)]
    house.drain(slots=1)
    assert order == [*high, *low]
    assert_nothing_is_left(house)


def test_a_conductor_whose_session_is_lost_loses_its_job_to_another_and_writes_nothing_more(house: House):
    house.settings = replace(house.settings, lease=6.0)  # a third of it passes before who lost one sees that
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one", run={"max_dispatches": 1}) as one:
        gate.arrived()
        owner = one._owner.id
        end_session(house, one._dispatch.board)
        until(lambda: not one._dispatch.alive, WAIT_S, what="the end of the lease")
        with house.running("two"):
            until(
                lambda: expire_row(house, owner) or house.get(job).conductor == "two",
                WAIT_S,
                what="the claim of another",
            )
            done = house.comes_to(job, S.COMPLETED)
            assert_nothing_is_left(house)
            before = stored(house)
            gate.open.set()
            until(lambda: one._running() == [], WAIT_S, what="the end of its work")
    assert stored(house) == before
    assert house.get(job) == done
    assert (done.attempt, done.conductor, done.results["b"]) == (1, "two", "b's result")
    assert sorted(house.calls) == ["execute a", "execute b", "execute b", "execute c"]
    assert (house.row(job)["epoch"], house.row(job)["claims"]) == (2, 2)
    assert house.states_of(job) == ["pending", "running", "running", "completed"]
    assert house.lines(job)[2].message == "taken over by two from one, which was not heard of any more"
    tasks = [line for line in house.tasks_of(job) if line != "b running"]
    assert tasks == ["a running", "a success", "b success", "c running", "c success"]


def test_a_job_that_is_handed_back_goes_on_elsewhere(house: House):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one") as one:
        gate.arrived()
        house.suspend(one)
        gate.open.set()
    with house.running("two"):
        done = house.comes_to(job, S.COMPLETED)
    assert (done.conductor, house.row(job)["claims"]) == ("two", 1)
    assert house.states_of(job) == ["pending", "running", "pending", "running", "completed"]
    assert house.tasks_of(job) == DONE
    assert_nothing_is_left(house)


def test_more_jobs_than_the_window_all_run_once(house: House):
    house.flow(lambda: [house.step("a", lambda task: house.calls.append(task.job))])
    posted = [job.id for job in house.records.post([NewJob("f", {})] * (WINDOW + 30), by="ann")]
    with house.running("one"), house.running("two"):
        until(lambda: all(row["state"] == S.COMPLETED for row in house.rows(jobs)), WAIT_S, what="all to complete")
    assert Counter(call for call in house.calls if " " not in call) == Counter(posted)
    assert {tuple(house.states_of(job)) for job in posted} == {("pending", "running", "completed")}
    assert_nothing_is_left(house)


def post_many(house: House, flow: str, **how: Any) -> None:
    """More than the window holds."""
    house.records.post([NewJob(flow, {}, **how)] * (WINDOW + 10), by="ann")


@pytest.mark.parametrize("how", [{}, {"max_running": 1000}], ids=["no limit", "a limit"])
def test_jobs_of_a_flow_that_no_conductor_knows_keep_nobody_waiting(house: House, how: dict[str, Any]):
    post_many(house, "unknown", **how)
    three_steps(house)
    assert house.run(**how).state is S.COMPLETED
    assert {row["state"] for row in house.rows(jobs) if row["flow"] == "unknown"} == {S.PENDING}


@pytest.mark.parametrize("gone", [False, True], ids=["who is there", "who has gone"])
def test_a_conductor_gets_its_jobs_though_the_board_is_full_of_those_of(house: House, gone: bool):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate)], "other")
    post_many(house, "other")
    with ExitStack() as others:
        one = others.enter_context(house.running("one", slots=1))
        gate.arrived()
        until(lambda: len(on_board(house)) >= WINDOW, WAIT_S, what="a full window")
        if gone:
            house.suspend(one)
            gate.open.set()
            others.close()
        house.registry = Registry()  # of whom comes later
        three_steps(house)
        job = house.post()
        with house.running("two"):
            house.comes_to(job, S.COMPLETED)
        gate.open.set()


def test_what_is_urgent_comes_first_though_the_board_is_full_of_what_is_not(house: House):
    gate, order = Gate(), []
    house.flow(lambda: [house.step("a", lambda task: order.append(task.job) or gate(task))])
    post_many(house, "f", priority="low")
    with house.running("one", slots=1):
        gate.arrived()
        until(lambda: len(on_board(house)) >= WINDOW, WAIT_S, what="a full window")
        urgent = house.post(priority="high")
        with house.running("two", slots=1, run={"max_dispatches": 1}):
            until(lambda: len(order) == 2, WAIT_S, what="the second job")
            gate.open.set()
    assert order[1] == urgent


def test_nothing_is_lost_while_the_boards_server_is_away(shaken: tuple[House, ServerProcess]):
    house, server = shaken
    gate = Gate()
    house.flow(lambda: [house.step("a"), house.step("b", gate), house.step("c")], "held")
    house.flow(lambda: [house.step("d")], "quick")
    held = house.post("held")
    with house.running("one") as one:
        gate.arrived()
        server.kill()
        during = house.post("quick")  # posters ask the database only
        cancelled = house.post("quick")
        house.records.cancel(cancelled, by="bob")
        gate.open.set()
        house.comes_to(held, S.COMPLETED)
        assert house.get(during).state is S.PENDING
        server.restart()
        house.comes_to(during, S.COMPLETED)
        after = house.post("quick")
        house.comes_to(after, S.COMPLETED)
        assert one.dispatching
    with house.running("two"):  # the posting of a job that ended while the lease was lost is left to be mended
        assert_nothing_is_left(house)
    assert house.calls == ["execute a", "execute b", "execute c", "execute d", "execute d"]
    for job in (held, during, after):
        assert house.states_of(job) == ["pending", "running", "completed"]
    assert house.states_of(cancelled) == ["pending", "cancelled"]
    assert [line for job in (held, during, after) for line in house.lines(job, history.LOG)] == []


def test_conductors_wait_for_a_boards_server_that_is_away_longer_than_their_lease(
    shaken: tuple[House, ServerProcess],
):
    house, server = shaken
    house.settings = settings_for(
        house.settings.database_url, jobboard_url=house.settings.jobboard_url, lease="2s"
    )
    hold = Hold()
    acts: list[Any] = [hold]
    house.flow(lambda: [house.step("a"), house.step("b", acts.pop() if acts else None), house.step("c")])
    job = house.post()
    with house.running("one") as one:
        hold.arrived()
        server.kill()
        until(lambda: not one._dispatch.alive, WAIT_S, what="the end of the lease")
        later = house.post()
        server.restart()
        for each in (job, later):
            house.comes_to(each, S.COMPLETED)
    house.drain(name="two")
    assert Counter(house.calls)["execute a"] == 2
    assert Counter(house.calls)["execute c"] == 2
    assert [call for call in house.calls if call.startswith("revert")] == []
    assert_nothing_is_left(house)


@pytest.mark.parametrize("house", [f"{board} beside sqlite" for board in ON_SERVERS], indirect=True)
def test_a_session_that_ends_just_before_a_posting_is_removed_does_not_end_its_conductor(house: House):
    three_steps(house)
    job = house.post()
    feed(house)
    house.records.cancel(job, by="bob")

    def dispatch() -> Any:
        made = open_dispatch(house.database, house.settings)
        consume = made.board.consume

        def too_late(posting: Any, who: str) -> None:
            made.board.consume = consume
            end_session(house, made.board)
            consume(posting, who)

        made.board.consume = too_late
        return made

    house.dispatch = dispatch
    with house.running("one") as one:
        until(lambda: on_board(house) == [], WAIT_S, what="an empty board")
        assert one.dispatching
