"""One job, from its claim until it rests, is handed back, or is lost to another conductor."""

from __future__ import annotations

import logging
import threading
from concurrent import futures
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from taskflow import exceptions
from taskflow.persistence import models

from conductor.attempt import Attempt, said_of_failure
from conductor.engine import JobEngine
from conductor.herald import Herald
from conductor.outcome import Ending, ending_of
from conductor.seal import Seal
from conductor.stored_detail import MalformedDetail, stored_detail
from conductor.task_pool import TaskPool
from flows.cancel_token import CancelCause, CancelKind, CancelToken
from flows.errors import FlowsError
from flows.executing import Executing
from flows.registry import BuiltFlow, FlowSpec
from flows.run_context import RunContext, TaskReport
from flows.secrets import Secrets
from jobboard import history, task_view
from jobboard.claims import Claim
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch
from jobboard.errors import Fenced, Unreachable
from jobboard.faults import said_of
from jobboard.job_persistence import JobPersistence
from jobboard.journal import Journal
from jobboard.models import Task, TaskError
from jobboard.removal import logbook_of
from jobboard.requests import FLOW_CHANGED
from jobboard.settings import Settings, shown_duration
from jobboard.states import UNDOING, Cause, State

LOG = logging.getLogger(__name__)

_ASKED = (CancelKind.USER, CancelKind.DELETE)
_UNFIT = (exceptions.DependencyFailure, exceptions.Duplicate, exceptions.CompilationFailure)


@dataclass(frozen=True)
class Tools:
    """What all runs of a conductor share."""

    database: Database
    dispatch: Dispatch
    settings: Settings
    threads: futures.Executor  # for the tasks of parallel flows
    herald: Herald
    name: str


class CannotRun(Exception):
    """The flow cannot be made from what is stored; `error` says why, in the record."""

    def __init__(self, error: TaskError) -> None:
        super().__init__(error.message)
        self.error = error


class JobRun:
    """One claim of one job. `run` blocks; the other methods are for the watching thread, and never do."""

    def __init__(self, claim: Claim, spec: FlowSpec, tools: Tools) -> None:
        self.claim = claim
        self.token = CancelToken()
        self.executing = Executing()
        self.journal = Journal(tools.database, claim.job, claim.attempt, claim.epoch, claim.tasks)
        self.attempt = Attempt(claim, self.journal, tools.database, tools.dispatch, tools.herald)
        self._spec = spec
        self._tools = tools
        self._suspend = threading.Event()  # the conductor ends
        self._pause = threading.Event()  # someone asked for it
        self._pool = TaskPool(tools.threads)
        self._persistence = JobPersistence(tools.database, self.journal)
        self._flow_detail = claim.flow_detail
        self._delivered_at: datetime | None = None  # when a cancel raised the flag
        # What the record has been told already.
        self._said_stopped = False
        self._said_reverting = False
        self._stuck_because: Exception | None = None  # what the engine ended with

    # For the watching thread

    def cancel(self, cause: CancelCause) -> None:
        """Raise the flag in the running tasks. Everything that began is then reverted."""
        if not self.token.is_set and cause.kind in _ASKED:
            self._delivered_at = self._tools.database.now()
            self.journal.set_columns(cancel_delivered_at=self._delivered_at)
        self.token.set(cause)

    def abandon(self, kind: CancelKind, reason: str) -> None:
        """Interrupt the tasks without reverting: whoever claims the job next goes on with it."""
        self.journal.lost = True
        self.token.set(CancelCause(kind, self._tools.name, reason))

    def suspend(self) -> None:
        """Stop between two tasks; results are kept."""
        self._suspend.set()

    def pause(self) -> None:
        """The same, until `resume`."""
        self._pause.set()

    def resume(self) -> None:
        """Take a pause back, if it has not taken hold."""
        self._pause.clear()

    def time_out(self) -> None:
        """End the attempt as failed: its running time is over. The tasks are interrupted as by a cancel."""
        if self.token.is_set or self._said_reverting:
            return
        said = f"timed out after {shown_duration(self.claim.timeout_s or 0)}"
        if self.attempt.revert(Cause.TIMEOUT, TaskError(None, "TimedOut", said), said) is State.REVERTING:
            self._said_reverting = True
            self.token.set(CancelCause(CancelKind.TIMEOUT, self._tools.name, said))

    @property
    def is_over_time(self) -> bool:
        """Whether the attempt has run longer than it may."""
        return self.claim.timeout_s is not None and self.attempt.ran_s > self.claim.timeout_s

    # The run

    def run(self) -> Ending:
        """Run the job until this conductor has nothing more to do with it.

        Raises `Unreachable` when the database stays away: the job is then someone else's to go on with.
        """
        try:
            return self._run()
        except Fenced:
            LOG.warning("job %s: the claim has passed to another conductor", self.claim.job)
            return Ending.LOST
        except CannotRun as problem:
            return self.attempt.give_up(problem.error)
        except exceptions.StorageFailure as error:
            raise Unreachable(str(error)) from error

    def _run(self) -> Ending:
        self._check_record()
        if self.claim.state is State.PAUSING:
            return self.attempt.put_down(Ending.SUSPENDED, None)
        self._check_claims()
        built = self._build()
        undo = self.claim.state in UNDOING or self._is_given_up()
        if undo:
            self.cancel(self._cause_of_undoing())
        engine = self._engine(built, keep=self._keeps and not undo)
        if undo and engine.is_undone:
            return self.attempt.put_down(Ending.REVERTED, None)
        if undo and engine.is_half_undone and not self.claim.cleanup:
            return self.attempt.put_down(Ending.REVERT_FAILED, engine.left_behind())
        self._begin(engine, undo=undo)
        ending = self._drive(engine)
        if ending is Ending.STUCK and self._is_kept(engine):
            return Ending.KEPT
        if ending is Ending.STUCK:
            engine.forget_unstarted()
            self._tell_reverting(engine)
            engine = self._engine(built, keep=False)
            self._prepare(engine, check=False)
            engine.turn_back(self.token)
            ending = self._drive(engine)
        if ending is Ending.SUSPENDED:
            engine.forget_unstarted()
        if ending is Ending.STUCK and self._stuck_because is not None:
            engine.fail_reverts(self._stuck_because)
        return self.attempt.put_down(ending, engine.left_behind())

    def _begin(self, engine: JobEngine, *, undo: bool) -> None:
        """Make the engine ready: to run, to go on where the last run failed, or only to revert."""
        if undo and self.claim.cleanup:
            engine.clean_up()
        self._prepare(engine, check=not undo)
        if undo:
            engine.turn_back(self.token)
        elif self.claim.kept:
            engine.begin_failed_again()
            self.journal.set_columns(kept=False)

    @property
    def _keeps(self) -> bool:
        return self.claim.on_failure == "keep"

    def _is_kept(self, engine: JobEngine) -> bool:
        """Whether the job failed, and rests with what it kept. A cancel or the time's end may have come first."""
        if not self._keeps or self.token.is_set or not engine.has_failed:
            return False
        return self.attempt.keep(self._why_failed(engine))

    def _cause_of_undoing(self) -> CancelCause:
        if self.claim.state is State.CANCELLING:
            kind = CancelKind.DELETE if self.claim.deleting else CancelKind.USER
            return CancelCause(kind, self.claim.cancel_by or "", self.claim.cancel_reason or "")
        return CancelCause(
            CancelKind.LOST_CLAIM, self._tools.name, "it was being reverted when its conductor died"
        )

    def _check_record(self) -> None:
        if self.claim.faults:
            raise CannotRun(TaskError(None, "MalformedRecord", f"malformed: {said_of(self.claim.faults)}"))

    def _check_claims(self) -> None:
        """Refuse to revert a job whose revert kills its conductors too. One that is given up is reverted once."""
        if self.claim.state in UNDOING and self.claim.claims > self._tools.settings.max_claims + 1:
            raise CannotRun(self._too_many_claims())

    def _is_given_up(self) -> bool:
        """Whether too many conductors died under this attempt: it is reverted, and runs no more."""
        if self.claim.claims <= self._tools.settings.max_claims:
            return False
        error = self._too_many_claims()
        self.attempt.revert(Cause.GIVE_UP, error, error.message)
        self._said_reverting = True
        return True

    def _too_many_claims(self) -> TaskError:
        most = self._tools.settings.max_claims
        return TaskError(None, "TooManyClaims", f"given up: {most} conductors died or failed while they had it")

    # Making the engine

    def _build(self) -> BuiltFlow:
        try:
            return self._spec.build(self.claim.arguments)
        except BaseException as error:
            if not isinstance(error, FlowsError):
                LOG.exception("job %s: flow %s could not be made", self.claim.job, self.claim.flow)
            raise CannotRun(_plain_error(error)) from error

    def _engine(self, built: BuiltFlow, *, keep: bool) -> JobEngine:
        """An engine over the attempt's flow detail, which is made if this is the attempt's first run."""
        detail = self._stored_detail() or models.FlowDetail(self.claim.flow, str(uuid4()))
        try:
            engine = JobEngine(
                self._spec,
                built,
                detail,
                self._persistence,
                self._pool,
                Seal(lambda: engine.complete(self.attempt)),
                keep=keep,
            )
            self._check_structure(engine)
            if self._flow_detail is None:
                self._begin_attempt(engine, detail)
            engine.bind(self._context(engine, built.secrets))
        except _UNFIT as error:
            raise CannotRun(_plain_error(error)) from error
        return engine

    def _prepare(self, engine: JobEngine, *, check: bool) -> None:
        try:
            engine.prepare(check=check)
        except _UNFIT as error:
            raise CannotRun(_plain_error(error)) from error

    def _stored_detail(self) -> Any:
        if self._flow_detail is None:
            return None
        try:
            return stored_detail(self._persistence, self._flow_detail, self.claim.tasks)
        except MalformedDetail as error:
            raise CannotRun(_plain_error(error)) from error

    def _check_structure(self, engine: JobEngine) -> None:
        stored = self.claim.fingerprint
        if stored is not None and stored != engine.structure.fingerprint:
            raise CannotRun(
                TaskError(
                    None,
                    FLOW_CHANGED,
                    f"the structure of flow {self.claim.flow} has changed since this attempt began, so its "
                    "tasks cannot be matched",
                )
            )

    def _begin_attempt(self, engine: JobEngine, detail: Any) -> None:
        """Have the attempt's logbook and flow detail stored with the first task that begins."""
        structure = engine.structure
        book = models.LogBook(self.claim.job, logbook_of(self.claim.job))
        self.journal.set_tasks(
            Task(info.name, irreversible=info.irreversible)
            for info in structure.tasks
            if info.name != task_view.SEAL
        )
        self._persistence.get_connection().save_later(
            book,
            detail,
            flow_detail=detail.uuid,
            fingerprint=structure.fingerprint,
            started_at=self._tools.database.now(),
        )
        self._flow_detail = detail.uuid

    def _context(self, engine: JobEngine, secrets: Secrets) -> RunContext:
        return RunContext(
            token=self.token,
            job=self.claim.job,
            flow=self.claim.flow,
            attempt=self.claim.attempt,
            report=self._report,
            swallowed=self._swallowed,
            in_flight=engine.in_flight,
            sealed=True,
            max_result_bytes=self._tools.settings.max_result_bytes,
            max_depth=self._tools.settings.max_depth,
            executing=self.executing,
            secrets=secrets,
        )

    # Driving it

    def _drive(self, engine: JobEngine) -> Ending:
        try:
            for _ in engine.steps(self._wants_suspend):
                self._look(engine)
        except Exception as error:
            if self.journal.lost:
                raise Fenced(self.claim.job, self.claim.epoch) from error
            if isinstance(error, exceptions.StorageFailure):
                raise
            self._stuck_because = error
            # TaskFlow raises a task's failure again after reverting it: what it stored is what counts.
            LOG.debug("job %s: the engine ended with %r", self.claim.job, error)
        finally:
            self._pool.wait()
        self._look(engine)
        return ending_of(engine.state, engine.atom_states, lost=self.journal.lost)

    def _wants_suspend(self) -> bool:
        return (self._suspend.is_set() or self._pause.is_set()) and not self.token.is_set

    def _look(self, engine: JobEngine) -> None:
        """Between two steps: tell the record what it is to know before the next."""
        if self.token.is_set and not self._said_stopped and not self._is_executing():
            self._said_stopped = True
            if self.token.cause is not None and self.token.cause.kind in _ASKED:
                self.journal.set_columns(cancel_stopped_at=self._stopped_at())
        if not self._said_reverting and engine.is_turning_back:
            self._tell_reverting(engine)

    def _stopped_at(self) -> datetime:
        """When the last running task had ended: a little before the engine has stored it."""
        ended = [task.finished_at for task in self.journal.tasks if task.state in ("success", "failure")]
        moments = [datetime.fromisoformat(moment) for moment in ended if moment]
        return max([self._delivered_at or self._tools.database.now(), *moments])

    def _is_executing(self) -> bool:
        return any(task.state == "running" for task in self.journal.tasks)

    def _tell_reverting(self, engine: JobEngine) -> None:
        """A task failed for good: the record says so before the first revert runs."""
        self._said_reverting = True
        error = self._why_failed(engine)
        self.attempt.revert(Cause.FAILURE, error, said_of_failure(error))

    def _why_failed(self, engine: JobEngine) -> TaskError:
        return _first_error(self.journal.tasks) or engine.controllers_error() or self._engines_error()

    def _engines_error(self) -> TaskError:
        if self._stuck_because is None:
            return TaskError(None, "ExecutionFailure", f"flow {self.claim.flow} could not go on")
        return _plain_error(self._stuck_because)

    # What tasks tell

    def _report(self, report: TaskReport) -> None:
        self.journal.report(report.task, report.progress, report.detail)

    def _swallowed(self, name: str) -> None:
        said = "it swallowed its interruption and went on to its end"
        LOG.warning("job %s: task %s: %s", self.claim.job, name, said)
        self.journal.note(history.LOG, task=name, state="warning", message=said)


def _plain_error(error: BaseException) -> TaskError:
    return TaskError(None, type(error).__name__, str(error) or type(error).__name__)


def _first_error(tasks: tuple[Task, ...]) -> TaskError | None:
    """The failure that began it all: of the task that failed first."""
    failed = [task for task in tasks if task.error is not None and task.state != "revert_failure"]
    return min(failed, key=lambda task: task.finished_at or "~").error if failed else None
