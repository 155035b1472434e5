"""The systems that are measured side by side.

The module of each has `PARAMETERS`, a text that says how it is set up, and
    post(place, jobs)       store so many jobs of three steps
    drain(place, jobs)      run them in this process; the seconds that took
    completed(place)        how many have ended well
    serving(place)          a context in which jobs are run as they come
    posting(place)          a context with a function that posts one job, whose first step rings (`bell.py`);
                            some jobs were posted and drained before
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from tests.servers import PostgreSQL, Redis, ServerProcess, ZooKeeper


@dataclass(frozen=True)
class System:
    """One way to set one of them up."""

    key: str
    name: str
    module: str
    jobs: int  # drained in a round of a full run
    quick_jobs: int  # in a quick one; 0: it is left out there
    database: str = ""  # sqlite or postgresql
    zookeeper: bool = False
    redis: bool = False
    variant: str = ""
    package: str = ""  # what has to be installed for it, beyond Countermand

    def load(self) -> ModuleType:
        """Its module."""
        return importlib.import_module(self.module)

    @property
    def missing(self) -> str:
        """Why it cannot be measured here; empty if it can."""
        if self.package and importlib.util.find_spec(self.package) is None:
            return f'the package {self.package} is not installed: `python3 dev.py bench`, or the extra "bench"'
        needed: dict[type[ServerProcess], bool] = {
            PostgreSQL: self.database == "postgresql",
            ZooKeeper: self.zookeeper,
            Redis: self.redis,
        }
        return "; ".join(
            kind.missing() for kind, is_needed in needed.items() if is_needed and not kind.installed()
        )


_OURS: Final = "benchmarks.countermand_system"
_STOCK: Final = "benchmarks.taskflow_system"
_DBOS: Final = "benchmarks.dbos_system"
_CELERY: Final = "benchmarks.celery_system"
_PG: Final = "postgresql"

SYSTEMS: Final = (
    System("countermand-postgresql", "Countermand, PostgreSQL", _OURS, 1000, 120, _PG),
    System("countermand-sqlite", "Countermand, SQLite", _OURS, 1000, 120, "sqlite"),
    System(
        "countermand-zookeeper", "Countermand, ZooKeeper and PostgreSQL", _OURS, 600, 80, _PG, zookeeper=True
    ),
    System("taskflow-postgresql", "TaskFlow, ZooKeeper and PostgreSQL", _STOCK, 60, 8, _PG, zookeeper=True),
    System("taskflow-sqlite", "TaskFlow, ZooKeeper and SQLite", _STOCK, 60, 8, "sqlite", zookeeper=True),
    System(
        "dbos-postgresql-10ms", "DBOS, PostgreSQL, polls each 10 ms", _DBOS, 600, 80, _PG,
        variant="0.01", package="dbos",
    ),
    System(
        "dbos-sqlite-10ms", "DBOS, SQLite, polls each 10 ms", _DBOS, 400, 60, "sqlite",
        variant="0.01", package="dbos",
    ),
    System("dbos-postgresql", "DBOS, PostgreSQL, as it comes", _DBOS, 80, 16, _PG, package="dbos"),
    System("dbos-sqlite", "DBOS, SQLite, as it comes", _DBOS, 80, 0, "sqlite", package="dbos"),
    System(
        "celery-prefork", "Celery chain, Redis, 8 processes", _CELERY, 800, 100,
        redis=True, variant="prefork", package="celery",
    ),
    System(
        "celery-threads", "Celery chain, Redis, 8 threads", _CELERY, 800, 100,
        redis=True, variant="threads", package="celery",
    ),
)  # fmt: skip


def named(*keys: str) -> list[System]:
    """Those with these keys, in the order of the list."""
    return [system for system in SYSTEMS if system.key in keys]
