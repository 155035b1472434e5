"""`Client`: the one service behind the command line, the HTTP API and the page; each of them only translates."""

from __future__ import annotations

import builtins
import copy
import getpass
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from jobboard import history, hours, removal, tokens
from jobboard.address import MASK
from jobboard.conductors import list_conductors
from jobboard.database import Database, open_database
from jobboard.dispatch.opening import open_records
from jobboard.errors import NoSuchJob, Refused, Unreachable
from jobboard.models import ConductorRow, HistoryLine, Hour, Job, NewJob, Page, Task
from jobboard.records import Answer, Posted, Records
from jobboard.settings import Settings
from jobboard.signals import Channel, Listener
from jobboard.states import CURRENT, ENDED, State
from jobboard.tokens import Role, Token
from poster.errors import InvalidJobs, Malformed, NoSuchFlowOrJob, WaitTimedOut
from poster.patience import PATIENCE_S, patiently
from poster.post_request import LONGEST_KEY, PostRequest, check_name, check_reason, new_job, stored_arguments
from poster.why_waiting import explained

if TYPE_CHECKING:
    from flows.registry import FlowSpec, Registry
    from poster.cancel_plan import CancelPlan
    from poster.doctor import Check, Report
    from poster.graph import Graph
    from poster.stats import Stats

LOG = logging.getLogger(__name__)

_SLOW_POLL_S: Final = 1.0  # behind the signals, of which one may be lost
_WATCH_POLL_S: Final = 0.25  # progress is stored without a signal
_LEAST_S: Final = 0.02  # between two looks, however many signals come
_PAGE: Final = 1000
_OVERLAP_S: Final = 5.0  # a transaction may become visible so long after the time that stands in it


@dataclass(frozen=True)
class _Opened:
    database: Database
    records: Records


class Client:
    """What one can ask of Countermand. Thread-safe.

    The flows are loaded and the database is opened when first needed: `flows` needs no database, `list` no
    flows. What needs the database raises `Unreachable`, `DatabaseTooNew` or `SettingError` if there is none
    that can be used; what needs the flows raises `FlowsNotFound` or `InvalidFlow`.
    """

    def __init__(self, settings: Settings, *, by: str | None = None, registry: Registry | None = None) -> None:
        """`by` is who asks, as the history will tell; the user of this process if it is not given.

        `registry` holds the flows; without one, those that the settings name are loaded.
        """
        self.settings: Final = settings
        check_name("by", by)
        self.by = by or whoami()
        self._lock = threading.Lock()  # guards the opening of the two below
        self._opened: _Opened | None = None
        self._registry = registry

    @classmethod
    def open(cls, settings: Settings, *, by: str | None = None, registry: Registry | None = None) -> Client:
        """A client to be closed: `with Client.open(settings) as client`."""
        return cls(settings, by=by, registry=registry)

    def close(self) -> None:
        """Give the database's connections back."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def acting_as(self, by: str) -> Client:
        """The same client for someone else who asks, as the history will tell. It is not to be closed."""
        check_name("by", by)
        self._open()
        twin = copy.copy(self)
        twin.by = by
        return twin

    @property
    def database(self) -> Database:
        """The database, its schema brought up to date."""
        return self._open().database

    @property
    def malformed(self) -> Mapping[str, str]:
        """What was asked for and left out, since what is stored of it makes no sense; and why."""
        with self._lock:
            return dict(self._opened.records.malformed) if self._opened else {}

    @property
    def registry(self) -> Registry:
        """The flows that are known here."""
        with self._lock:
            if self._registry is None:
                from flows.discovery import load_flows
                from flows.registry import REGISTRY

                load_flows(self.settings.flows)
                self._registry = REGISTRY
            return self._registry

    # Flows

    def flows(self) -> builtins.list[FlowSpec]:
        """All flows that are known here, by name."""
        return [*self.registry]

    def flow(self, name: str) -> FlowSpec:
        """One flow. Raises `NoSuchFlow`, which suggests the nearest."""
        return self.registry.get(name)

    # Posting

    def post(self, request: PostRequest) -> str:
        """Post a job; its id. A key that a job has which has not ended gives that job's id.

        Raises `NoSuchFlow`, `InvalidArguments`, `KeyInUse`; nothing is stored then.
        """
        return self.post_once(request).id

    def post_once(self, request: PostRequest) -> Posted:
        """The same, and whether the key gave an earlier job back."""
        new = new_job(self.flow(request.flow), request, self.settings, self._now)
        return self._records.post([new], by=self.by)[0]

    def post_many(
        self, requests: Sequence[PostRequest], malformed: Iterable[Malformed] = ()
    ) -> builtins.list[Posted]:
        """Post jobs, all or none.

        `malformed` are those that could not even be read. Raises `InvalidJobs`, which names each job that
        cannot be posted by its line and says all that is wrong with it, and `KeyInUse`.
        """
        wrong = list(malformed)
        new: list[NewJob] = []
        for number, request in enumerate(requests, start=1):
            checked = self._checked(request)
            if isinstance(checked, NewJob):
                new.append(checked)
            else:
                wrong.append(Malformed(request.line or number, checked))
        if wrong:
            raise InvalidJobs(wrong)
        return self._records.post(new, by=self.by) if new else []

    def _checked(self, request: PostRequest) -> NewJob | Exception:
        from flows.errors import InvalidArguments, NoSuchFlow

        try:
            return new_job(self.flow(request.flow), request, self.settings, self._now)
        except (NoSuchFlow, InvalidArguments) as error:
            return error

    # Requests

    def cancel(self, job: str, reason: str | None = None) -> Job:
        """Accept a cancel, durably, and give the job as it then stands.

        Raises `NoSuchJob`, and `Refused` when it is too late. When the database's answer is lost the record is
        read until it is known; `Unreachable` says whether that could not be found out.
        """
        check_reason(reason)
        before = self.database.now()
        try:
            return self._records.cancel(job, by=self.by, reason=reason)
        except Unreachable as error:
            LOG.info("job %s: the answer to the cancel is lost, asking again: %s", job, error)
        try:
            return patiently(partial(self._cancel_again, job, reason, before))
        except Unreachable as error:
            raise Unreachable(
                f"{error}; job {job}: its cancel may have been accepted, `poster show` tells"
            ) from error

    def _cancel_again(self, job: str, reason: str | None, before: datetime) -> Job:
        found = self._records.get(job)
        ours = found.cancel is not None and found.cancel.by == self.by
        if ours and found.cancel and found.cancel.requested_at >= before - timedelta(seconds=1):
            return found
        return self._records.cancel(job, by=self.by, reason=reason)

    def cancel_many(self, jobs: Sequence[str], reason: str | None = None) -> builtins.list[Answer]:
        """Cancel jobs: for each, in their order, the job as it then stands, or why it cannot be cancelled.

        Durable, like `cancel`; one that is refused stops no other. Raises `Unreachable`.
        """
        check_reason(reason)
        before = self.database.now()
        try:
            return self._records.cancel_many(jobs, by=self.by, reason=reason)
        except Unreachable as error:
            LOG.info("the answer to a cancel of %d jobs is lost, asking again: %s", len(jobs), error)
        return [patiently(partial(self._answered_again, job, reason, before)) for job in jobs]

    def _answered_again(self, job: str, reason: str | None, before: datetime) -> Answer:
        try:
            return self._cancel_again(job, reason, before)
        except (NoSuchJob, Refused) as error:
            return error

    def plan_cancel(self, job: str) -> CancelPlan:
        """What a cancel now would revert, what cannot be undone, what has not begun. Changes nothing.

        Raises `NoSuchJob`, and `Refused` where the cancel would be.
        """
        from poster.cancel_plan import plan_of

        return plan_of(self.show(job))

    def retry(self, job: str, changes: Mapping[str, Any] | None = None) -> Job:
        """Begin a new attempt of a failed or cancelled job; one that kept its results goes on at the failed task.

        `changes` are arguments that the new attempt has others of. Raises `NoSuchJob`, `Refused`, and with
        changes `NoSuchFlow`, `InvalidArguments`; nothing is changed then.
        """
        if not changes:
            self._check_structure(job)
            return self._records.retry(job, by=self.by)
        flow, arguments = self._records.arguments(job)
        spec = self.flow(flow)
        stored = stored_arguments(spec, {**arguments, **changes}, self.settings)
        shown = {name: MASK if name in spec.secrets else stored[name] for name in changes}
        return self._records.retry(job, by=self.by, arguments=stored, changed=shown)

    def _check_structure(self, job: str) -> None:
        """Refuse to let an attempt go on whose flow has another structure now: its tasks cannot be matched."""
        found = self._records.get(job)
        goes_on = found.state is State.PAUSED or (found.state is State.FAILED and found.kept)
        stored = self._records.fingerprint(job) if goes_on else None
        if stored is None or found.flow not in self.registry:
            return
        from poster.flow_change import fingerprint_of

        now = fingerprint_of(self.flow(found.flow), self._records.arguments(job)[1])
        if now is not None and now != stored:
            raise Refused(
                job,
                found.state,
                f"the structure of flow {found.flow} has changed since this attempt began: "
                "bring the old one back where conductors run, then resume, retry or cancel it",
            )

    def retry_many(self, jobs: Iterable[str]) -> builtins.list[Answer]:
        """Retry jobs: for each, in their order, the job as it then stands, or why it cannot be retried.

        One that is refused stops no other. When the database goes away, that is the answer for the rest.
        """
        answers: builtins.list[Answer] = []
        away: Unreachable | None = None
        for job in jobs:
            try:
                answers.append(away or self.retry(job))
            except Unreachable as error:
                away = error
                answers.append(error)
            except (NoSuchJob, Refused) as error:
                answers.append(error)
        return answers

    def cleanup(self, job: str) -> Job:
        """Have reverts that failed run again, then those that never ran. Raises `NoSuchJob`, `Refused`."""
        return self._records.cleanup(job, by=self.by)

    def force_retry(self, job: str, reason: str) -> Job:
        """Give the effects of reverts that failed up, and begin a new attempt. Raises `NoSuchJob`, `Refused`."""
        check_reason(reason)
        return self._records.force(job, by=self.by, reason=reason)

    def pause(self, job: str) -> Job:
        """Stop a job between two tasks, and keep its results. Raises `NoSuchJob`, `Refused`."""
        return self._records.pause(job, by=self.by)

    def resume(self, job: str) -> Job:
        """Let a paused job go on at its next task. Raises `NoSuchJob`, and `Refused`, also if its flow changed."""
        self._check_structure(job)
        return self._records.resume(job, by=self.by)

    def delete(self, job: str, reason: str | None = None, *, force: bool = False) -> Job | None:
        """Remove a job with its history; None when it is gone. One that runs is cancelled first, and goes then.

        `force`: also one whose revert failed. Raises `NoSuchJob`, `Refused`.
        """
        check_reason(reason)
        return self._records.delete(job, by=self.by, reason=reason, force=force)

    def purge(self, older_than_s: float) -> int:
        """Remove the jobs that completed, failed or were cancelled so long ago; how many. Blocks until done."""
        return removal.purge(self.database, older_than_s)

    # Reading

    def resolve(self, prefix: str) -> str:
        """The id of the one job whose id begins so. Raises `NoSuchJob`, `AmbiguousJob`."""
        return self._records.resolve(prefix)

    def get(self, job: str) -> Job:
        """A job as its record has it. Raises `NoSuchJob`."""
        return self._records.get(job)

    def show(self, job: str) -> Job:
        """A job with what can be said beyond its record: what it waits for, the tasks of one that never began."""
        found = self._records.get(job)
        found = explained(found, self.conductors() if _wants_reason(found) else (), self.database.now())
        return found if found.tasks else replace(found, tasks=self._tasks_of(found))

    def graph(self, flow_or_job: str) -> Graph:
        """The graph of the flow of this name; else of the one job whose id begins so, with its tasks' states.

        Raises `NoSuchFlowOrJob`, `AmbiguousJob`, and what `graph_of_flow` does.
        """
        from flows.errors import FlowsError

        try:
            self.flow(flow_or_job)
        except FlowsError as no_flow:
            return self.graph_of_job(self._job_if_no_flow(flow_or_job, no_flow))
        return self.graph_of_flow(flow_or_job)

    def graph_of_flow(self, name: str) -> Graph:
        """The graph of a flow.

        Raises `NoSuchFlow`, and `GraphNotKnown` for one that depends on arguments which only a job has.
        """
        from poster.graph import graph_of_flow

        spec = self.flow(name)
        return graph_of_flow(spec.name, spec.graph())

    def graph_of_job(self, job: str) -> Graph:
        """The graph of a job, with its tasks' states. If its flow cannot be made here, it is its record's tasks.

        Raises `NoSuchJob`.
        """
        from flows.errors import FlowsError
        from poster.graph import graph_in_a_line, graph_of_job

        found = self.get(job)
        try:
            graph = self.flow(found.flow).graph(self._records.arguments(job)[1])
        except FlowsError as error:
            return graph_in_a_line(found, str(error))
        return graph_of_job(found, graph)

    def result(self, job: str) -> dict[str, Any]:
        """What the tasks of a completed job provide, by name. Raises `NoSuchJob`, `Refused`."""
        found = self._records.get(job)
        if found.state is not State.COMPLETED:
            hint = "`poster wait` ends when it has" if found.state not in ENDED else "see `poster show`"
            raise Refused(
                job, found.state, f"it is {found.state}, results are there once it has completed: {hint}"
            )
        return found.results or {}

    def list(
        self,
        *,
        states: Iterable[State] = (),
        flow: str | None = None,
        since: datetime | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> builtins.list[Job]:
        """Jobs, newest first. `before` is the id of the last one of the page before."""
        check_name("flow", flow)
        return self._records.list(states=states, flow=flow, since=since, before=before, limit=limit)

    def page(
        self,
        *,
        states: Iterable[State] = (),
        flow: str | None = None,
        since: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """A page of jobs, newest first: those after the job whose id is, or begins with, `cursor`."""
        before = cursor.lower() if cursor else None
        found = self.list(states=states, flow=flow, since=since, before=before, limit=limit + 1)
        jobs = tuple(found[:limit])
        return Page(jobs, jobs[-1].id if len(found) > limit else None)

    def matching(self, *, states: Iterable[State] = (), flow: str | None = None) -> Iterator[str]:
        """The ids of all such jobs as of now, oldest first; read as they are taken."""
        check_name("flow", flow)
        return self._records.matching(states=states, flow=flow)

    def explained(self, jobs: Iterable[Job]) -> builtins.list[Job]:
        """The same jobs; those that do not go on say what they wait for, if it is not just their turn."""
        found = list(jobs)
        conductors = self.conductors() if any(map(_wants_reason, found)) else ()
        now = self.database.now()
        return [explained(job, conductors, now) for job in found]

    def history(self, job: str, *, after: int = 0, limit: int | None = None) -> builtins.list[HistoryLine]:
        """What happened to a job, oldest first: transitions and tasks; after line `after`, and `limit` at most."""
        return [*itertools.islice(self._lines(job, (history.STATE, history.TASK), after), limit)]

    def logs(self, job: str, *, after: int = 0, limit: int | None = None) -> builtins.list[HistoryLine]:
        """What a job's tasks logged, oldest first; after line `after`, and `limit` at most."""
        return [*itertools.islice(self._lines(job, (history.LOG,), after), limit)]

    def follow_logs(self, job: str) -> Iterator[HistoryLine]:
        """What a job's tasks logged and will log, until it has ended."""
        last = 0
        for _ in self._looks(_WATCH_POLL_S):
            ended = patiently(partial(self.get, job)).state in ENDED  # asked first: then no line comes after
            for line in patiently(partial(self.logs, job, after=last)):
                yield line
                last = line.seq
            if ended:
                return

    def conductors(self) -> builtins.list[ConductorRow]:
        """Conductors that are there, or were in the last day, by name."""
        return list_conductors(self.database, self._records.malformed)

    def stats(self) -> Stats:
        """Numbers over all jobs and conductors."""
        from poster.stats import stats_of

        return stats_of(self._records.count(), self._records.oldest_due(), self.conductors(), self.database.now())

    def day(self) -> builtins.list[Hour]:
        """The last 24 hours of UTC, oldest first: how many jobs were posted in each, and how many ended.

        Counted are those that are stored: not what was removed, and one that was retried only where it ended last.
        """
        return hours.last_day(self.database)

    def doctor(self) -> Report:
        """Whether all that is needed is there. Never raises for what it finds wrong."""
        from poster.doctor import examine

        return examine(self)

    def readiness(self) -> builtins.list[Check]:
        """Whether the database and the board answer. Never raises for what it finds wrong."""
        from poster.doctor import readiness

        return readiness(self)

    # Who may use the HTTP API

    def create_token(self, name: str | None, role: Role, expires_s: float | None = None) -> tuple[Token, str]:
        """A new token, and its text, which is nowhere to be had again. Raises `InvalidRequest`."""
        check_name("name", name)
        return tokens.create(self.database, name, role, by=self.by, expires_s=expires_s)

    def find_token(self, text: str) -> Token | None:
        """The token with this text, if it is valid now."""
        return tokens.find(self.database, text)

    def tokens(self) -> builtins.list[Token]:
        """All tokens, the newest first, also those that open nothing any more."""
        return tokens.list_tokens(self.database)

    def revoke_token(self, token: str) -> Token:
        """Let the token with this id open nothing any more. Raises `NoSuchToken`."""
        return tokens.revoke(self.database, token)

    # Waiting

    def wait(self, jobs: Sequence[str], timeout_s: float | None = None) -> builtins.list[Job]:
        """The jobs, in the order given, when all have ended. Raises `WaitTimedOut`, `NoSuchJob`, `Unreachable`."""
        ended = {job.id: job for job in self.wait_each(jobs, timeout_s)}
        return [ended[job] for job in jobs]

    def wait_each(self, jobs: Iterable[str], timeout_s: float | None = None) -> Iterator[Job]:
        """Each job once, as soon as it has ended.

        Raises `WaitTimedOut` after `timeout_s`, which names those that have not; `NoSuchJob` for one that is
        deleted meanwhile; `Unreachable` if the database stays away.
        """
        left = list(dict.fromkeys(jobs))
        for patience_s in self._looks(_SLOW_POLL_S, timeout_s):
            ended = patiently(partial(self._ended, left), patience_s)
            yield from ended
            done = {job.id for job in ended}
            left = [job for job in left if job not in done]
            if not left:
                return
        raise WaitTimedOut(left, timeout_s or 0.0)

    def _ended(self, jobs: Sequence[str]) -> builtins.list[Job]:
        states = self._records.states(jobs)
        return self._records.get_many([job for job in jobs if states[job] in ENDED])

    def watch_each(self, jobs: Iterable[str], timeout_s: float | None = None) -> Iterator[Job]:
        """Each job now, and again after each change, until all have ended. Raises as `wait_each`."""
        left = list(dict.fromkeys(jobs))
        seen: dict[str, Job] = {}
        for patience_s in self._looks(_WATCH_POLL_S, timeout_s):
            found = patiently(partial(self._records.get_many, left), patience_s)
            yield from (job for job in found if seen.get(job.id) != job)
            seen = {job.id: job for job in found}
            left = [job.id for job in found if job.state not in ENDED]
            if not left:
                return
        raise WaitTimedOut(left, timeout_s or 0.0)

    def watch(self, job: str) -> Iterator[Job]:
        """The job now, and again after each change, until it has ended."""
        before: Job | None = None
        for _ in self._looks(_WATCH_POLL_S):
            found = patiently(partial(self.get, job))
            if found != before:
                yield found
            if found.state in ENDED:
                return
            before = found

    def watch_all(self) -> Iterator[builtins.list[Job]]:
        """The jobs that are worked on now; then, after each change, those that changed. Never ends by itself."""
        seen: dict[str, Job] = {}
        since = self.database.now()
        for _ in self._looks(_WATCH_POLL_S):
            now = self.database.now()
            found = patiently(partial(self._current_and_ended, since))
            changed = [job for job in found if seen.get(job.id) != job]
            if changed:
                yield changed
            # Invariant: a job that has ended stays in `seen` as long as it may be found again.
            seen = {job.id: job for job in found}
            since = max(since, now - timedelta(seconds=_OVERLAP_S))

    def current(self) -> builtins.list[Job]:
        """The jobs that are worked on, newest first."""
        found: builtins.list[Job] = []
        while page := self.list(states=CURRENT, before=found[-1].id if found else None, limit=_PAGE):
            found += page
        return found

    def _current_and_ended(self, since: datetime) -> builtins.list[Job]:
        known = {job.id: job for job in [*self.current(), *self._records.ended_since(since)]}
        return [known[job] for job in sorted(known)]

    def _looks(self, poll_s: float, timeout_s: float | None = None) -> Iterator[float]:
        """A turn whenever something may have changed, the first at once, the last when the time is over.

        Each turn gets the time, in seconds, that it may bear with a database that is away.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with patiently(partial(Listener, self.database, [Channel.CHANGE])) as listener:
            while True:
                looked_at = time.monotonic()
                left_s = PATIENCE_S if deadline is None else max(0.0, deadline - looked_at)
                yield min(PATIENCE_S, left_s)
                if deadline is not None and time.monotonic() >= deadline:
                    return
                time.sleep(max(0.0, looked_at + _LEAST_S - time.monotonic()))
                listener.wait(poll_s if deadline is None else min(poll_s, max(0.0, deadline - time.monotonic())))

    # What is behind

    @property
    def _records(self) -> Records:
        return self._open().records

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                database = open_database(self.settings.database_url)
                self._opened = _Opened(database, open_records(database, self.settings))
            return self._opened

    def _lines(self, job: str, kinds: Iterable[str], after: int = 0) -> Iterator[HistoryLine]:
        wanted = tuple(kinds)
        while page := history.read(self.database, job, kinds=wanted, after=after, limit=_PAGE):
            yield from page
            after = page[-1].seq

    def _job_if_no_flow(self, prefix: str, no_flow: Exception) -> str:
        from flows.errors import NoSuchFlow

        try:
            return self.resolve(prefix)
        except NoSuchJob as no_job:
            if not isinstance(no_flow, NoSuchFlow):
                raise no_flow from None
            raise NoSuchFlowOrJob(f"{no_flow}; {no_job}") from None

    def _now(self) -> datetime:
        return self.database.now()

    def _tasks_of(self, job: Job) -> tuple[Task, ...]:
        """The tasks of a job that never began, in flow order; none if they cannot be told here."""
        try:
            spec = self.flow(job.flow)
            if spec.secrets:
                return ()
            structure = spec.build(job.arguments).structure
        except Exception as error:  # noqa: BLE001 - a flow's own code runs here, and a conductor will tell of it
            LOG.info("job %s: its tasks are not known here: %s", job.id, error)
            return ()
        return tuple(Task(task.name, irreversible=task.irreversible) for task in structure.tasks)


def whoami() -> str:
    """The user of this process, as the history will tell: `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = f"uid-{os.getuid()}"
    said = f"{user}@{socket.gethostname()}"[:LONGEST_KEY]
    return "".join(letter if letter.isprintable() else "?" for letter in said)


def _wants_reason(job: Job) -> bool:
    return job.state is State.PENDING and job.reason is None
