"""What is known of jobs when a test looks: what was asked, what is stored, what was done to the world."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from jobboard import history, task_view
from jobboard.database import Database
from jobboard.models import HistoryLine, Task
from jobboard.schema import attempts, events, jobs, postings
from jobboard.states import State
from jobboard.taskflow_rows import ATOMS
from tests.rules.effects import Effect, Effects


@dataclass(frozen=True)
class Request:
    """What someone asked, and what he was told. `accepted` is None if the answer never came."""

    kind: str  # post cancel retry cleanup force pause resume delete
    job: str | None  # None: of a post whose answer never came
    accepted: bool | None = True
    attempt: int | None = None  # the job's in the answer, where it is known
    key: str | None = None  # of a post
    at: datetime | None = None


@dataclass(frozen=True)
class FlowFacts:
    """What the rules need to know of a flow's structure."""

    order: tuple[str, ...] = ()  # of a linear flow: its tasks
    tries: int = 1  # how often its retry controllers may let a task run, all in all


@dataclass(frozen=True)
class Known:
    """All that is known. `crashes` bounds those of any one job; None: not known."""

    requests: Sequence[Request] | None
    stories: Mapping[str, Story]
    now: datetime
    still_faulty: bool
    crashes: int | None
    frozen: Collection[int]  # processes that were stopped past their lease, and woke again
    max_claims: int


@dataclass(frozen=True)
class Story:
    """One job."""

    record: Mapping[Any, Any]
    attempts: Sequence[Mapping[Any, Any]]
    lines: Sequence[HistoryLine]
    atoms: Mapping[str, str]  # TaskFlow's, of the current attempt: their states by name
    postings: int  # how many the board has
    effects: Sequence[Effect] = ()
    things: Mapping[tuple[int, str], int] = field(default_factory=dict)  # attempt and task: who made it
    requests: Sequence[Request] = ()
    flow: FlowFacts = field(default_factory=FlowFacts)

    @property
    def state(self) -> State:
        return State(self.record["state"])

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What people see of them."""
        return task_view.from_json(self.record["tasks"])

    @cached_property
    def path(self) -> list[HistoryLine]:
        """The lines of its states."""
        return [line for line in self.lines if line.kind == history.STATE]

    @property
    def moves(self) -> Iterator[tuple[HistoryLine, HistoryLine]]:
        """Each line of its states with the one before."""
        return pairwise(self.path)

    @cached_property
    def task_lines(self) -> list[HistoryLine]:
        """The lines of its tasks' states."""
        return [line for line in self.lines if line.kind == history.TASK and line.state != history.NOT_RESPONDING]

    @cached_property
    def claims(self) -> list[HistoryLine]:
        """The lines of its claims."""
        return [line for line in self.path if is_claim(line)]

    def asked(self, *kinds: str) -> list[Request]:
        """Requests of these kinds that were accepted for sure."""
        return [asked for asked in self.requests if asked.kind in kinds and asked.accepted]

    def maybe_asked(self, *kinds: str) -> list[Request]:
        """Requests of these kinds that may have been accepted: no answer came."""
        return [asked for asked in self.requests if asked.kind in kinds and asked.accepted is None]


def is_claim(line: HistoryLine) -> bool:
    """Whether a conductor claimed the job."""
    return line.kind == history.STATE and "epoch" in (line.data or {})


def is_request(line: HistoryLine) -> bool:
    """Whether it tells of what someone asked for, not of what a conductor did."""
    return line.kind == history.STATE and line.by is not None and not is_claim(line) and not is_freed(line)


def is_freed(line: HistoryLine) -> bool:
    """Whether a claim ended of which its conductor was never told: that is no crash."""
    return line.kind == history.STATE and (line.message or "").startswith("the claim is freed")


def begins_attempt(before: HistoryLine, after: HistoryLine) -> bool:
    """Whether this step of a job's path is a retry from the start: by hand, by itself, or with force.

    The line of an automatic retry still names the attempt that has ended.
    """
    if after.state != State.PENDING:
        return False
    return before.state == State.REVERTING or after.attempt > before.attempt


def goes_on(before: HistoryLine, after: HistoryLine) -> bool:
    """Whether this step is a retry of a job that kept its results: in the same attempt."""
    return (before.state, after.state) == (State.FAILED, State.PENDING) and after.attempt == before.attempt


def read_stories(
    database: Database,
    *,
    effects: Effects | None,
    requests: Sequence[Request],
    flows: Mapping[str, FlowFacts],
    on_board: Sequence[str] | None,
) -> dict[str, Story]:
    """All jobs of a database as they stand at one moment."""
    with database.read() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows = {table: _rows(connection, table) for table in (jobs, attempts, events, postings, ATOMS)}
    of_job = {table: _by(rows[table], "job") for table in (attempts, events, postings)}
    atoms = _by(rows[ATOMS], "parent_uuid")
    done = defaultdict(list)
    for effect in effects.read() if effects else ():
        done[effect.job].append(effect)
    found = {}
    for record in rows[jobs]:
        job = record["id"]
        mine = of_job[attempts][job]
        detail = next((row["flow_detail"] for row in mine if row["number"] == record["attempt"]), None)
        found[job] = Story(
            record=record,
            attempts=mine,
            lines=[HistoryLine(**row) for row in of_job[events][job]],
            atoms={row["name"]: row["state"] for row in atoms[detail]} if detail else {},
            postings=len(of_job[postings][job]) if on_board is None else list(on_board).count(job),
            effects=done[job],
            things=effects.things(job) if effects else {},
            requests=[asked for asked in requests if asked.job == job],
            flow=flows.get(record["flow"], FlowFacts()),
        )
    return found


def _rows(connection: sa.Connection, table: sa.Table) -> list[Any]:
    return list(connection.execute(sa.select(table).order_by(*table.primary_key)).mappings())


def _by(rows: Sequence[Any], column: str) -> defaultdict[str, list[Any]]:
    found = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found
