"""A conductor's hold on a job, and how the record is told of it: each claim raises the epoch."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from jobboard import history, signals, task_view
from jobboard.database import Database
from jobboard.faults import CLAIMABLE, Faults, faults_of, mended
from jobboard.history import NewLine
from jobboard.models import Task
from jobboard.owner import Owner
from jobboard.schema import Row, Values, attempts, current_attempts, jobs
from jobboard.statements import Prepared, Script, several, several_values
from jobboard.states import State


@dataclass(frozen=True)
class Claim:
    """A job as its conductor got it. `handle` is what the board needs to give it back."""

    job: str
    flow: str
    arguments: Mapping[str, Any]  # as stored: secrets are references
    state: State
    attempt: int
    epoch: int
    posting: str
    resumed: bool  # a conductor before had it in this attempt
    kept: bool  # a retry goes on at the task that failed
    cleanup: bool  # reverts that failed are to run again
    deleting: bool
    claims: int
    ran_s: float
    timeout_s: float | None
    max_retries: int
    retries_left: int
    retry_interval_s: float
    on_failure: str
    cancel_by: str | None
    cancel_reason: str | None
    flow_detail: str | None
    fingerprint: str | None
    tasks: tuple[Task, ...]
    handle: Any = None
    faults: Faults = field(default_factory=dict)  # of what is stored: it cannot run


def take(
    connection: sa.Connection,
    database: Database,
    owner: Owner,
    postings: Sequence[str],
    handles: Mapping[str, Any],
) -> list[Claim]:
    """Give `owner` the records of these postings, which it holds on the board, in the caller's transaction.

    Records at rest, or that have another posting by now, are left out: their postings are to be removed. A
    record that is malformed is given with its `faults`, for its conductor to bring it to rest.
    """
    if not postings:
        return []
    order = {posting: index for index, posting in enumerate(postings)}
    found = _claimable(len(postings)).fetch(connection, several_values("posting", postings))
    rows = sorted(found, key=lambda row: order[row["posting"]])
    return give(connection, database, owner, rows, handles)


def give(
    connection: sa.Connection,
    database: Database,
    owner: Owner,
    rows: Sequence[Row],
    handles: Mapping[str, Any],
    postings: Script | None = None,
) -> list[Claim]:
    """The same for records that are `CLAIMABLE`, and locked by the caller's transaction. In their order.

    With them, `postings` is run: what claims them on a board in the same database.
    """
    if not rows:
        return []
    now = database.now()
    given = several_values("id", [row["id"] for row in rows]) | {
        "owner": owner.id,
        "conductor": owner.name,
        "now": now,
    }
    after = [_claimed(row, owner, now) for row in rows]
    details = _attempts(connection, after)
    script = Script()
    if postings is not None:
        script.extend(postings)
    script.add(_give(len(rows)), [given])
    history.add(script, [_line(*pair, owner, now) for pair in zip(rows, after, strict=True)])
    signals.add_notify(script, database.dialect, signals.Channel.CHANGE)
    script.run(connection)
    return [
        _claim(stored, before, details.get(stored["id"]), handles.get(stored["posting"]))
        for before, stored in zip(rows, after, strict=True)
    ]


@functools.cache
def _claimable(count: int) -> Prepared:
    """The records of so many postings, locked."""
    return Prepared(
        sa.select(jobs).where(jobs.c.posting.in_(several("posting", count)), CLAIMABLE).with_for_update()
    )


@functools.cache
def _give(count: int) -> Prepared:
    """Gives so many records to a conductor. What they are then, `_claimed` says too."""
    given = sa.update(jobs).where(jobs.c.id.in_(several("id", count)))
    now = sa.bindparam("now", type_=jobs.c.started_at.type)
    new = {
        "state": sa.case((jobs.c.state == str(State.PENDING), str(State.RUNNING)), else_=jobs.c.state),
        "epoch": jobs.c.epoch + 1,
        "claims": jobs.c.claims + 1,
        "begun": sa.true(),
        "owner": sa.bindparam("owner"),
        "conductor": sa.bindparam("conductor"),
        "started_at": sa.func.coalesce(jobs.c.started_at, now),
    }
    return Prepared(given.values(new))


def _claimed(row: Row, owner: Owner, now: datetime) -> Values:
    """What a record, which is locked, becomes by the claim."""
    return {
        **row,
        "state": str(State.RUNNING) if row["state"] == State.PENDING else row["state"],
        "epoch": row["epoch"] + 1,
        "claims": row["claims"] + 1,
        "begun": True,
        "owner": owner.id,
        "conductor": owner.name,
        "started_at": now if row["started_at"] is None else row["started_at"],
    }


def _attempts(connection: sa.Connection, rows: Iterable[Row]) -> dict[str, sa.RowMapping]:
    """The attempts' rows of jobs that had a conductor before: a fresh one has nothing stored yet."""
    ids = [row["id"] for row in rows if _had_conductor(row)]
    if not ids:
        return {}
    kept = (attempts.c.job, attempts.c.flow_detail, attempts.c.fingerprint)
    query = sa.select(*kept).where(current_attempts(ids))
    return {row["job"]: row for row in connection.execute(query).mappings()}


def _had_conductor(row: Row) -> bool:
    return bool(row["claims"] > 1 or row["epoch"] > 1)


def _line(before: Row, after: Row, owner: Owner, now: Any) -> NewLine:
    if before["owner"] is None:
        said = f"claimed by {owner.name}"
    else:
        said = f"taken over by {owner.name} from {before['conductor']}, which was not heard of any more"
    return NewLine(
        after["id"],
        after["attempt"],
        now,
        history.STATE,
        state=after["state"],
        by=owner.name,
        message=said,
        data={"epoch": after["epoch"], "owner": owner.id},
    )


def _faults(row: Row, attempt: Row | None) -> Faults:
    """Of a record that has just been claimed, with its attempt."""
    faults = faults_of(jobs, row)
    if attempt is not None:
        return faults | faults_of(attempts, attempt)
    return faults | {"attempt": f"nothing is stored of number {row['attempt']}"} if _had_conductor(row) else faults


def _claim(stored: Row, before: Row, attempt: Row | None, handle: Any) -> Claim:
    faults = _faults(stored, attempt)
    row = mended(jobs, stored, faults_of(jobs, stored)) if faults else stored
    return Claim(
        job=row["id"],
        flow=row["flow"],
        arguments=row["arguments"] or {},
        state=State(row["state"]),
        attempt=row["attempt"],
        epoch=row["epoch"],
        posting=row["posting"],
        resumed=before["begun"],
        kept=row["kept"],
        cleanup=row["cleanup"],
        deleting=row["deleting"],
        claims=row["claims"],
        ran_s=row["ran_s"],
        timeout_s=row["timeout_s"],
        max_retries=row["max_retries"],
        retries_left=row["retries_left"],
        retry_interval_s=row["retry_interval_s"],
        on_failure=row["on_failure"],
        cancel_by=row["cancel_by"],
        cancel_reason=row["cancel_reason"],
        flow_detail=attempt["flow_detail"] if attempt else None,
        fingerprint=attempt["fingerprint"] if attempt else None,
        tasks=task_view.from_json(row["tasks"] or ()),
        handle=handle,
        faults=faults,
    )
