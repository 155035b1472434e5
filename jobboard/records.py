"""The records: the one truth about every job. What posters ask of them, and what anyone may read.

A change is one UPDATE whose WHERE clause holds the state that was decided upon, in one transaction with its
line of history. When another was faster, the decision is made again from what is there now.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from jobboard import history, removal, requests, signals, task_view
from jobboard.address import MASK
from jobboard.database import Database
from jobboard.decisions import Accept, NoChange, Refuse, Remove
from jobboard.errors import AmbiguousJob, JobboardError, KeyInUse, MalformedRecord, NoSuchJob, Refused
from jobboard.faults import check, faults_of, said_of, state_of
from jobboard.history import NewLine
from jobboard.ids import ID_LENGTH, SKEW, first_id, new_id
from jobboard.merged import first_of
from jobboard.models import PRIORITIES, Cancel, Job, NewJob, TaskError
from jobboard.requests import Change, Request
from jobboard.schema import KEPT_KEY, PENDING, Row, attempts, current_attempts, events, jobs, postings
from jobboard.statements import Script, add_insert
from jobboard.states import ENDED, State

_BATCH: Final = 1000
_SHOWN_OF_AMBIGUOUS: Final = 5


@dataclass(frozen=True)
class Posted:
    """What became of one job of a post."""

    id: str
    existed: bool  # its key gave an earlier job back


Answer = Job | JobboardError
"""What became of one of many requests: the job as it then is, or `NoSuchJob` or `Refused`."""


class Records:
    """The records of one database. Thread-safe.

    `board` is the name of the `sql` board in the same database, which gets a posting in the transaction of
    the record; None when another board is used, which conductors keep supplied.
    """

    def __init__(self, database: Database, board: str | None) -> None:
        self._database = database
        self._board = board
        self.malformed: dict[str, str] = {}
        """What lists and counts have left out, and why."""

    # Posting

    def post(self, new: Sequence[NewJob], *, by: str) -> list[Posted]:
        """Store jobs, all or none. A key that a job has which has not ended gives that job back.

        Raises `KeyInUse` if that job is of another flow or has other arguments.
        """
        while True:
            try:
                return self._post(new, by)
            except sa_exc.IntegrityError as error:
                if "jobs_key" not in str(error.orig) and "jobs.key" not in str(error.orig):
                    raise
                # Another post with one of these keys was faster: its job is found now.

    def _post(self, new: Sequence[NewJob], by: str) -> list[Posted]:
        if not new:
            return []
        keys = [job.key for job in new if job.key]
        if not keys:
            posted, script = self._posting(new, {}, by)
            self._database.commit(script)
            return posted
        with self._database.write() as connection:
            posted, script = self._posting(new, self._by_key(connection, keys), by)
            script.run(connection)
        return posted

    def _posting(self, new: Sequence[NewJob], known: dict[str, Row], by: str) -> tuple[list[Posted], Script]:
        """What becomes of new jobs, and what stores them. `known` are jobs that have not ended, by their keys."""
        now = self._database.now()
        posted: list[Posted] = []
        rows: list[dict[str, Any]] = []
        for job in new:
            earlier = known.get(job.key) if job.key else None
            if earlier is not None:
                posted.append(Posted(_same(job, earlier), existed=True))
                continue
            row = _new_row(job, now, on_board=self._board is not None)
            rows.append(row)
            posted.append(Posted(row["id"], existed=False))
            if job.key:
                known[job.key] = row
        return posted, self._insertion(rows, now, by)

    def _by_key(self, connection: sa.Connection, keys: list[str]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for batch in _batches(keys):
            kept = sa.select(jobs).where(jobs.c.key.in_(batch), KEPT_KEY)
            found |= {row["key"]: row for row in connection.execute(kept).mappings()}
        return found

    def _insertion(self, rows: list[dict[str, Any]], now: datetime, by: str) -> Script:
        script = Script()
        if not rows:
            return script
        # By key: two posts that lock the same keys in different orders would block each other.
        add_insert(script, jobs, sorted(rows, key=lambda row: row["key"] or ""))
        first = [{"job": row["id"], "number": 1, "arguments": row["arguments"]} for row in rows]
        add_insert(script, attempts, first)
        lines = [
            NewLine(row["id"], 1, now, history.STATE, state="pending", by=by, message=history.POSTED)
            for row in rows
        ]
        history.add(script, lines)
        on_board = [posting_row(self._board, row, now) for row in rows if row["posting"] and self._board]
        add_insert(script, postings, on_board)
        signals.add_notify(script, self._database.dialect, signals.Channel.WORK, signals.Channel.CHANGE)
        return script

    # Requests

    def cancel(self, job: str, *, by: str, reason: str | None = None) -> Job:
        """Accept a cancel, durably, and give the job as it then stands.

        A job that no conductor has begun is cancelled at once. Raises `NoSuchJob`, and `Refused` when it
        is too late.
        """
        return _there_still(self._request(job, by, requests.cancel(by, reason)))

    def cancel_many(self, ids: Sequence[str], *, by: str, reason: str | None = None) -> builtins.list[Answer]:
        """Accept cancels: an answer for each of `ids`, in their order. One that is refused stops no other.

        A thousand go in one transaction, each kind of change in one statement.
        """
        answers: dict[str, Answer] = {}
        for batch in _batches(list(dict.fromkeys(ids))):
            answers |= self._cancel_batch(batch, by, reason)
        return [answers[job] for job in ids]

    def retry(
        self,
        job: str,
        *,
        by: str,
        arguments: Mapping[str, Any] | None = None,
        changed: Mapping[str, Any] | None = None,
    ) -> Job:
        """Begin a new attempt of a failed or cancelled job; one that kept its results goes on instead.

        `arguments`, which are validated, replace all of the job's; `changed` are those that differ, as they may
        be shown. Raises `NoSuchJob`, `Refused`.
        """
        request = requests.retry(on_board=self._on_board, arguments=arguments, changed=changed or {})
        return _there_still(self._request(job, by, request))

    def cleanup(self, job: str, *, by: str) -> Job:
        """Have the reverts that failed run again, then those that never ran. Raises `NoSuchJob`, `Refused`."""
        return _there_still(self._request(job, by, requests.cleanup(by, on_board=self._on_board)))

    def force(self, job: str, *, by: str, reason: str) -> Job:
        """Give the effects of failed reverts up, and begin a new attempt. Raises `NoSuchJob`, `Refused`."""
        return _there_still(self._request(job, by, requests.force(by, reason, on_board=self._on_board)))

    def pause(self, job: str, *, by: str) -> Job:
        """Stop a job between two tasks; results are kept. Raises `NoSuchJob`, `Refused`."""
        return _there_still(self._request(job, by, requests.pause(by)))

    def resume(self, job: str, *, by: str) -> Job:
        """Let a paused job go on at its next task. Raises `NoSuchJob`, `Refused`."""
        return _there_still(self._request(job, by, requests.resume(by, on_board=self._on_board)))

    def delete(self, job: str, *, by: str, reason: str | None = None, force: bool = False) -> Job | None:
        """Remove a job with its history. One with something to revert is cancelled first, and goes when it is.

        None if it is gone. With `force` one whose revert failed goes too, and one whose record is malformed.
        Raises `NoSuchJob`, `Refused`.
        """
        noted = functools.partial(removal.note, by=by, reason=reason)
        return self._request(job, by, requests.delete(by, reason, force=force), forced=force, note=noted)

    @property
    def _on_board(self) -> bool:
        return self._board is not None

    def _request(
        self,
        job: str,
        by: str,
        request: Request,
        *,
        forced: bool = False,
        note: Callable[[sa.Connection, str, datetime], None] = lambda *_: None,
    ) -> Job | None:
        """Ask `request` what to do with a job's record, and do it. The job as it then is; None if it is gone.

        A malformed record is `forced` out, whatever was asked; else `MalformedRecord`. `note` writes down what
        outlives the job.
        """
        while True:
            with self._database.write() as connection:
                row = connection.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().first()
                if row is None:
                    raise NoSuchJob(job)
                if forced and faults_of(jobs, row):
                    note(connection, job, self._database.now())
                    removal.remove(connection, [job])
                    return None
                check(row)
                now = self._database.now()
                change = request(row, now)
                if isinstance(change.decision, Refuse):
                    raise Refused(job, row["state"], change.decision.why)
                if isinstance(change.decision, NoChange):
                    return to_job(row)
                try:
                    after = self._apply(connection, row, change)
                except sa_exc.IntegrityError:
                    raise Refused(job, row["state"], _key_is_taken(row).why) from None
                if after is None:
                    continue  # another request or the conductor was faster: decide anew
                self._follow(connection, [(row, after)], now, by, change)
                note(connection, job, now)
                if isinstance(change.decision, Remove):
                    removal.remove(connection, [job])
                    return None
                return to_job(after)

    def _apply(self, connection: sa.Connection, row: sa.RowMapping, change: Change) -> sa.RowMapping | None:
        state = str(change.decision.target) if isinstance(change.decision, Accept) else row["state"]
        unchanged = sa.and_(jobs.c.id == row["id"], jobs.c.state == row["state"], jobs.c.epoch == row["epoch"])
        done = sa.update(jobs).where(unchanged).values(state=state, **change.columns).returning(jobs)
        return connection.execute(done).mappings().first()

    def _cancel_batch(self, ids: Sequence[str], by: str, reason: str | None) -> dict[str, Answer]:
        request = requests.cancel(by, reason)
        with self._database.write() as connection:
            now = self._database.now()
            # Locked in one order, so that many who cancel the same jobs wait for each other, and none for ever.
            locked = sa.select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id).with_for_update()
            found = {row["id"]: row for row in connection.execute(locked).mappings()}
            after = {job: _job_or_error(row) for job, row in found.items()}
            before = {job: row for job, row in found.items() if isinstance(after[job], Job)}
            changes = {job: request(row, now) for job, row in before.items()}
            for rows, change in _alike(before, changes):
                done = self._apply_to_all(connection, rows, change)
                self._follow(connection, [(before[row["id"]], row) for row in done], now, by, change)
                after |= {row["id"]: to_job(row) for row in done}
                changed = {row["id"] for row in done}
                changes |= {row["id"]: Change(_key_is_taken(row)) for row in rows if row["id"] not in changed}
        return {job: _answer(job, changes.get(job), after.get(job)) for job in ids}

    def _apply_to_all(
        self, connection: sa.Connection, rows: Sequence[sa.RowMapping], change: Change
    ) -> Sequence[sa.RowMapping]:
        """One change of rows that are alike, and locked. Those whose key has a newer job stay as they are."""
        assert isinstance(change.decision, Accept), "only an accepted request changes anything"  # noqa: S101
        unchanged = sa.and_(jobs.c.id.in_([row["id"] for row in rows]), jobs.c.state == rows[0]["state"])
        done = sa.update(jobs).where(unchanged).values(state=str(change.decision.target), **change.columns)
        # Only what has ended can find its key taken.
        point = connection.begin_nested() if rows[0]["state"] in ENDED else contextlib.nullcontext()
        try:
            with point:
                return connection.execute(done.returning(jobs)).mappings().all()
        except sa_exc.IntegrityError:
            alone = [self._apply_to_all(connection, [row], change) for row in rows] if len(rows) > 1 else []
            return list(itertools.chain.from_iterable(alone))

    def _follow(
        self,
        connection: sa.Connection,
        changed: Sequence[tuple[Row, Row]],
        now: datetime,
        by: str,
        change: Change,
    ) -> None:
        """What goes with a change of rows, before and after: history, attempts, postings, the signals."""
        history.append(
            connection,
            [
                NewLine(
                    after["id"],
                    after["attempt"],
                    now,
                    history.STATE,
                    state=after["state"],
                    by=by,
                    message=change.message,
                    data=change.data,
                )
                for _before, after in changed
            ],
        )
        over = [after["id"] for _before, after in changed if after["state"] == State.CANCELLED]
        if over:
            these = current_attempts(over)
            connection.execute(sa.update(attempts).where(these).values(ended_at=now, outcome=str(State.CANCELLED)))
        fresh = [
            {"job": after["id"], "number": after["attempt"], "arguments": after["arguments"]}
            for before, after in changed
            if after["attempt"] != before["attempt"]
        ]
        if fresh:
            connection.execute(sa.insert(attempts), fresh)
        moved = [(before, after) for before, after in changed if before["posting"] != after["posting"]]
        gone = [before["posting"] for before, _after in moved if before["posting"]]
        if gone:
            connection.execute(sa.delete(postings).where(postings.c.uuid.in_(gone)))
        on_board = [posting_row(self._board, after, now) for _before, after in moved if after["posting"]]
        if on_board and self._board:
            connection.execute(sa.insert(postings), on_board)
        channels = [signals.Channel.CONTROL, signals.Channel.CHANGE]
        if any(after["owner"] is None for _before, after in changed):
            # Of a job that a conductor has there is nothing to claim: who asked would only be in the way.
            channels.append(signals.Channel.WORK)
        signals.notify(connection, *channels)

    # Reading

    def get(self, job: str) -> Job:
        """One job. Raises `NoSuchJob`."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().first()
            if row is None:
                raise _not_there(connection, job)
        return to_job(row)

    def get_many(self, ids: Sequence[str]) -> list[Job]:
        """These jobs, in the order given. Raises `NoSuchJob`."""
        found: dict[str, Job] = {}
        with self._database.read() as connection:
            for batch in _batches(ids):
                rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(batch))).mappings()
                found |= {row["id"]: to_job(row) for row in rows}
        return [found[job] for job in ids if _there(job, found)]

    def states(self, ids: Sequence[str]) -> dict[str, State]:
        """The states of these jobs. Cheaper than the jobs. Raises `NoSuchJob`, `MalformedRecord`."""
        found: dict[str, State] = {}
        with self._database.read() as connection:
            for batch in _batches(ids):
                query = sa.select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(batch))
                rows = connection.execute(query).mappings()
                found |= {row["id"]: state_of(row) for row in rows}
        return {job: found[job] for job in ids if _there(job, found)}

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
                raise _not_there(connection, wanted)
        if len(found) > 1 and wanted not in found:
            raise AmbiguousJob(prefix, found)
        return str(wanted if wanted in found else found[0])

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
                found = first_of([page], ("finished_at", "id"), _BATCH, descending=True)
                rows = _rows(connection, found)
            yield from self._sound(rows)
            if len(rows) < _BATCH or not isinstance(last := rows[-1]["finished_at"], datetime):
                return
            page = query.where(order < sa.tuple_(sa.literal(last, jobs.c.finished_at.type), rows[-1]["id"]))

    def _sound(self, rows: Iterable[Row]) -> Iterator[Job]:
        for row in rows:
            try:
                yield to_job(row)
            except MalformedRecord as error:
                self.malformed[f"job {error.job}"] = error.why

    def matching(self, *, states: Iterable[State] = (), flow: str | None = None) -> Iterator[str]:
        """The ids of all such jobs as of now, oldest first; read in batches, as they are taken."""
        last, after = self._last_id(), ""
        pages = [page.where(jobs.c.id <= last) for page in _selections(states, flow)]
        while True:
            left = [page.where(jobs.c.id > after) for page in pages]
            with self._database.read() as connection:
                ids = connection.execute(first_of(left, ("id",), _BATCH)).scalars().all()
            yield from ids
            if len(ids) < _BATCH:
                return
            after = ids[-1]

    def _last_id(self) -> str:
        with self._database.read() as connection:
            last: str | None = connection.execute(sa.select(sa.func.max(jobs.c.id))).scalar()
        return last or ""

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


def newest(ids: Sequence[sa.Select[Any]], limit: int) -> sa.Select[Any]:
    """The jobs with the newest of these ids, newest first."""
    found = first_of(ids, ("id",), limit, descending=True)
    return sa.select(jobs).where(jobs.c.id.in_(found)).order_by(jobs.c.id.desc())


def posting_row(board: str | None, row: Row, now: datetime) -> dict[str, Any]:
    """A row of the `sql` board for a record that has been given its posting's uuid."""
    return {
        "uuid": row["posting"],
        "board": board,
        "name": row["flow"],
        "job": row["id"],
        "priority": row["priority"],
        "details": {"job": row["id"]},
        "created_at": now,
        "modified_at": now,
    }


def _new_row(job: NewJob, now: datetime, *, on_board: bool) -> dict[str, Any]:
    at_once = on_board and job.max_running is None and (job.due_at is None or job.due_at <= now)
    return {
        "id": new_id(),
        "flow": job.flow,
        "arguments": job.arguments,
        "masked": list(job.masked),
        "state": str(State.PENDING),
        "key": job.key,
        "priority": PRIORITIES.index(job.priority),
        "posted_at": now,
        "due_at": job.due_at or now,
        "attempt": 1,
        "begun": False,
        "kept": False,
        "ran_s": 0.0,
        "progress": 0.0,
        "timeout_s": job.timeout_s,
        "max_retries": job.max_retries,
        "retry_interval_s": job.retry_interval_s,
        "retries_left": job.max_retries,
        "max_running": job.max_running,
        "on_failure": job.on_failure,
        "epoch": 0,
        "claims": 0,
        "deleting": False,
        "cleanup": False,
        "posting": str(uuid4()) if at_once else None,
        "tasks": [],
    }


def _same(job: NewJob, earlier: Row) -> str:
    if (earlier["flow"], earlier["arguments"]) != (job.flow, job.arguments):
        raise KeyInUse(
            earlier["id"],
            earlier["state"],
            f"has the key {job.key!r} with another flow or other arguments, and has not ended",
        )
    return str(earlier["id"])


def _job_or_error(row: Row) -> Answer:
    try:
        return to_job(row)
    except MalformedRecord as error:
        return error


def to_job(row: Row) -> Job:
    """A record as the value that is given out, its secrets masked. Raises `MalformedRecord`."""
    check(row)
    tasks = task_view.from_json(row["tasks"])
    masked = set(row["masked"])
    return Job(
        id=row["id"],
        flow=row["flow"],
        arguments={name: MASK if name in masked else value for name, value in row["arguments"].items()},
        state=State(row["state"]),
        progress=float(row["progress"]),  # SQLite's RETURNING gives 0 for 0.0
        attempt=row["attempt"],
        priority=PRIORITIES[row["priority"]],
        reason=row["reason"],
        error=TaskError(**row["error"]) if row["error"] else None,
        key=row["key"],
        posted_at=row["posted_at"],
        due_at=row["due_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        conductor=row["conductor"],
        cancel=_cancel_of(row, tasks),
        results=row["results"],
        tasks=tasks,
        epoch=row["epoch"],
        begun=row["begun"],
        kept=row["kept"],
        deleting=row["deleting"],
    )


def _cancel_of(row: Row, tasks: tuple[Any, ...]) -> Cancel | None:
    if row["cancel_requested_at"] is None:
        return None
    return Cancel(
        requested_at=row["cancel_requested_at"],
        by=row["cancel_by"],
        reason=row["cancel_reason"],
        delivered_at=row["cancel_delivered_at"],
        stopped_at=row["cancel_stopped_at"],
        reverted=task_view.reverted(tasks),
        total=task_view.began(tasks),
    )


def _alike(
    rows: Mapping[str, sa.RowMapping], changes: Mapping[str, Change]
) -> Iterator[tuple[list[sa.RowMapping], Change]]:
    """Rows that change in the same way, for one statement."""

    def kind(job: str) -> tuple[str, str]:
        change = changes[job]
        return rows[job]["state"], repr(sorted(change.columns.items(), key=lambda item: item[0]))

    accepted = sorted((job for job, change in changes.items() if isinstance(change.decision, Accept)), key=kind)
    for _, group in itertools.groupby(accepted, kind):
        same = list(group)
        yield [rows[job] for job in same], changes[same[0]]


def _key_is_taken(row: Row) -> Refuse:
    """Of an ended job that would live again, while another lives with its key."""
    return Refuse(f"its key {row['key']!r} has a newer job now")


def _answer(job: str, change: Change | None, after: Answer | None) -> Answer:
    if after is None:
        return NoSuchJob(job)
    if isinstance(after, Job) and change is not None and isinstance(change.decision, Refuse):
        return Refused(job, after.state, change.decision.why)
    return after


def _not_there(connection: sa.Connection, job: str) -> NoSuchJob:
    """That there is no such job; who had it deleted, if someone had."""
    told = removal.told_of(connection, job)
    return NoSuchJob(job, told) if told else NoSuchJob(job)


def _there_still(job: Job | None) -> Job:
    assert job is not None, "only a delete removes a job"  # noqa: S101
    return job


def _texts(states: Iterable[State]) -> list[str]:
    return sorted(str(state) for state in states)


def _there(job: str, found: Container[str]) -> bool:
    if job not in found:
        raise NoSuchJob(job)
    return True


def _batches(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
