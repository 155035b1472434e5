"""The records: the one truth about every job, and what posters ask of them.

A change is one UPDATE whose WHERE clause holds the state that was decided upon, in one transaction with its
line of history. When another was faster, the decision is made again from what is there now.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from jobboard import history, removal, requests, signals
from jobboard.batches import batches
from jobboard.database import Database
from jobboard.decisions import Accept, NoChange, Refuse, Remove
from jobboard.errors import JobboardError, KeyInUse, MalformedRecord, NoSuchJob, Refused
from jobboard.faults import check, faults_of
from jobboard.history import NewLine
from jobboard.job_row import new_row, posting_row, to_job
from jobboard.models import Job, NewJob
from jobboard.record_reader import RecordReader, not_there
from jobboard.requests import Change, Request
from jobboard.schema import KEPT_KEY, Row, attempts, current_attempts, jobs, postings
from jobboard.statements import Script, add_insert
from jobboard.states import ENDED, State


@dataclass(frozen=True)
class Posted:
    """What became of one job of a post."""

    id: str
    existed: bool  # its key gave an earlier job back


Answer = Job | JobboardError
"""What became of one of many requests: the job as it then is, or `NoSuchJob` or `Refused`."""


class Records(RecordReader):
    """The records of one database, to be read and to be changed. Thread-safe.

    `board` is the name of the `sql` board in the same database, which gets a posting in the transaction of
    the record; None when another board is used, which conductors keep supplied.
    """

    def __init__(self, database: Database, board: str | None) -> None:
        super().__init__(database)
        self._board = board

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
            row = new_row(job, now, on_board=self._board is not None)
            rows.append(row)
            posted.append(Posted(row["id"], existed=False))
            if job.key:
                known[job.key] = row
        return posted, self._insertion(rows, now, by)

    def _by_key(self, connection: sa.Connection, keys: list[str]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for batch in batches(keys):
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
        for batch in batches(list(dict.fromkeys(ids))):
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
                    raise not_there(connection, job)
                now = self._database.now()
                if forced and faults_of(jobs, row):
                    note(connection, job, now)
                    removal.remove(connection, [job], now)
                    return None
                check(row)
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
                    removal.remove(connection, [job], now)
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


def _there_still(job: Job | None) -> Job:
    assert job is not None, "only a delete removes a job"  # noqa: S101
    return job
