"""What measures a conductor is told, and what it may ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jobboard.claims import Claim
from jobboard.states import State


class Meter(Protocol):
    """Is told of jobs, in the conductor's threads. Nothing that it does may raise."""

    def claimed(self, claim: Claim) -> None:
        """Called when the conductor has claimed a job, before it runs."""

    def ended(self, claim: Claim, state: State) -> None:
        """Called when a job has come to its end here, which is stored; not when others go on with it."""


@dataclass(frozen=True)
class Vitals:
    """How a conductor is, at one moment."""

    name: str
    slots: int
    busy: int  # slots that have a job
    heartbeat_age_s: float | None  # since it last said that it lives; None: it never did
    not_responding: int  # tasks that go on though their job is to stop
