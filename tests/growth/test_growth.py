"""Whatever is asked of a million jobs has an index that serves it.

Posters and conductors do here all that they can do; each statement that they send is looked at, those that were
added yesterday as well.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from jobboard import feeder, history, reconciler, removal
from jobboard.claims import Owner
from jobboard.database import open_database
from jobboard.history import NewLine
from jobboard.schema import jobs
from jobboard.states import CURRENT, UNDOING, State
from poster import Client
from poster.cli.commands import COMMANDS
from tests.growth import past
from tests.growth.examiner import Findings, examined
from tests.integration.commands import FLOWS, PosterHere
from tests.integration.house import Gate, Hold, HoldOnce, House, Step, settings_for
from tests.integration.test_pause_and_delete import pause
from tests.waiting import until

S = State

pytestmark = pytest.mark.timeout(900)  # the first has a database filled

EXCUSED: Final = {
    r"SELECT jobs.flow, jobs.state, count\(\*\) .* GROUP BY jobs.flow, jobs.state":
        "counts all jobs: reads the whole of one index, and not the table",
    r"UPDATE sessions .*SELECT postings.session": "the tests' own: has leases end",
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
    with closing(open_database(url)) as database:
        yield House(database, settings_for(url, lease="3s", retention=f"{past.DAYS - 1}d"))


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
        "completion": [["bash"]],
    }
    assert said.keys() == COMMANDS.keys()  # a new command is looked at, too
    with examined(house.database) as findings:
        for command, calls in said.items():
            for words in calls:
                ran = poster(command, *words)
                assert ran.code not in (2, 4), (command, words, ran.err)
    assert faults(findings) == []
    assert any(map(why_excused, findings.statements))


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
        list(client.follow_logs(waits[0]))
        house.records.last_line(waits[0])
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


def test_conductors(house: House):
    hold, hold_to_delete, gate, once = Hold(), Hold(), Gate(), HoldOnce()
    house.flow(lambda: [house.step("a"), house.step("b")], "works")
    house.flow(lambda: [house.step("a"), house.step("b", fail)], "fails")
    house.flow(lambda: [house.step("a", None, fail), house.step("b", fail)], "stays")
    house.flow(lambda: [house.step("a"), house.step("b", hold)], "holds")
    house.flow(lambda: [house.step("a"), house.step("b", hold_to_delete)], "goes")
    house.flow(lambda: [house.step("a"), house.step("b", gate), house.step("c")], "pauses")
    house.flow(lambda: [house.step("a"), house.step("b", once)], "passes_on")
    before = house.records.count()
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
        house.expire("one")
        stack.enter_context(house.running("two"))
        house.comes_to(passed_on, S.COMPLETED)
        until(lambda: conductor._owner.name in house.names_of_conductors(), what="its new lease")
        until(lambda: sum(house.records.count()[past.KNOWN].values()) < sum(before[past.KNOWN].values()))
        until(lambda: seen(findings, "postings.seq > "), what="the reconciler")
    assert faults(findings) == []
    assert seen(findings, "FROM flowdetails") or seen(findings, "flowdetails.")


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
        feeder.take_due(connection, house.database, 100)
        reconciler.Rounds(house.database).next_batch(connection)
        reconciler.has_unrun(connection, Owner("me", "me:1:x"), [])
        raise Undone
    assert faults(findings)
