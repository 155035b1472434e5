"""What can go wrong with a request before the jobboard or a flow is asked.

PosterError
├── InvalidJson       a document is not the JSON that is wanted
├── InvalidRequest    a request has fields that do not fit: all of them are named at once
├── InvalidJobs       some of many jobs cannot be posted, so none was
├── NoSuchFlowOrJob   a word is neither a flow's name nor the beginning of a job's id
└── WaitTimedOut      jobs have not ended in the time one was willing to wait
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN = 20


class PosterError(Exception):
    """Base of all errors of this package."""


class InvalidJson(PosterError):
    """A document is not the JSON that is wanted. The message says where and why."""


class InvalidRequest(PosterError):
    """A request has fields that do not fit."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{field}: {message}" for field, message in self.problems))


@dataclass(frozen=True)
class Malformed:
    """One of many jobs that cannot be posted."""

    line: int  # where it stands, from 1
    error: Exception

    def __str__(self) -> str:
        return f"line {self.line}: {self.error}".replace("\n", "\n  ")


class InvalidJobs(PosterError):
    """Some of many jobs cannot be posted, so none was."""

    def __init__(self, malformed: Iterable[Malformed]) -> None:
        self.malformed = tuple(sorted(malformed, key=lambda one: one.line))
        shown = [str(one) for one in self.malformed[:_SHOWN]]
        if len(self.malformed) > _SHOWN:
            shown.append(f"… and {len(self.malformed) - _SHOWN} more")
        super().__init__(f"{len(self.malformed)} job(s) cannot be posted, so none was:\n" + "\n".join(shown))


class NoSuchFlowOrJob(PosterError):
    """A word is neither a flow's name nor the beginning of a job's id."""


class WaitTimedOut(PosterError):
    """Jobs have not ended in the time one was willing to wait. They go on."""

    def __init__(self, jobs: Iterable[str], timeout_s: float) -> None:
        self.jobs = tuple(jobs)
        self.timeout_s = timeout_s
        many = f"{len(self.jobs)} jobs have" if len(self.jobs) > 1 else f"job {self.jobs[0]} has"
        super().__init__(f"{many} not ended after {timeout_s:g} s")
