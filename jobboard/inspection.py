"""Looks for what is malformed in the database: everything that conductors and posters pass over."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from jobboard.batches import batches
from jobboard.database import Database
from jobboard.faults import CLAIMABLE, faults_of, said_of
from jobboard.merged import each_alone, is_one
from jobboard.record_reader import newest
from jobboard.schema import Row, attempts, conductors, jobs, postings
from jobboard.states import AT_REST

_FLOWS: Final = sa.table("flowdetails", sa.column("uuid"))  # TaskFlow's own would bring TaskFlow along
_AT_REST: Final = frozenset(str(state) for state in AT_REST)
_STATES: Final = each_alone(jobs, "state")  # also those that are none
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
        states = list(connection.execute(sa.select(_STATES.c.state).where(_STATES.c.state.is_not(None))).scalars())
        live = [state for state in states if state not in _AT_REST]
        records = _records(connection, live, [state for state in states if state in _AT_REST])
        found = [*records, *_attempts(connection, live), *_conductors(connection)]
        return [*found, *_postings(connection, board)] if board is not None else found


def _records(connection: sa.Connection, live: Sequence[str], at_rest: Sequence[str]) -> Iterable[Finding]:
    suspects = itertools.chain(
        _unclaimable(connection, live), *(_newest(connection, of) for of in (live, at_rest))
    )
    return {finding.id: finding for row in suspects if (finding := _finding(row))}.values()


def _unclaimable(connection: sa.Connection, states: Iterable[str]) -> Iterator[Row]:
    claimable = sa.select(jobs.c.id, CLAIMABLE.label("claimable"))
    ids = [row.id for row in _each(connection, claimable, states) if not row.claimable]
    for batch in batches(ids):
        yield from connection.execute(sa.select(jobs).where(jobs.c.id.in_(batch))).mappings()


def _newest(connection: sa.Connection, states: Sequence[str]) -> Iterator[Row]:
    if not states:
        return
    ids = [sa.select(jobs.c.id).where(jobs.c.state == state) for state in states]
    page = newest(ids, _PAGE)
    for _ in range(LOOKED_AT // _PAGE):
        rows = connection.execute(page).mappings().all()
        yield from rows
        if len(rows) < _PAGE:
            return
        page = newest([one.where(jobs.c.id < rows[-1]["id"]) for one in ids], _PAGE)


def _each(connection: sa.Connection, query: sa.Select[Any], states: Iterable[str]) -> Iterator[sa.Row[Any]]:
    """The rows of all jobs in these states, a page at a time. `query` begins with the id."""
    for state in states:
        page = query.where(jobs.c.state == state).order_by(jobs.c.id).limit(_PAGE)
        rows = connection.execute(page).all()
        while rows:
            yield from rows
            rows = connection.execute(page.where(jobs.c.id > rows[-1].id)).all() if len(rows) == _PAGE else []


def _finding(row: Row) -> Finding | None:
    faults = faults_of(jobs, row)
    if not faults:
        return None
    removal = f"`poster delete {row['id']} --force --reason T`"
    return Finding("record", str(row["id"]), said_of(faults), f"mend its row in the database, or {removal}")


def _attempts(connection: sa.Connection, live: Iterable[str]) -> Iterator[Finding]:
    """Attempts, of jobs that are to go on, of which something is missing."""
    own = sa.and_(attempts.c.job == jobs.c.id, attempts.c.number == jobs.c.attempt)
    flow_detail = sa.select(attempts.c.flow_detail).where(own).correlate(jobs).scalar_subquery()
    read = (
        jobs.c.id,
        jobs.c.attempt,
        flow_detail.label("flow_detail"),
        is_one(sa.select(attempts.c.number).where(own).correlate(jobs)).label("there"),
        is_one(sa.select(_FLOWS.c.uuid).where(_FLOWS.c.uuid == flow_detail).correlate(jobs)).label("detail"),
    )
    for row in _each(connection, sa.select(*read), live):
        if row.flow_detail and not row.detail:
            wrong = f"TaskFlow's flow detail {row.flow_detail} is gone"
        elif not row.there:
            wrong = "nothing is stored of it"
        else:
            continue
        yield Finding("attempt", f"{row.id}/{row.attempt}", wrong, _GIVEN_UP)


_GIVEN_UP: Final = "nothing: a conductor brings the job to rest, and names what may be left"


def _conductors(connection: sa.Connection) -> Iterator[Finding]:
    for row in connection.execute(sa.select(conductors)).mappings():
        if faults := faults_of(conductors, row):
            yield Finding("conductor", str(row["owner"]), said_of(faults), _MEND)


def _postings(connection: sa.Connection, board: str) -> Iterator[Finding]:
    """Postings that are never claimed: nothing stands behind them."""
    query = (
        sa.select(postings.c.seq, postings.c.uuid, postings.c.job, postings.c.name, jobs.c.id, jobs.c.flow)
        .outerjoin(jobs, jobs.c.posting == postings.c.uuid)
        .where(postings.c.board == board, postings.c.trashed_at.is_(None))
        .order_by(postings.c.seq)
        .limit(_PAGE)
    )
    rows = connection.execute(query.where(postings.c.seq > 0)).mappings().all()
    while rows:
        for row in rows:
            if row["id"] is None or row["flow"] != row["name"]:
                yield Finding("posting", str(row["uuid"]), _wrong_with(row), "remove its row in the database")
        rows = connection.execute(query.where(postings.c.seq > rows[-1]["seq"])).mappings().all()


def _wrong_with(row: Row) -> str:
    if row["id"] is not None:
        return f"it is of flow {row['name']}, and job {row['id']} is of flow {row['flow']}"
    if row["job"] is None:
        return "it belongs to no job of ours"
    return f"job {row['job']} is not there, or has another posting"
