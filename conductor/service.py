"""The conductor: slots in which jobs run, and the loop that keeps them full."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from typing import Any, Final

from taskflow.conductors import base

from conductor.herald import Herald
from conductor.job_log import JobLogHandler, about
from conductor.lease_guard import LeaseGuard, give_up
from conductor.meter import Meter, Vitals
from conductor.outcome import Ending
from conductor.pace import Pace
from conductor.retention import Retention
from conductor.run import JobRun, Tools
from conductor.unresponsive import Unresponsive
from conductor.watch import Watch
from flows.cancel_token import CancelKind
from flows.registry import Registry
from jobboard.claims import Claim
from jobboard.conductors import Registration
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch
from jobboard.errors import Fenced, MalformedRecord, Unreachable
from jobboard.owner import Owner, new_owner
from jobboard.settings import Settings
from jobboard.states import ENDED

LOG = logging.getLogger(__name__)

_POLL_S: Final = 1.0  # what a signal that was lost costs at most
_RETRY_S: Final = 1.0
_MENDS_A_LEASE: Final = 3
_LAST_S: Final = 1.0  # of the grace time, for tasks that are interrupted at its end


class Conductor(base.Conductor):
    """Claims jobs and runs them, `slots` at a time. A TaskFlow conductor: `run` blocks until `stop`."""

    def __init__(
        self,
        database: Database,
        dispatch: Dispatch,
        registry: Registry,
        settings: Settings,
        *,
        slots: int = 4,
        name: str | None = None,
        grace_s: float = 30.0,
        meter: Meter | None = None,
    ) -> None:
        owner = new_owner(name)
        super().__init__(owner.name, dispatch.board)
        self._database = database
        self._dispatch = dispatch
        self._registry = registry
        self._slots = slots
        self._grace_s = grace_s
        self._settings = settings
        self._meter = meter
        self._names = [spec.name for spec in registry]
        self._runs: set[JobRun] = set()  # changed only under the lock
        self._pace = Pace(slots)  # changed only under the lock
        self._runs_lock = threading.Lock()
        self._stranded: queue.SimpleQueue[JobRun] = queue.SimpleQueue()  # broke off, and still hold their claims
        self._mend_at_s = 0.0
        self._claimed_at_s = -math.inf
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._pool = futures.ThreadPoolExecutor(slots, thread_name_prefix="slot")
        self._threads = futures.ThreadPoolExecutor(max(settings.parallel, slots), thread_name_prefix="parallel")
        self._herald = Herald(database.reserved)
        self._tools = Tools(database, dispatch, settings, self._threads, self._herald, owner.name)
        self._registration = Registration(database.reserved, owner, slots, self._names, settings.lease)

    # What TaskFlow's conductors do

    def run(self, max_dispatches: int | None = None, *, burst: bool = False) -> None:
        """Claim and run jobs until `stop`; with `burst`, until nothing is left to do now.

        Blocks. After `stop` no job is claimed any more, and those that run are suspended between two tasks and
        handed back; what has not stopped within the grace time is left for another conductor to go on with.
        """
        self._dispatch.open()
        self._registration.enter()
        unresponsive = Unresponsive(self._database, self._settings.unresponsive_after)
        watch = Watch(
            self._database.reserved,
            self._dispatch,
            self._registration,
            self._running,
            self._wake_for_room,
            unresponsive,
        )
        watch.start()
        guard = LeaseGuard(self._dispatch, self._running, self._settings.lease)
        guard.start()
        self._herald.start()
        retention = Retention(self._database, self._settings.retention)
        retention.start()
        log = JobLogHandler(self._journal_of)
        logging.getLogger().addHandler(log)
        try:
            self._loop(watch, max_dispatches, burst=burst)
            self._wind_down()
        finally:
            logging.getLogger().removeHandler(log)
            retention.stop()
            watch.stop()
            guard.stop()
            self._herald.stop()
            self._leave()
            self._stopped.set()

    def stop(self) -> None:
        """Ask `run` to end. Returns at once.

        A signal handler may call it, if `run` has another thread than the main one: handlers run in that, and
        would wait for a lock that the code they interrupt holds.
        """
        self._stopping.set()
        self._wake.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until `run` has ended, or the time is over; whether it has."""
        return self._stopped.wait(timeout)

    @property
    def dispatching(self) -> bool:
        """Whether it runs."""
        return not self._stopped.is_set()

    def vitals(self) -> Vitals:
        """How it is now."""
        runs = self._running()
        return Vitals(
            name=self._owner.name,
            slots=self._slots,
            busy=min(len(runs), self._slots),  # short jobs are claimed ahead
            heartbeat_age_s=self._registration.age_s,
            not_responding=sum(task.not_responding is not None for run in runs for task in run.journal.tasks),
        )

    @property
    def _owner(self) -> Owner:
        """As whom it claims."""
        return self._registration.owner

    def _dispatch_job(self, job: Claim) -> futures.Future[Any]:
        if self._meter is not None:
            self._meter.claimed(job)
        run = JobRun(job, self._registry.get(job.flow), self._tools)
        with self._runs_lock:
            self._runs.add(run)
        return self._pool.submit(self._run_job, run)

    # The loop

    def _loop(self, watch: Watch, max_dispatches: int | None, *, burst: bool) -> None:
        left = max_dispatches if max_dispatches is not None and max_dispatches >= 0 else math.inf
        while not self._stopping.is_set():
            try:
                self._tend()
                self._wake.clear()
                runs = len(self._runs)  # asked first: what a run gives back is then among the claims
                room = int(min(self._pace.room(runs), left))
                claims = self._claim(room)
                if claims:
                    for claim in claims:
                        self._dispatch_job(claim)
                    watch.look()
                    left -= len(claims)
                elif (burst or not left) and not runs:
                    return
                elif room:
                    self._rest()
                else:
                    self._wake.wait(_POLL_S)
            except Unreachable as error:
                LOG.warning("waiting for %s", error)
                self._stopping.wait(_RETRY_S)
            except Exception:
                # One strange row or posting must not end the conductor: jobs run here, others may be claimed yet.
                LOG.exception("jobs could not be claimed, trying again")
                self._stopping.wait(_RETRY_S)

    def _claim(self, room: int) -> Sequence[Claim]:
        if room <= 0:
            return ()
        self._claimed_at_s = time.monotonic()
        return self._dispatch.claim(self._owner, self._names, room, busy=self._jobs())

    def _rest(self) -> None:
        """Until there may be something to claim. What a signal would have told is looked for."""
        while not self._stopping.is_set():
            ahead = self._dispatch.look(self._names)
            if ahead.dead and self._dispatch.free_dead_claims():
                return
            # What was passed over, since there is no room for it yet, say, would be passed over again.
            if ahead.ready and time.monotonic() >= self._claimed_at_s + _POLL_S:
                return
            due_s = math.inf if ahead.due_s is None else ahead.due_s
            if self._wake.wait(max(0.0, min(_POLL_S, due_s))) or due_s <= _POLL_S:
                return
            self._tend()

    def _tend(self) -> None:
        """Keep the lease, let go what could not be, and mend what is broken."""
        if not self._dispatch.alive:
            self._begin_anew()
        self._let_stranded_go()
        self._mend()

    def _begin_anew(self) -> None:
        """The lease was lost, and every claim with it: others may have them. Go on with a new one, as another."""
        LOG.warning("the lease was lost: beginning anew")
        give_up(self._running())
        self._dispatch.close()
        self._dispatch.open()
        self._registration.enter(new_owner(self._owner.name))

    def _mend(self) -> None:
        """Now and then, mend what others left behind; and our own claims that we were never told of."""
        if time.monotonic() < self._mend_at_s:
            return
        self._mend_at_s = time.monotonic() + self._settings.lease / _MENDS_A_LEASE
        mended = self._dispatch.mend(self._owner, self._jobs())
        if mended:
            LOG.info("mended %d things that a crash or a lost reply left behind", mended)

    def _wake_for_room(self) -> None:
        """Something may be there to be claimed, or a slot is free. Who has no room learns of it when there is."""
        if self._pace.room(len(self._runs)):
            self._wake.set()

    def _run_job(self, run: JobRun) -> Ending:
        with about(run.claim):
            ending = self._run_on(run)
            if self._meter is not None and ending is not Ending.LOST and (state := run.journal.state) in ENDED:
                self._meter.ended(run.claim, state)
        return ending

    def _run_on(self, run: JobRun) -> Ending:
        ending, began_s = Ending.LOST, time.monotonic()
        try:
            ending = run.run()
            LOG.info("job %s: %s", run.claim.job, ending.value)
        except Unreachable as error:
            LOG.warning("job %s: left for another conductor: %s", run.claim.job, error)
            self._let_go(run)
        except MalformedRecord as error:
            LOG.warning("set aside, though it ran: %s", error)
            self._let_go(run)
        except BaseException:
            # Whatever a decider raises, say: this claim is to count, or the job would come again for ever.
            LOG.exception("job %s: left for another conductor", run.claim.job)
            self._let_go(run)
        finally:
            with self._runs_lock:
                self._runs.remove(run)
                self._pace.note(time.monotonic() - began_s)
            self._wake_for_room()
        return ending

    def _let_go(self, run: JobRun) -> None:
        try:
            run.attempt.let_go()
        except Fenced as error:
            LOG.info("job %s: %s", run.claim.job, error)
        except Unreachable as error:
            LOG.warning("job %s: its claim is freed later: %s", run.claim.job, error)
            self._stranded.put(run)

    def _let_stranded_go(self) -> None:
        for _ in range(self._stranded.qsize()):
            run = self._stranded.get()
            with about(run.claim):
                self._let_go(run)

    def _running(self) -> list[JobRun]:
        with self._runs_lock:
            return list(self._runs)

    def _jobs(self) -> set[str]:
        return {run.claim.job for run in self._running()}

    def _journal_of(self, job: str) -> Any:
        return next((run.journal for run in self._running() if run.claim.job == job), None)

    # The end

    def _wind_down(self) -> None:
        """Hand the jobs back: between two tasks if they get there within the grace time."""
        for run in self._running():
            run.suspend()
        if not self._drained(max(0.0, self._grace_s - _LAST_S)):
            for run in self._running():
                with about(run.claim):
                    LOG.warning(
                        "job %s: not between two tasks within the grace time: given up here", run.claim.job
                    )
                run.abandon(CancelKind.SHUTDOWN, "the conductor shuts down")
            self._drained(min(_LAST_S, self._grace_s))

    def _drained(self, timeout_s: float) -> bool:
        self._pool.shutdown(wait=False)
        ended = threading.Thread(target=self._pool.shutdown, name="wind-down", daemon=True)
        ended.start()
        ended.join(timeout_s)
        return not ended.is_alive()

    def _leave(self) -> None:
        try:
            self._dispatch.close()
            self._registration.leave()
        except Unreachable as error:
            LOG.warning("could not sign off, the lease runs out by itself: %s", error)
        self._threads.shutdown(wait=False, cancel_futures=True)
