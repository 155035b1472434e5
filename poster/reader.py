"""`Reader`: what there is to know of flows, jobs and conductors. Changes nothing."""

from __future__ import annotations

import builtins
import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from jobboard import history, hours
from jobboard.conductors import list_conductors
from jobboard.errors import NoSuchJob, Refused
from jobboard.models import ConductorRow, HistoryLine, Hour, Job, Page, Task
from jobboard.states import CURRENT, ENDED, State
from poster.connection import Connection
from poster.errors import NoSuchFlowOrJob
from poster.post_request import check_name
from poster.why_waiting import explained

if TYPE_CHECKING:
    from flows.registry import FlowSpec
    from jobboard.errors import JobboardError
    from poster.cancel_plan import CancelPlan
    from poster.doctor import Check, Report
    from poster.graph import Graph
    from poster.stats import Stats

LOG = logging.getLogger(__name__)

_PAGE: Final = 1000


class Reader(Connection):
    """What one can ask without changing anything."""

    # Flows

    def flows(self) -> builtins.list[FlowSpec]:
        """All flows that are known here, by name."""
        return [*self.registry]

    def flow(self, name: str) -> FlowSpec:
        """One flow. Raises `NoSuchFlow`, which suggests the nearest."""
        return self.registry.get(name)

    # Jobs

    def resolve(self, prefix: str) -> str:
        """The id of the one job whose id begins so. Raises `NoSuchJob`, `AmbiguousJob`."""
        return self._records.resolve(prefix)

    def get(self, job: str) -> Job:
        """A job as its record has it. Raises `NoSuchJob`."""
        return self._records.get(job)

    def show(self, job: str) -> Job:
        """A job with what can be said beyond its record: what it waits for, the tasks of one that never began."""
        return self.in_full(self._records.get(job))

    def in_full(self, job: Job) -> Job:
        """The same job with what `show` tells beyond its record."""
        [told] = self.explained([job])
        return told if told.tasks else replace(told, tasks=self._tasks_of(told))

    def plan_cancel(self, job: str) -> CancelPlan:
        """What a cancel now would revert, what cannot be undone, what has not begun. Changes nothing.

        Raises `NoSuchJob`, and `Refused` where the cancel would be.
        """
        from poster.cancel_plan import plan_of

        return plan_of(self.show(job))

    def plan_many(self, jobs: Iterable[str]) -> builtins.list[CancelPlan | JobboardError]:
        """The same for jobs, in their order; for one that would be refused, why."""
        plans: builtins.list[CancelPlan | JobboardError] = []
        for job in jobs:
            try:
                plans.append(self.plan_cancel(job))
            except (NoSuchJob, Refused) as error:
                plans.append(error)
        return plans

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

    def search(
        self,
        words: str,
        *,
        states: Iterable[State] = (),
        flow: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Jobs that have these words in id, flow, key, reason, error, conductor or arguments, newest first.

        The 10,000 newest after `cursor` are looked through; while there are more the page has a next one, also if
        it is empty itself.
        """
        check_name("flow", flow)
        check_name("q", words)
        before = cursor.lower() if cursor else None
        return self._records.search(words, states=states, flow=flow, before=before, limit=limit)

    def matching(
        self, *, states: Iterable[State] = (), flow: str | None = None, words: str | None = None
    ) -> Iterator[str]:
        """The ids of all such jobs as of now, oldest first; read as they are taken. `words` as in `search`."""
        check_name("flow", flow)
        check_name("q", words)
        return self._records.matching(states=states, flow=flow, words=words)

    def current(self) -> builtins.list[Job]:
        """The jobs that are worked on, newest first."""
        found: builtins.list[Job] = []
        while page := self.list(states=CURRENT, before=found[-1].id if found else None, limit=_PAGE):
            found += page
        return found

    def explained(self, jobs: Iterable[Job]) -> builtins.list[Job]:
        """The same jobs; those that do not go on say what they wait for, if it is not just their turn."""
        found = list(jobs)
        waiting = [job for job in found if _wants_reason(job)]
        conductors = self.conductors() if waiting else ()
        limited = {job.flow for job in waiting if job.max_running is not None}
        running = {flow: [*self.matching(states=CURRENT, flow=flow)] for flow in limited}
        now = self.database.now()
        failed = self._records.failures([job.id for job in waiting if job.due_at > now])
        return [explained(job, conductors, now, running.get(job.flow, ()), failed.get(job.id)) for job in found]

    def history(
        self, job: str, *, after: int = 0, before: int | None = None, limit: int | None = None
    ) -> builtins.list[HistoryLine]:
        """What happened to a job, oldest first: transitions and tasks.

        The first ones after line `after`, or the last ones `before` that line; `limit` at most.
        """
        return self._told(job, (history.STATE, history.TASK), after, before, limit)

    def logs(
        self, job: str, *, after: int = 0, before: int | None = None, limit: int | None = None
    ) -> builtins.list[HistoryLine]:
        """What a job's tasks logged, oldest first. `after`, `before` and `limit` as in `history`."""
        return self._told(job, (history.LOG,), after, before, limit)

    # Graphs

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

    # All together

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

    # What is behind

    def _told(
        self, job: str, kinds: Iterable[str], after: int, before: int | None, limit: int | None
    ) -> builtins.list[HistoryLine]:
        if before is not None:
            return history.read_back(self.database, job, kinds=kinds, before=before, limit=limit or _PAGE)
        return [*itertools.islice(self._lines(job, kinds, after), limit)]

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

    def _tasks_of(self, job: Job) -> tuple[Task, ...]:
        from flows.errors import FlowsError
        from poster.planned_tasks import planned_tasks

        try:
            return planned_tasks(self.flow(job.flow), job)
        except FlowsError as error:
            LOG.info("job %s: its flow is not known here: %s", job.id, error)
            return ()


def _wants_reason(job: Job) -> bool:
    return job.state is State.PENDING and job.reason is None
