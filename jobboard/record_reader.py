"""What anyone may read of the records."""

from __future__ import annotations

import builtins
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from jobboard import history, removal, search
from jobboard.batches import BATCH, batches
from jobboard.database import Database
from jobboard.errors import AmbiguousJob, MalformedRecord, NoSuchJob
from jobboard.faults import check, faults_of, said_of, state_of
from jobboard.ids import ID_LENGTH, SKEW, first_id
from jobboard.job_row import to_job
from jobboard.merged import first_of
from jobboard.models import Job, Page, TaskError
from jobboard.schema import PENDING, Row, attempts, events, jobs
from jobboard.states import State

_SHOWN_OF_AMBIGUOUS: Final = 5


class RecordReader:
    """Reads the records of one database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.malformed: dict[str, str] = {}
        """What lists and counts have left out, and why."""

    # One job

    def get(self, job: str) -> Job:
        """One job. Raises `NoSuchJob`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().first()
            if row is None:
                raise not_there(connection, job)
        return to_job(row)

    def arguments(self, job: str) -> tuple[str, dict[str, Any]]:
        """A job's flow and its arguments as stored: secrets are references, not masks. Raises `NoSuchJob`."""
        with self._database.read() as connection:
            query = sa.select(jobs.c.id, jobs.c.state, jobs.c.flow, jobs.c.arguments).where(jobs.c.id == job)
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NoSuchJob(job)
        check(row)
        return row["flow"], dict(row["arguments"])

    def fingerprint(self, job: str) -> str | None:
        """Of the flow's structure when the job's attempt began; None if no conductor has begun it."""
        query = (
            sa.select(attempts.c.fingerprint)
            .join(jobs, sa.and_(jobs.c.id == attempts.c.job, jobs.c.attempt == attempts.c.number))
            .where(jobs.c.id == job)
        )
        with self._database.read() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def last_line(self, job: str) -> int:
        """The number of the newest line of a job's history; 0 if there is none."""
        lines = [
            sa.select(events.c.seq).where(events.c.job == job, events.c.kind == kind) for kind in history.KINDS
        ]
        with self._database.read() as connection:
            found = connection.execute(first_of(lines, ("seq",), 1, descending=True)).scalar()
        return int(found or 0)

    def resolve(self, prefix: str) -> str:
        """The id of the one job whose id begins so. Raises `NoSuchJob`, `AmbiguousJob`."""
        wanted = prefix.lower()
        if not wanted.isalnum():
            raise NoSuchJob(prefix)
        # A range, which the primary key serves on both databases whatever their collation does to LIKE. Its end is
        # made of an id's greatest letter: where other characters stand differs from collation to collation.
        ids = sa.select(jobs.c.id).where(jobs.c.id.between(wanted, wanted.ljust(ID_LENGTH, "z")))
        with self._database.read() as connection:
            found = list(connection.execute(ids.order_by(jobs.c.id).limit(_SHOWN_OF_AMBIGUOUS)).scalars())
            if not found:
                raise not_there(connection, wanted)
        if len(found) > 1 and wanted not in found:
            raise AmbiguousJob(prefix, found)
        return str(wanted if wanted in found else found[0])

    # Several

    def get_many(self, ids: Sequence[str]) -> list[Job]:
        """These jobs, in the order given. Raises `NoSuchJob`."""
        found: dict[str, Job] = {}
        with self._database.read() as connection:
            for batch in batches(ids):
                rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(batch))).mappings()
                found |= {row["id"]: to_job(row) for row in rows}
        return [found[job] for job in ids if _there(job, found)]

    def states(self, ids: Sequence[str]) -> dict[str, State]:
        """The states of these jobs. Cheaper than the jobs. Raises `NoSuchJob`, `MalformedRecord`."""
        found: dict[str, State] = {}
        with self._database.read() as connection:
            for batch in batches(ids):
                query = sa.select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(batch))
                rows = connection.execute(query).mappings()
                found |= {row["id"]: state_of(row) for row in rows}
        return {job: found[job] for job in ids if _there(job, found)}

    def failures(self, ids: Sequence[str]) -> dict[str, TaskError]:
        """Why the last attempt that has ended failed, of those of these jobs of which that is so."""
        ended = sa.select(attempts.c.job, attempts.c.error).join(jobs, jobs.c.id == attempts.c.job)
        found: dict[str, TaskError] = {}
        with self._database.read() as connection:
            for batch in batches(ids):
                last = ended.where(jobs.c.id.in_(batch), attempts.c.number >= jobs.c.attempt - 1)
                rows = connection.execute(last.order_by(attempts.c.number)).mappings()
                failed = (row for row in rows if row["error"] and not faults_of(attempts, row))
                found |= {row["job"]: TaskError(**row["error"]) for row in failed}
        return found

    def list(
        self,
        *,
        states: Iterable[State] = (),
        flow: str | None = None,
        since: datetime | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Jobs, newest first. `before` is the id of the last one of the page before.

        Those whose records are malformed are left out, and noted in `malformed`.
        """
        pages = _selections(states, flow)
        if since is not None:  # an id holds the time, by its poster's clock
            pages = [page.where(jobs.c.id >= first_id(since, SKEW)) for page in pages]
        found: builtins.list[Job] = []
        with self._database.read() as connection:
            while room := limit - len(found):
                left = pages if before is None else [page.where(jobs.c.id < before) for page in pages]
                query = newest(left, room)
                query = query if since is None else query.where(jobs.c.posted_at >= since)
                rows = _rows(connection, query)
                found += self._sound(rows)
                if len(rows) < room:
                    break
                before = rows[-1]["id"]
        return found

    def ended_since(self, moment: datetime) -> Iterator[Job]:
        """Jobs that have ended since then, those that ended last first."""
        query = sa.select(jobs).where(jobs.c.finished_at >= moment)
        order = sa.tuple_(jobs.c.finished_at, jobs.c.id)
        page = query
        while True:
            with self._database.read() as connection:
                found = first_of([page], ("finished_at", "id"), BATCH, descending=True)
                rows = _rows(connection, found)
            yield from self._sound(rows)
            if len(rows) < BATCH or not isinstance(last := rows[-1]["finished_at"], datetime):
                return
            page = query.where(order < sa.tuple_(sa.literal(last, jobs.c.finished_at.type), rows[-1]["id"]))

    def _sound(self, rows: Iterable[Row]) -> Iterator[Job]:
        for row in rows:
            try:
                yield to_job(row)
            except MalformedRecord as error:
                self.malformed[f"job {error.job}"] = error.why

    def search(
        self,
        words: str,
        *,
        states: Iterable[State] = (),
        flow: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Jobs that have these words, newest first; of the `search.LOOKED_THROUGH` newest ones after `before`.

        While there are more to look through the page has a next one, also if it is empty itself. One whose id
        begins so is found however old it is.
        """
        pages = _selections(states, flow)
        named = search.named(words) if before is None else None
        with self._database.read() as connection:
            by_id = [] if named is None else _rows(connection, newest([one.where(named) for one in pages], limit))
            rows, more = _having(connection, pages, search.having(words), before, limit)
        shown = {row["id"]: row for row in [*rows, *by_id]}
        return Page(tuple(self._sound(shown[job] for job in sorted(shown, reverse=True))), more)

    def matching(
        self, *, states: Iterable[State] = (), flow: str | None = None, words: str | None = None
    ) -> Iterator[str]:
        """The ids of all such jobs as of now, oldest first; read in batches, as they are taken."""
        last, after = self._last_id(), ""
        pages = [page.where(jobs.c.id <= last) for page in _selections(states, flow)]
        pages = pages if words is None else [page.where(search.having(words)) for page in pages]
        while True:
            left = [page.where(jobs.c.id > after) for page in pages]
            with self._database.read() as connection:
                ids = connection.execute(first_of(left, ("id",), BATCH)).scalars().all()
            yield from ids
            if len(ids) < BATCH:
                return
            after = ids[-1]

    def _last_id(self) -> str:
        with self._database.read() as connection:
            last: str | None = connection.execute(sa.select(sa.func.max(jobs.c.id))).scalar()
        return last or ""

    # All

    def count(self) -> dict[str, dict[str, int]]:
        """How many jobs there are, by flow and state. Those in no state are noted in `malformed`.

        Reads the whole of one index.
        """
        query = sa.select(jobs.c.flow, jobs.c.state, sa.func.count()).group_by(jobs.c.flow, jobs.c.state)
        counted: dict[str, dict[str, int]] = {}
        with self._database.read() as connection:
            for flow, state, number in connection.execute(query):
                if fault := said_of(faults_of(jobs, {"flow": flow, "state": state})):
                    self.malformed[f"{number} of flow {flow}"] = fault
                    continue
                counted.setdefault(flow, {})[state] = number
        return counted

    def oldest_due(self) -> datetime | None:
        """Since when the job that waits longest could have run; None if none waits."""
        waits = sa.and_(PENDING, jobs.c.due_at <= self._database.now())
        with self._database.read() as connection:
            moment = connection.execute(sa.select(sa.func.min(jobs.c.due_at)).where(waits)).scalar()
        return moment if isinstance(moment, datetime) else None


def _selections(states: Iterable[State], flow: str | None) -> builtins.list[sa.Select[Any]]:
    """Selections of ids that an index gives in order: together all jobs in these states, of this flow."""
    query = sa.select(jobs.c.id)
    wanted = _texts(states)
    if flow is not None:
        query, wanted = query.where(jobs.c.flow == flow), wanted or _texts(State)
    return [query.where(jobs.c.state == state) for state in wanted] or [query]


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> builtins.list[dict[str, Any]]:
    """The rows as dicts: each value is looked at several times, which SQLAlchemy's own mappings make slow."""
    result = connection.execute(query)
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]


def _having(
    connection: sa.Connection,
    pages: Sequence[sa.Select[Any]],
    wanted: sa.ColumnElement[bool],
    before: str | None,
    limit: int,
) -> tuple[builtins.list[dict[str, Any]], str | None]:
    """The newest rows that are as wanted; and the id after which there are more to look at, None at the end.

    Part by part: of one statement for all PostgreSQL would make one that reads the whole table.
    """
    found: builtins.list[dict[str, Any]] = []
    left = search.LOOKED_THROUGH
    while left:
        part = min(BATCH, left)
        older = pages if before is None else [page.where(jobs.c.id < before) for page in pages]
        ids = connection.execute(first_of(older, ("id",), part, descending=True)).scalars().all()
        rows = sa.select(jobs).where(jobs.c.id.in_(ids), wanted).order_by(jobs.c.id.desc())
        found += _rows(connection, rows.limit(limit + 1 - len(found))) if ids else []
        if len(found) > limit:
            return found[:limit], found[limit - 1]["id"]
        if len(ids) < part:
            return found, None
        before, left = ids[-1], left - part
    return found, before


def newest(ids: Sequence[sa.Select[Any]], limit: int) -> sa.Select[Any]:
    """The jobs with the newest of these ids, newest first."""
    found = first_of(ids, ("id",), limit, descending=True)
    return sa.select(jobs).where(jobs.c.id.in_(found)).order_by(jobs.c.id.desc())


def not_there(connection: sa.Connection, job: str) -> NoSuchJob:
    """That there is no such job; who had it deleted, if someone had."""
    told = removal.told_of(connection, job)
    return NoSuchJob(job, told) if told else NoSuchJob(job)


def _texts(states: Iterable[State]) -> list[str]:
    return sorted(str(state) for state in states)


def _there(job: str, found: Container[str]) -> bool:
    if job not in found:
        raise NoSuchJob(job)
    return True
