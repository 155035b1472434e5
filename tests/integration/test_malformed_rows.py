"""Rows that a foreign program, a hand or half a backup has left: they stop nobody, and are set aside and shown.

Each test breaks what is stored by plain SQL, and lets a conductor run a good job beside it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from jobboard import history
from jobboard.conductors import list_conductors
from jobboard.errors import MalformedRecord
from jobboard.schema import attempts, conductors, events, jobs, postings, sessions
from jobboard.states import State
from jobboard.taskflow_rows import ATOMS, FLOWS
from tests.integration.house import Gate, Hold, House
from tests.waiting import until

S = State


@dataclass(frozen=True)
class Break:
    """A column that is overwritten as text, past all types of ours."""

    column: str
    text: str  # an SQL expression

    def __str__(self) -> str:
        return f"{self.column}={self.text[:24]}"

    def apply(self, house: House, table: sa.Table, where: sa.ColumnElement[bool]) -> None:
        with house.database.write() as connection:
            change = sa.update(table).where(where).values({self.column: sa.literal_column(self.text)})
            assert connection.execute(change).rowcount == 1


ON_SQLITE = pytest.mark.only_on("sqlite")


def only_sqlite(column: str, text: str) -> Any:
    """PostgreSQL does not take it."""
    return pytest.param(Break(column, text), marks=ON_SQLITE)


# A conductor can claim these, and brings them to rest.
RUN_OUT = [
    only_sqlite("arguments", "'{oh'"),
    only_sqlite("arguments", "x'ff'"),
    only_sqlite("arguments", "cast(x'7b22ff227d' as text)"),
    only_sqlite("arguments", "'{\"a\": NaN}'"),
    Break("arguments", "'[1]'"),
    Break("arguments", "'7'"),
    Break("arguments", "'{\"a\": 1e999}'"),
    Break("arguments", f"'{'[' * 3000}{']' * 3000}'"),
    Break("masked", "'{}'"),
    Break("masked", "'[1]'"),
    Break("priority", "99"),
    Break("priority", "-1"),
    only_sqlite("priority", "'high'"),
    Break("on_failure", "'explode'"),
    Break("timeout_s", "-1"),
    only_sqlite("timeout_s", "'soon'"),
    Break("retry_interval_s", "1e300"),
    only_sqlite("max_running", "'many'"),
    only_sqlite("retries_left", "'many'"),
    Break("results", "'[]'"),
    Break("tasks", "'{}'"),
    Break("tasks", "'[1]'"),
    Break("tasks", '\'[{"name": "a"}]\''),
    only_sqlite("tasks", "'nonsense'"),
    only_sqlite("posted_at", "'yesterday'"),
    only_sqlite("cancel_requested_at", "5"),
    Break("posted_at", "'0044-03-15 00:00:00 BC'"),
]
# No conductor can write a claim into these: they stay as they are.
LEFT = [
    Break("state", "'bogus'"),
    Break("state", "''"),
    only_sqlite("state", "x'00'"),
    Break("epoch", "2147483647"),
    Break("claims", "2147483647"),
    Break("attempt", "-1"),
    only_sqlite("epoch", "'seven'"),
]
# What is wrong with these is written over when they come to rest.
WRITTEN_OVER = [
    Break("error", "'{\"type\": 1}'"),
    only_sqlite("error", "'{'"),
    only_sqlite("ran_s", "x'00'"),
    only_sqlite("finished_at", "'x'"),
]
# Nobody can tell when, or by whom, these are to be run.
NEVER_DUE = [only_sqlite("due_at", "'whenever'"), only_sqlite("flow", "x'66'")]


def of_job(job: str) -> Any:
    return jobs.c.id == job


def not_on_board(house: House, job: str) -> None:
    """As before it was fed: it has to come by the feeder."""
    house.change(job, posting=None)
    with house.database.write() as connection:
        connection.execute(sa.delete(postings).where(postings.c.job == job))


def a_good_one(house: House) -> None:
    """The conductor lives, and runs what is good."""
    good = house.post()
    house.drain()
    assert house.get(good).state is S.COMPLETED


@pytest.fixture
def line(house: House) -> House:
    house.flow(lambda: [house.step("a"), house.step("b")])
    return house


def raw_state(house: House, job: str) -> Any:
    with house.database.read() as connection:
        return connection.execute(sa.select(jobs.c.state).where(of_job(job))).scalar_one()


# Records


@pytest.mark.parametrize("fed", [True, False], ids=["to be fed", "on the board"])
@pytest.mark.parametrize("wrong", RUN_OUT, ids=str)
def test_a_malformed_record_ends_failed_and_stops_nobody(line, wrong, fed):
    job = line.post()
    if fed:
        not_on_board(line, job)
    wrong.apply(line, jobs, of_job(job))
    a_good_one(line)
    assert raw_state(line, job) == S.FAILED
    assert not any("execute" in call for call in line.calls[2:])
    with pytest.raises(MalformedRecord, match=rf"job {job}: its record is malformed: {wrong.column}: .*delete"):
        line.get(job)
    assert [posting for posting in line.rows(postings) if posting["job"] == job] == []


@pytest.mark.parametrize("fed", [True, False], ids=["to be fed", "on the board"])
@pytest.mark.parametrize("wrong", LEFT, ids=str)
def test_a_record_that_cannot_be_claimed_is_left_as_it_is(line, wrong, fed):
    job = line.post()
    if fed:
        not_on_board(line, job)
    wrong.apply(line, jobs, of_job(job))
    before = line.row(job)
    a_good_one(line)
    assert line.row(job) == before


@pytest.mark.parametrize("wrong", WRITTEN_OVER, ids=str)
def test_a_record_whose_fault_is_written_over_can_be_retried(line, wrong):
    job = line.post()
    wrong.apply(line, jobs, of_job(job))
    a_good_one(line)
    found = line.get(job)
    assert (found.state, found.error.type) == (S.FAILED, "MalformedRecord")
    assert found.error.message.startswith(f"malformed: {wrong.column}: ")
    line.records.retry(job, by="ann")
    line.drain()
    assert line.get(job).state is S.COMPLETED


@pytest.mark.parametrize("wrong", NEVER_DUE, ids=str)
def test_a_record_that_never_comes_to_its_turn_waits(line, wrong):
    job = line.post()
    not_on_board(line, job)
    wrong.apply(line, jobs, of_job(job))
    a_good_one(line)
    assert raw_state(line, job) == S.PENDING


@pytest.mark.parametrize("wrong", RUN_OUT + LEFT + WRITTEN_OVER + NEVER_DUE, ids=str)
def test_readers_leave_a_malformed_record_out_and_say_so(line, wrong):
    first, job, last = line.post(), line.post(), line.post()
    wrong.apply(line, jobs, of_job(job))
    records = line.records
    assert [found.id for found in records.list(limit=2)] == [last, first]
    assert list(records.malformed) == [f"job {job}"]
    assert wrong.column in records.malformed[f"job {job}"]
    records.count()
    records.oldest_due()
    answers = records.cancel_many([first, job, last], by="ann")
    assert [getattr(answer, "state", None) for answer in answers][::2] == [S.CANCELLED] * 2
    assert isinstance(answers[1], MalformedRecord)
    for ask in (records.cancel, records.retry, records.pause, records.resume, records.delete, records.cleanup):
        with pytest.raises(MalformedRecord, match="poster delete"):
            ask(job, by="ann")
    assert records.delete(job, by="ann", force=True, reason="malformed") is None
    assert [row["id"] for row in line.rows(jobs)] == sorted([first, last])


@pytest.mark.parametrize(
    "wrong", [Break("arguments", "'[]'"), Break("tasks", "'[{}]'"), Break("priority", "99")], ids=str
)
def test_one_that_may_have_effects_ends_with_a_revert_failed(line, wrong):
    """Its conductor died in its second task: what the first one did is there."""
    job = begun(line)
    wrong.apply(line, jobs, of_job(job))
    a_good_one(line)
    row = line.row(job)
    assert row["state"] == S.REVERT_FAILED
    assert row["error"]["type"] == "MalformedRecord"
    assert ("tasks that are not known" if wrong.column == "tasks" else "a, b") in row["reason"]


def test_a_state_that_is_overwritten_while_the_job_runs(house):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate)])
    house.flow(lambda: [house.step("c")], "other")
    job = house.post()
    with house.running():
        gate.arrived()
        Break("state", "'bogus'").apply(house, jobs, of_job(job))
        gate.open.set()
        until(lambda: house.row(job)["owner"] is None, 60, "the conductor to put it down")
        assert house.comes_to(house.post("other")).state is S.COMPLETED
    assert house.row(job)["state"] == "bogus"


# Attempts and TaskFlow's tables


def begun(house: House) -> str:
    """A job that a conductor left in its second task."""
    acts: list[Any] = [Hold()]
    hold = acts[0]
    house.flow(lambda: [house.step("a"), house.step("b", acts.pop() if acts else None)], "long")
    job = house.post("long")
    with house.running("left", grace_s=0.2) as conductor:
        hold.arrived()
        conductor.stop()
        assert conductor.wait(30)
    assert house.row(job)["state"] == S.RUNNING
    house.calls.clear()
    return job


def test_an_attempt_without_a_row_is_not_begun_anew(line):
    job = begun(line)
    with line.database.write() as connection:
        connection.execute(sa.delete(attempts).where(attempts.c.job == job))
    a_good_one(line)
    found = line.get(job)
    assert (found.state, found.error.type) == (S.REVERT_FAILED, "MalformedRecord")
    assert found.reason == "malformed: attempt: nothing is stored of number 1; effects may remain of: a, b"


BREAK_DETAIL = {
    "no flow detail": (FLOWS, None),
    "no atoms": (ATOMS, None),
    "a state that is none": (ATOMS, Break("state", "'BOGUS'")),
    "a failure that is none": (ATOMS, Break("failure", "'{\"a\": 1}'")),
    "a failure of another kind": (ATOMS, Break("failure", "'7'")),
    "a flow state that is none": (FLOWS, Break("state", "'BOGUS'")),
}
BREAK_DETAIL_ON_SQLITE = {
    "an intention that is none": (ATOMS, Break("intention", "'BOGUS'")),
    "results that are no JSON": (ATOMS, Break("results", "'{oh'")),
    "a flow meta that is no JSON": (FLOWS, Break("meta", "'{'")),
    "an atom of no kind": (ATOMS, Break("atom_type", "'nothing'")),
}


@pytest.mark.parametrize("cancelled", [False, True], ids=["running", "cancelling"])
@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        *(pytest.param(*case, id=name) for name, case in BREAK_DETAIL.items()),
        *(pytest.param(*case, id=name, marks=ON_SQLITE) for name, case in BREAK_DETAIL_ON_SQLITE.items()),
    ],
)
def test_a_flow_detail_that_is_broken_ends_in_a_failed_revert(line, table, wrong, cancelled):
    job = begun(line)
    with line.database.read() as connection:
        detail = connection.execute(sa.select(attempts.c.flow_detail)).scalar_one()
    mine = (
        table.c.uuid == detail if table is FLOWS else sa.and_(table.c.parent_uuid == detail, table.c.name == "a")
    )
    if wrong is None:
        with line.database.write() as connection:
            if table is FLOWS:
                connection.execute(sa.delete(ATOMS))
            connection.execute(sa.delete(table).where(mine))
    else:
        wrong.apply(line, table, mine)
    if cancelled:
        line.records.cancel(job, by="ann")
    a_good_one(line)
    found = line.get(job)
    assert (found.state, found.error.type) == (S.REVERT_FAILED, "MalformedDetail")
    assert f"flow detail {detail}" in found.error.message
    assert "effects may remain of: a, b" in found.reason
    assert not any("long" in call for call in line.calls)
    # People have looked, and begin anew.
    line.records.force(job, by="ann", reason="cleaned up")
    line.drain()
    assert line.get(job).state is S.COMPLETED


def test_no_row_has_code_imported(line, tmp_path, monkeypatch):
    """TaskFlow's own conductor would make the flow that a row names."""
    (tmp_path / "canary_of_rows.py").write_text("def make(*_, **__): raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    named = {"name": "canary_of_rows.make", "args": [], "kwargs": {}}
    running = begun(line)
    other = line.post()
    line.change(other, flow="canary_of_rows:make")
    with line.database.write() as connection:
        connection.execute(sa.update(FLOWS).values(meta={"factory": named}))
        connection.execute(sa.update(postings).values(details={"job": other, "flow": named, "store": {}}))
    a_good_one(line)
    assert line.get(running).state is S.COMPLETED
    assert line.get(other).state is S.PENDING
    assert "canary_of_rows" not in sys.modules


# Postings


def test_postings_that_belong_to_no_record_stop_nobody_and_run_nothing(line):
    job, resting, other = line.post(), line.post(), line.post()
    row = dict(line.row_of_posting(job)) | {"session": None, "owner": None}
    del row["seq"]
    strays = {
        "a second one": row,
        "of a job that is not there": row | {"job": "0" * 26},
        "of no job": row | {"job": None},
    }
    line.flow(lambda: [line.step("never")], "another")
    with line.database.write() as connection:
        for uuid, stray in strays.items():
            connection.execute(sa.insert(postings).values(stray | {"uuid": uuid}))
        connection.execute(sa.update(jobs).where(of_job(resting)).values(state="completed"))
        connection.execute(sa.update(postings).where(postings.c.job == other).values(name="another"))
    a_good_one(line)
    assert line.get(job).state is S.COMPLETED
    assert line.get(other).state is S.PENDING
    assert sorted(line.calls) == ["execute a"] * 2 + ["execute b"] * 2
    assert "of no job" in [posting["uuid"] for posting in line.rows(postings)]


@pytest.mark.parametrize(
    "wrong",
    [only_sqlite("details", "'{oh'"), Break("details", "'7'"), only_sqlite("created_at", "'x'")],
    ids=str,
)
def test_a_posting_of_ours_is_claimed_whatever_its_other_columns_say(line, wrong):
    job = line.post()
    wrong.apply(line, postings, postings.c.job == job)
    line.drain()
    assert line.get(job).state is S.COMPLETED


# Leases


@pytest.mark.parametrize(
    "wrong", [only_sqlite("expires_at", "'never'"), Break("expires_at", "'9000-01-01'")], ids=str
)
def test_a_lease_that_would_never_end_holds_no_job(line, wrong):
    job = line.post()
    with line.database.write() as connection:
        dead = {"id": "dead", "expires_at": line.database.now() + timedelta(seconds=30)}
        connection.execute(sa.insert(sessions).values(dead))
        held = sa.update(postings).values(session="dead", owner="dead:1:x")
        connection.execute(held)
    wrong.apply(line, sessions, sessions.c.id == "dead")
    with line.running():
        line.comes_to(job, S.COMPLETED)


@pytest.mark.parametrize(
    "wrong",
    [
        Break("flows", "'{}'"),
        only_sqlite("flows", "'['"),
        only_sqlite("seen_at", "'x'"),
        Break("expires_at", "'9000-01-01'"),
        only_sqlite("slots", "'many'"),
    ],
    ids=str,
)
def test_a_malformed_row_of_a_conductor_hides_no_other(line, wrong):
    with line.running("good"):
        until(lambda: line.names_of_conductors() == ["good"], 60)
        with line.database.write() as connection:
            row = dict(connection.execute(sa.select(conductors)).mappings().one())
            connection.execute(sa.insert(conductors).values(row | {"owner": "x:1:y", "name": "bad"}))
        wrong.apply(line, conductors, conductors.c.name == "bad")
        malformed: dict[str, str] = {}
        alive = [found.name for found in list_conductors(line.database, malformed) if found.alive]
        assert alive == ["good"]
        assert list(malformed) == ([] if wrong.column == "expires_at" else ["conductor x:1:y"])


# History


@pytest.mark.parametrize(
    "wrong",
    [only_sqlite("at", "'x'"), Break("data", "'7'"), only_sqlite("data", "'{'"), Break("data", "'1e999'")],
    ids=str,
)
def test_a_malformed_line_of_the_history_says_so_in_its_place(line, wrong):
    job = line.post()
    line.drain()
    wrong.apply(line, events, sa.and_(events.c.job == job, events.c.state == "running", events.c.kind == "state"))
    assert line.states_of(job) == ["pending", "running", "completed"]
    said = history.read(line.database, job, kinds=["state"])[1].message
    assert said.startswith(f"malformed line: {wrong.column}: ")
