"""Whatever is asked of a million jobs has an index that serves it.

Posters and conductors do here all that they can do; each statement that they send is looked at, those that were
added yesterday as well.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from jobboard import feeder, history, receipts, reconciler, removal
from jobboard.claims import Claim
from jobboard.conductors import Registration
from jobboard.database import open_database
from jobboard.dispatch.base import Dispatch
from jobboard.dispatch.opening import open_dispatch
from jobboard.errors import NoSuchJob
from jobboard.history import NewLine
from jobboard.models import NewJob
from jobboard.owner import Owner, new_owner
from jobboard.schema import jobs
from jobboard.states import CURRENT, UNDOING, State
from jobboard.tokens import Role
from poster import Client
from poster.cli.commands import COMMANDS
from poster.web.gate.permissions import PERMISSIONS
from tests.growth import past
from tests.growth.board_requests import BoardRequests
from tests.growth.examiner import MOST_ROWS, Findings, examined
from tests.http.served import Served, read_events
from tests.integration.commands import FLOWS, PosterHere
from tests.integration.house import Gate, Hold, HoldOnce, House, Step, settings_for
from tests.integration.test_every_board import address, end_session
from tests.integration.test_pause_and_delete import pause
from tests.requests_seen import on_statements
from tests.waiting import until

S = State

pytestmark = pytest.mark.timeout(900)  # the first has a database filled

EXCUSED: Final = {
    r"SELECT jobs.flow, jobs.state, count\(\*\) .* GROUP BY jobs.flow, jobs.state":
        "counts all jobs: reads the whole of one index, and not the table",
    r"SELECT .* AS hour, .* GROUP BY hour":
        "counts the jobs of one day: costs the more, the more jobs a day has, and not the more there are",
}  # fmt: skip
"""Statements that may cost the more, the more there is, and why."""


def kind(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.xdist_group(f"grown {name}"))


@pytest.fixture(params=[kind("sqlite"), kind("postgresql")])
def url(request: pytest.FixtureRequest) -> str:
    """A database with a million jobs, that of the tests before."""
    return request.getfixturevalue(f"grown_{request.param}_url")


@pytest.fixture
def house(url: str) -> Iterator[House]:
    with furnished(url, "sql") as house:
        yield house


@contextmanager
def furnished(url: str, board: str) -> Iterator[House]:
    settings = settings_for(url, jobboard_url=board, lease="3s", retention=f"{past.DAYS - 1}d")
    with closing(open_database(url)) as database:
        yield House(database, settings)


def on(board: str, database: str) -> Any:
    in_group = pytest.mark.xdist_group(f"grown {database}")
    return pytest.param((board, database), id=f"{board} with {database}", marks=in_group)


ON_SQL: Final = [on("sql", "sqlite"), on("sql", "postgresql")]
ON_SERVERS: Final = [
    on("zookeeper", "sqlite"),
    on("zookeeper", "postgresql"),
    on("redis", "postgresql"),
    on("etcd", "sqlite"),
]


@pytest.fixture(params=ON_SQL + ON_SERVERS)
def on_board(request: pytest.FixtureRequest) -> Iterator[House]:
    """The same with a board, which is empty if it is on a server."""
    board, database = request.param
    server = None if board == "sql" else request.getfixturevalue(board)
    with furnished(request.getfixturevalue(f"grown_{database}_url"), address(server)) as house:
        yield house


@pytest.fixture
def small(on_board: House, request: pytest.FixtureRequest) -> Iterator[House]:
    """Such a house with few jobs: hardly more than a board on a server has room for."""
    dialect = on_board.database.dialect
    board = on_board.settings.board_kind
    with furnished(request.getfixturevalue(f"{dialect}_url"), address(request.getfixturevalue(board))) as house:
        past.fill(house.database, 2_000, 300)
        yield house


def faults(findings: Findings) -> list[str]:
    """What is wrong and not excused."""
    assert findings.statements, "nothing was looked at"
    return [str(fault) for fault in findings.faults if why_excused(fault.statement) is None]


def why_excused(statement: str) -> str | None:
    flat = " ".join(statement.split())
    return next((why for pattern, why in EXCUSED.items() if re.search(pattern, flat)), None)


def one_of(house: House, state: State) -> str:
    [found] = house.records.list(states=[state], limit=1)
    return found.id


def fail(_task: Step) -> None:
    raise ValueError("boom")


def waits_in_vain(house: House) -> str:
    """A job that no conductor of these tests runs."""
    return house.post(past.STRANGE)


# Posters


def test_commands(house: House, url: str):
    poster = PosterHere(url)
    rests = {state: one_of(house, state) for state in (S.COMPLETED, S.FAILED, S.CANCELLED, S.REVERT_FAILED)}
    waits = [waits_in_vain(house) for _ in range(6)]
    said = {
        "flows": [[], ["greet"]],
        "post": [
            ["greet", "name=ann"],
            ["greet", "name=ann", "--key", "k"],
            ["greet", "name=ann", "--delay", "1h"],
        ],
        "list": [
            [],
            ["--limit", "1000", "-q"],
            ["--state", "running"],
            ["--state", "pending", "--state", "failed"],
            ["--flow", past.KNOWN],
            ["--flow", past.KNOWN, "--state", "revert_failed", "--state", "paused"],
            ["--flow", "nobody"],
            ["--since", "1h", "--limit", "1000"],
            ["--since", "2000-01-01", "--state", "completed", "--json"],
            ["--after", rests[S.COMPLETED]],
        ],
        "show": [[rests[S.COMPLETED]], [waits[0]], [waits[0][:20]], [one_of(house, S.PAUSED)]],
        "watch": [[rests[S.COMPLETED]]],
        "wait": [[rests[S.COMPLETED], rests[S.CANCELLED]], [waits[0], "--timeout", "0.1s"]],
        "cancel": [
            [waits[0]],
            [waits[1], waits[2], "--wait"],
            [waits[3], "--dry-run"],
            ["--all", "--flow", past.KNOWN, "--state", "pending", "--yes"],
        ],
        "retry": [[waits[0]], [rests[S.REVERT_FAILED], "--force", "--reason", "looked"]],
        "pause": [[waits[3]]],
        "resume": [[waits[3]]],
        "delete": [[waits[4]], [rests[S.FAILED]]],
        "purge": [["--older-than", f"{past.DAYS}d"]],
        "result": [[rests[S.COMPLETED]]],
        "history": [[rests[S.COMPLETED]]],
        "logs": [[rests[S.COMPLETED]], [rests[S.COMPLETED], "-f"]],
        "graph": [["greet"], [rests[S.COMPLETED]]],
        "stats": [[]],
        "conductors": [[]],
        "doctor": [[]],
        "token": [["create", "--role", "read", "--name", "hall"], ["list"]],
        "completion": [["bash"]],
    }
    # A new command is looked at, too. Of `serve` the next test looks at what it is asked.
    assert said.keys() == COMMANDS.keys() - {"serve"}
    with examined(house.database) as findings:
        for command, calls in said.items():
            for words in calls:
                ran = poster(command, *words)
                assert ran.code not in (2, 4), (command, words, ran.err)
    assert faults(findings) == []
    assert any(map(why_excused, findings.statements))


def test_the_http_api(house: House):
    house.flow(lambda: [house.step("a")], name="greet")
    done = one_of(house, S.COMPLETED)
    waits = [waits_in_vain(house) for _ in range(4)]
    said = {
        ("GET", "/api/jobs"): [
            "",
            "?limit=1000",
            "?state=pending&state=failed",
            f"?flow={past.KNOWN}&cursor={done}",
            "?q=nothing",
            f"?q={done}&state=completed&state=failed&flow={past.KNOWN}",
        ],
        ("GET", "/api/jobs/{job}/history"): ["", "?after=5&limit=10", f"?before={2**63 - 1}"],
        ("GET", "/api/jobs/{job}/events"): ["?after=0", ""],
        ("GET", "/api/events"): ["", "?after=LAST"],
    }
    bodies = {
        "/api/jobs": {"flow": "greet"},
        "/api/jobs/cancel": {"ids": waits[:2]},
        "/api/jobs/cancel/plan": {"ids": waits},
        "/api/jobs/retry": {"ids": waits[:2]},
    }
    with Served(house, token_needed=True) as served, examined(house.database) as findings:
        headers = served.bearer(Role.ADMIN)
        with served.http.stream("GET", "/api/events", headers=headers) as answered:
            last = next(read_events(answered)).id
        for path, methods in PERMISSIONS.items():
            for method in methods:
                for query in said.get((method, path), [""]):
                    filled = path.format(job=waits[3] if method != "GET" else done, name="greet", file="none")
                    asked = f"{filled}{query.replace('LAST', str(last))}"
                    if method == "WEBSOCKET":
                        continue  # what it is told comes from the same feed
                    with served.http.stream(method, asked, headers=headers, json=bodies.get(path)) as answered:
                        assert answered.status_code < 500, asked
        waits_in_vain(house)
        house.change(waits[2], state="running")
        with served.events(headers=headers, kind="progress") as told:
            assert next(told).data["job"] == waits[2]
    assert faults(findings) == []


def test_what_else_a_client_is_asked(house: House, url: str):
    waits = [waits_in_vain(house) for _ in range(5)]
    with (
        Client.open(settings_for(url, flows=FLOWS)) as client,
        examined(house.database) as findings,
    ):
        page = client.page(limit=50)
        for _ in range(3):
            page = client.page(cursor=page.next, limit=50)
        assert len(page.jobs) == 50
        client.page(states=[S.PENDING, S.COMPLETED, S.FAILED], flow=past.KNOWN, cursor=page.next)
        client.list(states=CURRENT, limit=1000)
        client.list(states=UNDOING)
        assert len(list(client.matching(states=[S.PENDING, S.PAUSED]))) > past.WAITING
        list(client.matching(flow=past.LIMITED))
        client.current()
        house.change(waits[4], state="running")
        watched = client.watch_all()
        assert waits[4] in {job.id for job in next(watched)}
        client.cancel(waits[0])
        assert waits[0] in {job.id for job in next(watched)}
        assert [job.id for job in client.wait([waits[0]])] == waits[:1]
        assert [job.id for job in client.watch_each([waits[0]])] == waits[:1]
        client.cancel_many(waits)
        client.explained(client.list(limit=10))
        client.explained(client.list(flow=past.LIMITED, limit=10))
        list(client.follow_logs(waits[0]))
        house.records.last_line(waits[0])
    assert faults(findings) == []


def test_the_last_day_is_counted_by_its_indexes(house: House, url: str):
    with Client.open(settings_for(url, flows=FLOWS)) as client, examined(house.database) as findings:
        hours = client.day()
    a_day = 24 * 3600 / past.STEP_S
    assert sum(hour.posted for hour in hours) > 0.9 * a_day
    assert seen(findings, "GROUP BY hour, jobs.state")
    # However many jobs a day has, nothing is read of the other days.
    assert not [fault for fault in findings.faults if "reads all" in fault.why or "enters" in fault.why]
    assert faults(findings) == []


def test_what_metrics_read_of_jobs(house: House):
    ids = [job.id for job in house.records.list(states=[S.CANCELLED], limit=1000)]
    with examined(house.database) as findings:
        assert receipts.read(house.database, ids).keys() == set(ids)
    assert faults(findings) == []


def test_a_long_history_is_read_by_its_index(house: House):
    job = waits_in_vain(house)
    now = house.database.now()
    kinds = (history.STATE, history.TASK, history.LOG)
    lines = [NewLine(job, 1, now, kinds[n % 3], message=str(n)) for n in range(30_000)]
    with house.database.write() as connection:
        history.append(connection, lines[:15_000])
        history.append(connection, lines[15_000:])
    with examined(house.database) as findings:
        page = history.read(house.database, job, kinds=kinds[:2], after=0, limit=1000)
        history.read(house.database, job, kinds=kinds, after=page[-1].seq, limit=1000)
        house.records.last_line(job)
    assert faults(findings) == []


# Conductors


def test_conductors(on_board: House):
    house = on_board
    hold, hold_to_delete, gate, once = Hold(), Hold(), Gate(), HoldOnce()
    house.flow(lambda: [house.step("a"), house.step("b")], "works")
    house.flow(lambda: [house.step("a"), house.step("b", fail)], "fails")
    house.flow(lambda: [house.step("a", None, fail), house.step("b", fail)], "stays")
    house.flow(lambda: [house.step("a"), house.step("b", hold)], "holds")
    house.flow(lambda: [house.step("a"), house.step("b", hold_to_delete)], "goes")
    house.flow(lambda: [house.step("a"), house.step("b", gate), house.step("c")], "pauses")
    house.flow(lambda: [house.step("a"), house.step("b", once)], "passes_on")
    oldest_of_all = one_of(house, S.COMPLETED)
    house.change(oldest_of_all, finished_at=datetime(2000, 1, 1, tzinfo=UTC))
    with ExitStack() as stack:
        findings = stack.enter_context(examined(house.database))
        conductor = stack.enter_context(house.running("one", slots=8))
        soon = house.database.now() + timedelta(seconds=1)
        ends = {
            house.post("works"): S.COMPLETED,
            house.post("works", due_at=soon): S.COMPLETED,
            house.post("works", max_running=1): S.COMPLETED,
            house.post("works", max_running=1, due_at=soon): S.COMPLETED,
            house.post("fails", max_retries=1, retry_interval_s=0.1): S.FAILED,
            (kept := house.post("fails", on_failure="keep")): S.FAILED,
            (stays := house.post("stays")): S.REVERT_FAILED,
        }
        held, goes, paused = house.post("holds"), house.post("goes"), house.post("pauses")
        for place in (hold, hold_to_delete, gate):
            place.arrived()
        house.records.cancel(held, by="ann")
        house.records.delete(goes, by="ann")
        pause(house, conductor, paused)
        gate.open.set()
        for job, state in (ends | {held: S.CANCELLED, paused: S.PAUSED}).items():
            house.comes_to(job, state)
        house.records.resume(paused, by="ann")
        house.records.retry(kept, by="ann")
        house.records.cleanup(stays, by="ann")
        house.comes_to(paused, S.COMPLETED)
        passed_on = house.post("passes_on")
        once.arrived()
        end_session(house, conductor._dispatch.board)
        stack.enter_context(house.running("two"))
        house.comes_to(passed_on, S.COMPLETED)
        until(lambda: conductor._owner.name in house.names_of_conductors(), what="its new lease")
        until(lambda: is_gone(house, oldest_of_all), what="its purge")
        mends = "postings.seq > " if house.settings.board_kind == "sql" else "AS waits"
        until(lambda: seen(findings, mends), what="the reconciler")
    assert faults(findings) == []
    assert seen(findings, "FROM flowdetails") or seen(findings, "flowdetails.")


def is_gone(house: House, job: str) -> bool:
    try:
        house.get(job)
    except NoSuchJob:
        return True
    return False


FLOWS_KNOWN: Final = [past.QUEUED, past.LIMITED, *(f"flow_{number}" for number in range(7))]


@pytest.mark.parametrize("on_board", ON_SERVERS, indirect=True)
def test_a_pass_costs_the_same_however_many_wait(on_board: House, small: House):
    few = passes(small)
    with examined(on_board.database) as findings:
        many = passes(on_board)
    assert many == few
    assert min(cost["statements"] for cost in few.values()) > 0
    assert sum(by_state.get(S.PENDING, 0) for by_state in on_board.records.count().values()) > 100_000
    assert faults(findings) == []


@pytest.mark.parametrize("new", [kind("sqlite"), kind("postgresql")])
def test_who_claims_follows_the_board_in_a_new_database_too(new: str, request: pytest.FixtureRequest):
    with furnished(request.getfixturevalue(f"{new}_url"), "sql") as house:
        house.records.post([NewJob("works", {})] * 2 * MOST_ROWS, by="ann")
        dispatch = open_dispatch(house.database, house.settings)
        dispatch.open()
        with examined(house.database) as findings:
            claims = dispatch.claim(new_owner("one"), ["works", past.KNOWN], 8)
        dispatch.close()
    assert len(claims) == 8
    assert faults(findings) == []


def passes(house: House) -> dict[str, Counter[str]]:
    """What a conductor's passes cost: requests to the board's server, and statements."""
    dispatch: Any = open_dispatch(house.database, house.settings)
    dispatch.open()
    owner = new_owner("counts")
    registration = Registration(house.database, owner, 8, FLOWS_KNOWN, 60.0)
    registration.enter()
    requests, statements = BoardRequests(dispatch.board), []
    on_statements(house.database, statements.append)
    costs: dict[str, Counter[str]] = {}

    def claims(what: str) -> list[Claim]:
        dispatch._feed_at_s = 0.0
        requests.take()
        statements.clear()
        taken: list[Claim] = dispatch.claim(owner, FLOWS_KNOWN, 8)
        costs[what] = requests.take() + Counter(statements=len(statements))
        assert {claim.flow for claim in taken} == {past.QUEUED}
        assert len(taken) == 8
        return taken

    held = claims("fills the board")
    end(house, dispatch, held)
    held = claims("tops it up")
    statements.clear()
    requests.take()
    dispatch.mend(owner, {claim.job for claim in held})
    costs["mends"] = requests.take() + Counter(statements=len(statements))
    statements.clear()
    assert dispatch.look(FLOWS_KNOWN).ready
    costs["looks"] = requests.take() + Counter(statements=len(statements))
    end(house, dispatch, held)
    registration.leave()
    dispatch.close()
    return costs


def end(house: House, dispatch: Dispatch, claims: list[Claim]) -> None:
    for claim in claims:
        house.change(claim.job, state=str(S.COMPLETED), posting=None, owner=None)
        dispatch.was_put_down(claim, keep_posting=False)


def seen(findings: Findings, words: str) -> bool:
    return any(words in statement for statement in findings.statements.copy())


# Purging


def test_a_job_runs_through_while_old_ones_are_purged_and_a_purge_goes_on(house: House):
    house.settings = settings_for(house.settings.database_url, lease="3s")
    house.flow(lambda: [house.step("a"), house.step("b")], "beside")
    before = oldest(house)
    stop = threading.Event()
    purge = threading.Thread(target=removal.purge, args=(house.database, 30 * 86_400.0, stop))
    with house.running("beside"):
        purge.start()
        until(lambda: oldest(house) > before, what="the first batch")
        jobs_beside = [house.post("beside") for _ in range(20)]
        for job in jobs_beside:
            house.comes_to(job, S.COMPLETED)
        assert purge.is_alive(), "there was not enough to purge"
    stop.set()
    purge.join()
    left = oldest(house)
    stop.clear()
    again = threading.Thread(target=removal.purge, args=(house.database, 30 * 86_400.0, stop))
    again.start()
    until(lambda: oldest(house) > left, what="the next purge")
    stop.set()
    again.join()
    assert {house.get(job).state for job in jobs_beside} == {S.COMPLETED}


def test_a_purge_that_finds_nothing_has_looked_at_nothing(house: House):
    for_long = 2 * past.DAYS * 86_400.0
    with examined(house.database) as findings:
        assert removal.purge(house.database, for_long) == 0
    assert faults(findings) == []


def oldest(house: House) -> Any:
    """When the oldest of those that can be purged ended."""
    completed = sa.select(sa.func.min(jobs.c.finished_at)).where(jobs.c.state == str(S.COMPLETED))
    with house.database.read() as connection:
        return connection.execute(completed).scalar_one()


# That the proof can fail


class Undone(Exception):
    """The transaction is not to be committed."""


def test_a_query_that_nobody_thought_of_is_found(house: House):
    with examined(house.database) as findings, house.database.read() as connection:
        connection.execute(sa.select(jobs.c.id).where(jobs.c.reason == "why")).all()
    assert any("reads all of jobs" in fault for fault in faults(findings))


@pytest.mark.parametrize("index", ["jobs_unposted", "jobs_limited", "jobs_posting", "jobs_owner"])
def test_an_index_that_is_gone_is_missed(house: House, index: str):
    with examined(house.database) as findings, suppress(Undone), house.database.write() as connection:
        connection.execute(sa.text(f"DROP INDEX {index}"))
        feeder.take_due(connection, house.database, [past.QUEUED, past.LIMITED], 100)
        reconciler.Rounds(house.database).next_batch(connection)
        reconciler.has_unrun(connection, Owner("me", "me:1:x"), [])
        raise Undone
    assert faults(findings)
