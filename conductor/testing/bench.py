"""Runs flows as jobs: each in a conductor of its own process, on a database of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from conductor.testing.moments import Moment, as_dicts
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
_BY: Final = "a test"


class NotReached(AssertionError):
    """The job rested before a moment that the test has waited for."""


@dataclass(frozen=True)
class Ran:
    """A job that rests."""

    job: Job
    history: list[HistoryLine]
    log: str
    """What its conductors wrote to standard error, its tasks' lines among it."""
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

    def retry(self, *moments: Moment) -> Ran:
        """Retry it, and run it until it rests again. Raises `Refused` if its state does not allow it."""
        return self._bench.retry(self.job.id, moments)


class Bench(AbstractContextManager["Bench"]):
    """One database, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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

    def run(self, flow: str | Callable[..., Any], *moments: Moment, **arguments: Any) -> Ran:
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

    def retry(self, job: str, moments: Sequence[Moment]) -> Ran:
        """Have it run once more."""
        self._records.retry(job, by=_BY)
        return self._run(job, moments)

    def _spec(self, flow: str | Callable[..., Any]) -> FlowSpec:
        if isinstance(flow, str):
            load_flows(())
            spec = REGISTRY.get(flow)
        else:
            spec = next(one for one in REGISTRY if one.function is flow)
        self._flows.add(_module_of(spec))
        return spec

    def _run(self, job: str, moments: Sequence[Moment]) -> Ran:
        left: list[Moment] = list(moments)
        looks: dict[str, int] = {}
        log = ""
        while self._records.get(job).state not in AT_REST:
            child = self._child({"job": job, "moments": as_dicts(left)})
            log += child.stderr
            told = [json.loads(line) for line in child.stdout.splitlines()]
            reached = sum("reached" in one for one in told)
            is_to_die = reached > 0 and left[reached - 1].act == "crash"
            if child.returncode != (-signal.SIGKILL if is_to_die else 0):
                raise AssertionError(f"the conductor ended with {child.returncode}:\n{child.stderr[-5000:]}")
            left, looks = left[reached:], told[-1].get("looks", {})
        if left:
            raise NotReached(
                f"{left[0]}: the job is {self._records.get(job).state}, and never came there; "
                f"its tasks have looked so often whether they are to stop: {looks or 'never'}"
            )
        lines = history.read(self._database, job, kinds=history.KINDS, limit=10_000)
        return Ran(self._records.get(job), lines, log, self)

    def _child(self, plan: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        own = {
            "DATABASE_URL": self._settings.database_url,
            "HOME": str(self._folder),
            "LEASE": _LEASE,
            "FLOWS": ",".join(sorted(self._flows)),
        }
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run(
            [sys.executable, "-m", "conductor.testing.child", json.dumps(plan)],
            env=environment | {PREFIX + name: value for name, value in own.items()},
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )


def _module_of(spec: FlowSpec) -> str:
    """What another process is to load for this flow."""
    module = sys.modules[spec.function.__module__]
    file = getattr(module, "__file__", None)
    return module.__name__ if module.__package__ or file is None else str(file)
