"""Numbers over all jobs and conductors. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from jobboard.models import ConductorRow
from jobboard.states import State


@dataclass(frozen=True)
class Stats:
    """How much there is, and who works on it."""

    states: Mapping[str, int]  # jobs by state, every state named
    flows: Mapping[str, Mapping[str, int]]  # jobs by flow and state, only what there is
    oldest_waiting_since: datetime | None  # since when the job that waits longest could have run
    oldest_waiting_s: float | None
    conductors: int  # those alive
    slots: int  # theirs
    busy: int  # jobs that they hold
    heartbeat_age_s: Mapping[str, float]  # by their names: since when they have not been heard of

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(self.states.values())


def stats_of(
    counted: Mapping[str, Mapping[str, int]],
    oldest: datetime | None,
    conductors: Iterable[ConductorRow],
    now: datetime,
) -> Stats:
    """The numbers, from jobs counted by flow and state."""
    alive = [row for row in conductors if row.alive]
    return Stats(
        states={str(state): sum(flow.get(str(state), 0) for flow in counted.values()) for state in State},
        flows={flow: dict(sorted(states.items())) for flow, states in sorted(counted.items())},
        oldest_waiting_since=oldest,
        oldest_waiting_s=max(0.0, (now - oldest).total_seconds()) if oldest else None,
        conductors=len(alive),
        slots=sum(row.slots for row in alive),
        busy=sum(row.busy for row in alive),
        heartbeat_age_s=_heartbeat_ages(alive, now),
    )


def _heartbeat_ages(alive: Iterable[ConductorRow], now: datetime) -> dict[str, float]:
    """Of several that have the same name it is the one that was not heard of for longest."""
    ages: dict[str, float] = {}
    for row in alive:
        age_s = max(0.0, (now - row.seen_at).total_seconds())
        ages[row.name] = max(age_s, ages.get(row.name, 0.0))
    return ages
