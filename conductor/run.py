"""One job, from its claim until it rests, is handed back, or is lost to another conductor."""

from __future__ import annotations

import logging
import random
import threading
import time
from concurrent import futures
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import sqlalchemy as sa
from taskflow import exceptions
from taskflow.persistence import models

from conductor.engine import JobEngine
from conductor.outcome import RESTS, Ending, ending_of
from conductor.seal import Seal
from conductor.task_pool import TaskPool
from flows.cancel_token import CancelCause, CancelKind, CancelToken
from flows.errors import FlowsError
from flows.registry import BuiltFlow, FlowSpec
from flows.run_context import RunContext, TaskReport
from jobboard import history, records, task_view
from jobboard.claims import Claim
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch
from jobboard.errors import Fenced, Unreachable
from jobboard.journal import Journal
from jobboard.models import Task, TaskError
from jobboard.persistence import Persistence
from jobboard.retry_delay import retry_delay_s
from jobboard.schema import attempts, jobs
from jobboard.settings import Settings, shown_duration
from jobboard.states import UNDOING, Cause, State

LOG = logging.getLogger(__name__)

_LIVE = (State.RUNNING, State.PAUSING)
_ASKED = (CancelKind.USER, CancelKind.DELETE)
_ASK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Tools:
    """What all runs of a conductor share."""

    database: Database
    dispatch: Dispatch
    settings: Settings
    threads: futures.Executor  # for the tasks of parallel flows
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
        self.journal = Journal(tools.database, claim.job, claim.attempt, claim.epoch, claim.tasks)
        self._spec = spec
        self._tools = tools
        self._suspend = threading.Event()
        self._began_s = time.monotonic()
        self._pool = TaskPool(tools.threads)
        self._persistence = Persistence(database=tools.database, journal=self.journal)
        self._flow_detail = claim.flow_detail
        # What the record has been told already.
        self._said_stopped = False
        self._said_reverting = False
        self._stuck_because: Exception | None = None  # what the engine ended with

    # For the watching thread

    def cancel(self, cause: CancelCause) -> None:
        """Raise the flag in the running tasks. Everything that began is then reverted."""
        if not self.token.is_set and cause.kind in _ASKED:
            self.journal.set_columns(cancel_delivered_at=self._tools.database.now())
        self.token.set(cause)

    def abandon(self, kind: CancelKind, reason: str) -> None:
        """Interrupt the tasks without reverting: whoever claims the job next goes on with it."""
        self.journal.lost = True
        self.token.set(CancelCause(kind, self._tools.name, reason))

    def suspend(self) -> None:
        """Stop between two tasks; results are kept."""
        self._suspend.set()

    def resume(self) -> None:
        """Take a suspend back, if it has not taken hold."""
        self._suspend.clear()

    def time_out(self) -> None:
        """End the attempt as failed: its running time is over. The tasks are interrupted as by a cancel."""
        if self.token.is_set or self._said_reverting:
            return
        said = f"timed out after {shown_duration(self.claim.timeout_s or 0)}"
        with self.journal.begin() as connection:
            error = asdict(TaskError(None, "TimedOut", said))
            state = self.journal.move(connection, _LIVE, Cause.TIMEOUT, State.REVERTING, message=said, error=error)
        if state is State.REVERTING:
            self._said_reverting = True
            self.token.set(CancelCause(CancelKind.TIMEOUT, self._tools.name, said))

    @property
    def is_over_time(self) -> bool:
        """Whether the attempt has run longer than it may."""
        return self.claim.timeout_s is not None and self.ran_s > self.claim.timeout_s

    @property
    def ran_s(self) -> float:
        """Running time of the attempt so far, over all its conductors."""
        return self.claim.ran_s + time.monotonic() - self._began_s

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
            return self._give_up(problem.error)
        except exceptions.StorageFailure as error:
            raise Unreachable(str(error)) from error

    def _run(self) -> Ending:
        if self.claim.state is State.PAUSING:
            return self._put_down(Ending.SUSPENDED, None)
        self._check_claims()
        built = self._build()
        undo = self.claim.state in UNDOING or self._is_given_up()
        if undo:
            self.cancel(self._cause_of_undoing())
        engine = self._engine(built, undo=undo)
        if undo and engine.is_undone:
            return self._put_down(Ending.REVERTED, engine)
        if undo:
            engine.turn_back(self.token)
        ending = self._drive(engine)
        if ending is Ending.STUCK:
            engine.forget_unstarted()
            self._tell_reverting()
            engine = self._engine(built, undo=True)
            engine.turn_back(self.token)
            ending = self._drive(engine)
        if ending is Ending.STUCK and self._stuck_because is not None:
            engine.fail_reverts(self._stuck_because)
        return self._put_down(ending, engine)

    def _cause_of_undoing(self) -> CancelCause:
        if self.claim.state is State.CANCELLING:
            return CancelCause(CancelKind.USER, self.claim.cancel_by or "", self.claim.cancel_reason or "")
        return CancelCause(
            CancelKind.LOST_CLAIM, self._tools.name, "it was being reverted when its conductor died"
        )

    def _check_claims(self) -> None:
        """Refuse to revert a job whose revert kills its conductors too. One that is given up is reverted once."""
        if self.claim.state in UNDOING and self.claim.claims > self._tools.settings.max_claims + 1:
            raise CannotRun(self._too_many_claims())

    def _is_given_up(self) -> bool:
        """Whether too many conductors died under this attempt: it is reverted, and runs no more."""
        if self.claim.claims <= self._tools.settings.max_claims:
            return False
        error = self._too_many_claims()
        with self.journal.begin() as connection:
            self.journal.move(
                connection, _LIVE, Cause.GIVE_UP, State.REVERTING, message=error.message, error=asdict(error)
            )
        self._said_reverting = True
        return True

    def _too_many_claims(self) -> TaskError:
        most = self._tools.settings.max_claims
        return TaskError(None, "TooManyClaims", f"given up: {most} conductors died or failed while they had it")

    # Making the engine

    def _build(self) -> BuiltFlow:
        try:
            return self._spec.build(self.claim.arguments)
        except (Exception, SystemExit) as error:
            if not isinstance(error, FlowsError):
                LOG.exception("job %s: flow %s could not be made", self.claim.job, self.claim.flow)
            raise CannotRun(_plain_error(error)) from error

    def _engine(self, built: BuiltFlow, *, undo: bool) -> JobEngine:
        """An engine over the attempt's flow detail, which is made if this is the attempt's first run."""
        detail = self._stored_detail() or models.FlowDetail(self.claim.flow, str(uuid4()))
        try:
            engine = JobEngine(
                self._spec, built, detail, self._persistence, self._pool, Seal(lambda: self._complete(engine))
            )
            self._check_structure(engine)
            if self._flow_detail is None:
                self._begin_attempt(engine, detail)
            engine.bind(self._context(engine))
            engine.prepare(check=not undo)
        except (exceptions.DependencyFailure, exceptions.Duplicate, exceptions.CompilationFailure) as error:
            raise CannotRun(_plain_error(error)) from error
        return engine

    def _stored_detail(self) -> Any:
        if self._flow_detail is None:
            return None
        return self._persistence.get_connection().get_flow_details(self._flow_detail)

    def _check_structure(self, engine: JobEngine) -> None:
        stored = self.claim.fingerprint
        if stored is not None and stored != engine.structure.fingerprint:
            raise CannotRun(
                TaskError(
                    None,
                    "FlowChanged",
                    f"the structure of flow {self.claim.flow} has changed since this attempt began, so its "
                    "tasks cannot be matched",
                )
            )

    def _begin_attempt(self, engine: JobEngine, detail: Any) -> None:
        """Have the attempt's logbook and flow detail stored with the engine's first write."""
        structure = engine.structure
        book = models.LogBook(self.claim.job, str(uuid5(NAMESPACE_URL, f"countermand:{self.claim.job}")))
        self.journal.set_tasks(
            Task(info.name, irreversible=info.irreversible)
            for info in structure.tasks
            if info.name != task_view.SEAL
        )
        change = (
            sa.update(attempts)
            .where(attempts.c.job == self.claim.job, attempts.c.number == self.claim.attempt)
            .values(
                flow_detail=detail.uuid,
                fingerprint=structure.fingerprint,
                started_at=self._tools.database.now(),
            )
        )
        self._persistence.get_connection().save_later(book, change)
        self._flow_detail = detail.uuid

    def _context(self, engine: JobEngine) -> RunContext:
        return RunContext(
            token=self.token,
            job=self.claim.job,
            report=self._report,
            swallowed=self._swallowed,
            in_flight=engine.in_flight,
            sealed=True,
            max_result_bytes=self._tools.settings.max_result_bytes,
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
        return self._suspend.is_set() and not self.token.is_set

    def _look(self, engine: JobEngine) -> None:
        """Between two steps: tell the record what it is to know before the next."""
        if self.token.is_set and not self._said_stopped and not self._is_executing():
            self._said_stopped = True
            if self.token.cause is not None and self.token.cause.kind in _ASKED:
                self.journal.set_columns(cancel_stopped_at=self._tools.database.now())
        if not self._said_reverting and engine.is_turning_back:
            self._tell_reverting()

    def _is_executing(self) -> bool:
        return any(task.state == "running" for task in self.journal.tasks)

    def _tell_reverting(self) -> None:
        """A task failed for good: the record says so before the first revert runs."""
        self._said_reverting = True
        error = _first_error(self.journal.tasks) or self._engines_error()
        with self.journal.begin() as connection:
            self.journal.move(
                connection,
                _LIVE,
                Cause.FAILURE,
                State.REVERTING,
                message=f"{error.task or 'the flow'} failed: {error.type}: {error.message}",
                error=asdict(error),
            )

    def _engines_error(self) -> TaskError:
        if self._stuck_because is None:
            return TaskError(None, "ExecutionFailure", f"flow {self.claim.flow} could not go on")
        return _plain_error(self._stuck_because)

    # Coming to rest

    def _complete(self, engine: JobEngine) -> State:
        """The seal: completes the record unless something else was accepted before. Returns its state.

        When the reply to the commit is lost, it asks again until it knows: to revert a job that is stored as
        completed would be worse than to wait.
        """
        results = engine.results()
        while True:
            try:
                return self._try_complete(results)
            except Unreachable as error:
                LOG.warning("job %s: sealing it, asking again: %s", self.claim.job, error)
                time.sleep(_ASK_AGAIN_S)

    def _try_complete(self, results: dict[str, Any]) -> State:
        with self.journal.begin() as connection:
            columns = self._at_rest() | {"results": results, "progress": 1.0}
            state = self.journal.move(connection, _LIVE, Cause.SEAL, State.COMPLETED, **columns)
            if state is State.COMPLETED:
                self._end_attempt(connection, state)
                self._tools.dispatch.put_down(connection, self.claim, keep_posting=False)
            return state

    def _put_down(self, ending: Ending, engine: JobEngine | None) -> Ending:
        """Write what the ending means for the record, and put the claim down."""
        if ending is Ending.LOST:
            raise Fenced(self.claim.job, self.claim.epoch)
        keep = ending is Ending.SUSPENDED
        with self.journal.begin() as connection:
            if ending is Ending.REVERTED and self.claim.retries_left > 0:
                self._retry_later(connection)
            for source, (cause, target) in RESTS[ending].items():
                columns = self._columns(connection, target, engine)
                state = self.journal.move(connection, [source], cause, target, **columns)
                if state is target:
                    keep = target is State.PENDING
                    self._end_attempt(connection, target)
                    break
            else:
                if keep:
                    self._hand_back(connection)
            if ending is not Ending.SEALED:
                self._tools.dispatch.put_down(connection, self.claim, keep_posting=keep)
        self._tools.dispatch.was_put_down(self.claim, keep_posting=keep)
        return ending

    def _hand_back(self, connection: sa.Connection) -> None:
        """Of a job that is being undone: it stays so, and this claim does not count."""
        own = jobs.c.id == self.claim.job
        connection.execute(sa.update(jobs).where(own).values(owner=None, claims=jobs.c.claims - 1))

    def _retry_later(self, connection: sa.Connection) -> None:
        """Begin the next attempt by itself, if nobody cancelled this one."""
        claim = self.claim
        left = claim.retries_left - 1
        number = claim.max_retries - left
        delay_s = retry_delay_s(claim.retry_interval_s, number, random.random())  # noqa: S311 - spreads load
        columns = records.next_attempt(claim.attempt) | {
            "retries_left": left,
            "due_at": self._tools.database.now() + timedelta(seconds=delay_s),
        }
        said = f"retry {number} of {claim.max_retries} in {shown_duration(round(delay_s))}"
        self._end_attempt(connection, State.FAILED)  # while the record holds its error still
        state = self.journal.move(
            connection, [State.REVERTING], Cause.RETRY_LATER, State.PENDING, message=said, **columns
        )
        if state is State.PENDING:
            fresh = {"job": claim.job, "number": claim.attempt + 1, "arguments": claim.arguments}
            connection.execute(sa.insert(attempts).values(fresh))
            self.journal.close_view()

    def _columns(
        self, connection: sa.Connection, target: State, engine: JobEngine | None = None
    ) -> dict[str, Any]:
        if target is State.PENDING:
            return {"owner": None, "ran_s": self.ran_s, "claims": jobs.c.claims - 1}
        if target is State.PAUSED:
            return {"owner": None, "posting": None, "ran_s": self.ran_s}
        if target is State.CANCELLED:
            # As the record has it: the flag may have been raised before, for another reason.
            asked = sa.select(jobs.c.cancel_by, jobs.c.cancel_reason).where(jobs.c.id == self.claim.job)
            said = records.said_of_cancel(*connection.execute(asked).one())
            return self._at_rest() | self._receipt() | {"reason": said}
        if target is State.REVERT_FAILED and engine is not None:
            return self._at_rest() | self._receipt() | {"reason": _said_of(*engine.left_behind())}
        return self._at_rest()

    def _at_rest(self) -> dict[str, Any]:
        now = self._tools.database.now()
        return {"owner": None, "posting": None, "finished_at": now, "ran_s": self.ran_s}

    def _receipt(self) -> dict[str, Any]:
        """Of a cancel that found nothing to interrupt: it came between two tasks, or while they were reverted."""
        asked, now = jobs.c.cancel_requested_at.is_not(None), self._tools.database.now()
        moments = (jobs.c.cancel_delivered_at, jobs.c.cancel_stopped_at)
        return {moment.name: sa.case((asked, sa.func.coalesce(moment, now))) for moment in moments}

    def _end_attempt(self, connection: sa.Connection, state: State) -> None:
        """Write how the attempt ended, with the error that the record holds."""
        if state in (State.PENDING, State.PAUSED):
            return
        error = sa.select(jobs.c.error).where(jobs.c.id == self.claim.job).scalar_subquery()
        connection.execute(
            sa.update(attempts)
            .where(attempts.c.job == self.claim.job, attempts.c.number == self.claim.attempt)
            .values(
                ended_at=self._tools.database.now(),
                outcome=str(state),
                error=error,
            )
        )

    def let_go(self) -> None:
        """Free the claim of a run that broke: another conductor, or this one again, goes on with the job."""
        with self.journal.begin() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == self.claim.job).values(owner=None))
            self._tools.dispatch.put_down(connection, self.claim, keep_posting=True)
        self._tools.dispatch.was_put_down(self.claim, keep_posting=True)

    def _give_up(self, error: TaskError) -> Ending:
        """The flow cannot run. Without effects the job ends here; with effects, people must look."""
        LOG.error("job %s: %s: %s", self.claim.job, error.type, error.message)
        effects = [task.name for task in self.journal.tasks if task.state not in ("pending", "reverted")]
        with self.journal.begin() as connection:
            if effects:
                said = f"{error.message}; effects may remain of: {', '.join(effects)}"
                state = self._move_to_revert_failed(connection, error, said)
            else:
                state = self._move_to_end(connection, error)
            self._end_attempt(connection, state)
            self._tools.dispatch.put_down(connection, self.claim, keep_posting=False)
        self._tools.dispatch.was_put_down(self.claim, keep_posting=False)
        return Ending.REVERT_FAILED if effects else Ending.REVERTED

    def _move_to_end(self, connection: sa.Connection, error: TaskError) -> State:
        move = self.journal.move
        move(connection, _LIVE, Cause.FAILURE, State.REVERTING, message=error.message, error=asdict(error))
        move(connection, [State.REVERTING], Cause.REVERTED, State.FAILED, **self._at_rest())
        columns = self._columns(connection, State.CANCELLED)
        return move(connection, [State.CANCELLING], Cause.REVERTED, State.CANCELLED, **columns)

    def _move_to_revert_failed(self, connection: sa.Connection, error: TaskError, said: str) -> State:
        return self.journal.move(
            connection,
            (*_LIVE, *UNDOING),
            Cause.REVERT_FAILURE,
            State.REVERT_FAILED,
            message=said,
            error=asdict(error),
            **self._at_rest(),
            reason=said,
        )

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


def _said_of(failed: list[str], unasked: list[str]) -> str:
    if not failed:
        return f"could not be reverted: {', '.join(unasked)}"
    said = f"the revert of {', '.join(failed)} failed"
    return f"{said}; not reverted because of that: {', '.join(unasked)}" if unasked else said
