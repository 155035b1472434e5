"""Looks for what is malformed in the database: everything that conductors and posters pass over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.faults import CLAIMABLE, faults_of, said_of
from jobboard.schema import Row, attempts, conductors, jobs, postings
from jobboard.states import AT_REST

_FLOWS: Final = sa.table("flowdetails", sa.column("uuid"))  # TaskFlow's own would bring TaskFlow along
_PAGE: Final = 1000
LOOKED_AT: Final = 20_000
"""So many records are looked at, the newest of those that rest and of those that do not. What no conductor could
claim is found among all."""


@dataclass(frozen=True)
class Finding:
    """One thing that is set aside."""

    thing: str  # record, attempt, posting, conductor
    id: str
    wrong: str  # what is wrong with it
    advice: str  # what to do about it


_MEND: Final = "mend its row in the database, or remove it"


def inspect(database: Database, board: str | None) -> list[Finding]:
    """What is found. `board` is the name of the `sql` board, if that is in use."""
    with database.read() as connection:
        found = [*_records(connection), *_attempts(connection), *_conductors(connection)]
        return [*found, *_postings(connection, board)] if board is not None else found


def _records(connection: sa.Connection) -> Iterable[Finding]:
    live = jobs.c.state.not_in(_resting())
    unclaimable = sa.and_(live, sa.not_(CLAIMABLE))
    found = {
        finding.id: finding
        for which in (unclaimable, live, sa.not_(live))
        for row in _newest(connection, which)
        if (finding := _finding(row))
    }
    return found.values()


def _newest(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Iterator[Row]:
    query = sa.select(jobs).where(which).order_by(jobs.c.id.desc()).limit(_PAGE)
    page = query
    for _ in range(LOOKED_AT // _PAGE):
        rows = connection.execute(page).mappings().all()
        yield from rows
        if len(rows) < _PAGE:
            return
        page = query.where(jobs.c.id < rows[-1]["id"])


def _finding(row: Row) -> Finding | None:
    faults = faults_of(jobs, row)
    if not faults:
        return None
    removal = f"`poster delete {row['id']} --force --reason T`"
    return Finding("record", str(row["id"]), said_of(faults), f"mend its row in the database, or {removal}")


def _attempts(connection: sa.Connection) -> Iterator[Finding]:
    """Attempts, of jobs that are to go on, of which something is missing."""
    own = sa.and_(attempts.c.job == jobs.c.id, attempts.c.number == jobs.c.attempt)
    detail = sa.exists().where(_FLOWS.c.uuid == attempts.c.flow_detail)
    lost = sa.or_(attempts.c.job.is_(None), sa.and_(attempts.c.flow_detail.is_not(None), sa.not_(detail)))
    query = (
        sa.select(jobs.c.id, jobs.c.attempt, attempts.c.flow_detail)
        .outerjoin(attempts, own)
        .where(jobs.c.state.not_in(_resting()), lost)
    )
    for job, number, flow_detail in connection.execute(query):
        wrong = f"TaskFlow's flow detail {flow_detail} is gone" if flow_detail else "nothing is stored of it"
        yield Finding("attempt", f"{job}/{number}", wrong, _GIVEN_UP)


_GIVEN_UP: Final = "nothing: a conductor brings the job to rest, and names what may be left"


def _conductors(connection: sa.Connection) -> Iterator[Finding]:
    for row in connection.execute(sa.select(conductors)).mappings():
        if faults := faults_of(conductors, row):
            yield Finding("conductor", str(row["owner"]), said_of(faults), _MEND)


def _postings(connection: sa.Connection, board: str) -> Iterator[Finding]:
    """Postings that are never claimed: nothing stands behind them."""
    query = (
        sa.select(postings.c.uuid, postings.c.job, postings.c.name, jobs.c.id, jobs.c.flow)
        .outerjoin(jobs, jobs.c.posting == postings.c.uuid)
        .where(
            postings.c.board == board,
            postings.c.trashed_at.is_(None),
            sa.or_(jobs.c.id.is_(None), jobs.c.flow != postings.c.name),
        )
        .order_by(postings.c.seq)
    )
    for row in connection.execute(query).mappings():
        yield Finding("posting", str(row["uuid"]), _wrong_with(row), "remove its row in the database")


def _wrong_with(row: Row) -> str:
    if row["id"] is not None:
        return f"it is of flow {row['name']}, and job {row['id']} is of flow {row['flow']}"
    if row["job"] is None:
        return "it belongs to no job of ours"
    return f"job {row['job']} is not there, or has another posting"


def _resting() -> list[str]:
    return sorted(str(state) for state in AT_REST)
