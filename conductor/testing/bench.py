"""Runs flows as jobs: each in a conductor of its own process, on a database of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from conductor.testing.moments import Moment, When, as_dicts
from conductor.testing.nursery import Child, Nursery
from flows.discovery import load_flows
from flows.registry import REGISTRY, FlowSpec
from jobboard import history
from jobboard.database import open_database
from jobboard.dispatch.opening import open_records
from jobboard.models import HistoryLine, Job, NewJob
from jobboard.settings import PREFIX, read_settings
from jobboard.states import AT_REST

_LEASE: Final = "2s"  # a job of a conductor that was killed waits so long
_PATIENCE_S: Final = 120.0
_LOOK_S: Final = 0.01  # at the conditions of `When`
_BY: Final = "a test"


class NotReached(AssertionError):
    """The job rested before a moment that the test has waited for."""


@dataclass(frozen=True)
class Ran:
    """A job that rests."""

    job: Job
    history: list[HistoryLine]
    log: str
    """What its conductors have logged."""
    _bench: Bench

    @property
    def state(self) -> str:
        """`completed`, `failed`, `cancelled` or `revert_failed`."""
        return str(self.job.state)

    @property
    def results(self) -> dict[str, Any]:
        """What the tasks provide, by name, once it has completed."""
        return dict(self.job.results or {})

    @property
    def error(self) -> str | None:
        """Why it failed."""
        error = self.job.error
        return f"{error.type}: {error.message}" if error else None

    def retry(self, *moments: Moment | When, cleanup: bool = False) -> Ran:
        """Retry it, and run it until it rests again; with `cleanup`, only the reverts that have failed.

        Raises `Refused` if its state does not allow it.
        """
        return self._bench.retry(self.job.id, moments, cleanup=cleanup)


class Bench(AbstractContextManager["Bench"]):
    """One database, in a folder."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self._settings = read_settings(
            {}, home=str(folder), database_url=f"sqlite:///{folder / 'jobs.db'}", lease=_LEASE
        )
        self._database = open_database(self._settings.database_url)
        self._records = open_records(self._database, self._settings)
        self._flows: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._database.close()

    def run(self, flow: str | Callable[..., Any], *moments: Moment | When, **arguments: Any) -> Ran:
        """Post a job of a flow, by its name or its function, and run it until it rests. It is retried by nobody.

        Raises `NoSuchFlow`, `InvalidArguments`, and `NotReached`.
        """
        spec = self._spec(flow)
        new = NewJob(
            flow=spec.name,
            arguments=spec.as_json(arguments),
            timeout_s=spec.timeout_s,
            on_failure=spec.on_failure,
            masked=spec.secrets,
        )
        [posted] = self._records.post([new], by=_BY)
        return self._run(posted.id, moments)

    def retry(self, job: str, moments: Sequence[Moment | When], *, cleanup: bool) -> Ran:
        """Have it run once more."""
        (self._records.cleanup if cleanup else self._records.retry)(job, by=_BY)
        return self._run(job, moments)

    def _spec(self, flow: str | Callable[..., Any]) -> FlowSpec:
        if isinstance(flow, str):
            load_flows(())
            spec = REGISTRY.get(flow)
        else:
            spec = next(one for one in REGISTRY if one.function is flow)
        self._flows.add(_module_of(spec))
        return spec

    def _run(self, job: str, moments: Sequence[Moment | When]) -> Ran:
        inside = [moment for moment in moments if isinstance(moment, Moment)]
        outside = [moment for moment in moments if isinstance(moment, When)]
        looks: dict[str, int] = {}
        while self._records.get(job).state not in AT_REST:
            told = self._conduct(job, inside, outside)
            del inside[: sum("reached" in one for one in told)]
            looks = told[-1].get("looks", {}) if told else {}
        ended = self._records.get(job)
        left: list[Moment | When] = [*inside, *outside]
        if left:
            raise NotReached(f"{left[0]}: {_why_not(left[0], ended, looks)}")
        lines = history.read(self._database, job, kinds=history.KINDS, limit=10_000)
        return Ran(ended, lines, self._log.read_text(), self)

    def _conduct(self, job: str, inside: Sequence[Moment], outside: list[When]) -> list[dict[str, Any]]:
        """Have one conductor run it to its end, which may be the conductor's; what that has told."""
        told = self._folder / "told"
        told.unlink(missing_ok=True)
        child = self._nursery.start(
            {"job": job, "moments": as_dicts(inside)}, self._environment(), told, self._log
        )
        with ExitStack() as if_it_fails:
            if_it_fails.callback(child.end)
            code, is_killed = self._attend(job, child, outside)
            if_it_fails.pop_all()
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        reached = sum("reached" in one for one in lines)
        is_to_die = is_killed or (reached > 0 and inside[reached - 1].act == "crash")
        if code != (-signal.SIGKILL if is_to_die else 0):
            raise AssertionError(f"the conductor ended with {code}:\n{self._end_of_log()}")
        return lines

    def _attend(self, job: str, child: Child, outside: list[When]) -> tuple[int, bool]:
        """Wait for its end, and have come what is to come from outside. Its exit code; whether it was killed."""
        deadline = time.monotonic() + _PATIENCE_S
        is_killed = False
        while (code := child.ended(_LOOK_S if outside else _PATIENCE_S)) is None:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"it has not ended within {_PATIENCE_S:g} s:\n{self._log.read_text()[-5000:]}"
                )
            if outside and not is_killed and outside[0].condition():
                if outside.pop(0).act == "cancel":
                    self._records.cancel(job, by=_BY)
                else:
                    child.kill()
                    is_killed = True
        return code, is_killed

    def _environment(self) -> dict[str, str]:
        own = {
            "DATABASE_URL": self._settings.database_url,
            "HOME": str(self._folder),
            "LEASE": _LEASE,
            "FLOWS": ",".join(sorted(self._flows)),
        }
        return {**os.environ} | {PREFIX + name: value for name, value in own.items()}

    @property
    def _log(self) -> Path:
        return self._folder / "conductor.log"

    def _end_of_log(self) -> str:
        return self._log.read_text()[-5000:]


def _why_not(moment: Moment | When, job: Job, looks: dict[str, int]) -> str:
    tasks = [task.name for task in job.tasks]
    if isinstance(moment, Moment) and tasks and moment.task not in tasks:
        return f"there is no such task, but {', '.join(tasks)}"
    return (
        f"the job is {job.state}, and it never came to that; "
        f"its tasks have looked so often whether they are to stop: {looks or 'never'}"
    )


def _module_of(spec: FlowSpec) -> str:
    """What another process is to load for this flow."""
    module = sys.modules[spec.function.__module__]
    file = getattr(module, "__file__", None)
    return module.__name__ if module.__package__ or file is None else str(file)
