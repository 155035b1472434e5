"""How much is measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.systems import System


@dataclass(frozen=True)
class Sizes:
    """Numbers of jobs, and how often each thing is done."""

    rounds: int
    quick: bool
    conductors: tuple[int, ...]  # processes at once
    scaling_jobs: int
    posted: int  # by one `poster post --from`
    starts: int  # jobs posted to an idle system, in each round
    cancels: int  # of each kind of work
    fleet_jobs: int  # cancelled at once; 0: that is left out
    growth_databases: tuple[str, ...]
    growth_rounds: int
    small: int  # jobs in the database that growth is held against
    large: int
    growth_jobs: int  # drained beside them
    growth_warm_up: int
    memory_jobs: int
    streams: int  # open at once
    requests_per_s: int
    serving_warm_up_s: float
    serving_s: float
    commands: int  # how often a command is started

    def jobs(self, system: System) -> int:
        """How many jobs it drains in a round."""
        return system.quick_jobs if self.quick else system.jobs


QUICK: Final = Sizes(
    rounds=1,
    quick=True,
    conductors=(1, 2),
    scaling_jobs=120,
    posted=2_000,
    starts=2,
    cancels=1,
    fleet_jobs=0,
    growth_databases=("postgresql",),
    growth_rounds=1,
    small=1_000,
    large=20_000,
    growth_jobs=100,
    growth_warm_up=30,
    memory_jobs=500,
    streams=200,
    requests_per_s=50,
    serving_warm_up_s=2.0,
    serving_s=5.0,
    commands=3,
)
FULL: Final = Sizes(
    rounds=5,
    quick=False,
    conductors=(1, 2, 4),
    scaling_jobs=1_000,
    posted=10_000,
    starts=20,
    cancels=20,
    fleet_jobs=1_000,
    growth_databases=("postgresql", "sqlite"),
    growth_rounds=5,
    small=1_000,
    large=1_000_000,
    growth_jobs=500,
    growth_warm_up=200,
    memory_jobs=10_000,
    streams=200,
    requests_per_s=50,
    serving_warm_up_s=20.0,
    serving_s=60.0,
    commands=10,
)
