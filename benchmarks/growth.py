"""What many jobs in the database cost: those that wait, and those that have ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

import sqlalchemy as sa

from benchmarks.figure import Reading
from benchmarks.filling import fill
from benchmarks.lab import Lab
from benchmarks.place import Place
from benchmarks.sizes import Sizes
from benchmarks.start_up import measure_list
from benchmarks.systems import System
from benchmarks.worker import Worker
from jobboard.database import open_database
from jobboard.schema import jobs as job_table

SHOWN: Final = {"backlog": "waiting", "history": "finished"}


def measure(lab: Lab, sizes: Sizes, systems: Sequence[System]) -> Iterator[Reading]:
    """A database with few jobs and one with many, alternating. Both are filled once."""
    for system in [system for system in systems if system.database in sizes.growth_databases]:
        for kind in SHOWN:
            with contextlib.ExitStack() as stack:
                places = {
                    number: stack.enter_context(_filled(lab, system, kind, number))
                    for number in (sizes.small, sizes.large)
                }
                for _ in range(sizes.growth_rounds):
                    for number, place in places.items():
                        yield _drained(system, place, kind, number, sizes)
                if kind == "history":
                    yield from measure_list(places[sizes.large], system, sizes)


@contextlib.contextmanager
def _filled(lab: Lab, system: System, kind: str, number: int) -> Iterator[Place]:
    with lab.place(system) as place:
        system.load().post(place, 1)
        if kind == "history":
            system.load().drain(place, 1)
        with closing(open_database(place.database_url)) as database:
            with database.read() as connection:
                job = connection.execute(sa.select(job_table.c.id)).scalar_one()
            fill(database, job, number)
        settle(place)
        yield place


def settle(place: Place) -> None:
    """Have PostgreSQL do now what it would do beside the measurement. SQLite does nothing by itself."""
    engine = sa.create_engine(place.database_url, isolation_level="AUTOCOMMIT")
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(sa.text("VACUUM (ANALYZE)"))
    engine.dispose()


def _drained(system: System, place: Place, kind: str, number: int, sizes: Sizes) -> Reading:
    """The rate among that many. What is drained is posted first, so there are as many afterwards."""
    jobs, module = sizes.growth_jobs, system.load()
    before = module.completed(place)
    module.post(place, sizes.growth_warm_up + jobs)
    with Worker(system, place) as worker:
        worker.drain(sizes.growth_warm_up)
        drained = worker.drain(jobs)
    done = module.completed(place) - before
    if done != sizes.growth_warm_up + jobs:
        raise RuntimeError(f"{done} of {sizes.growth_warm_up + jobs} jobs completed")
    size = "small" if number == sizes.small else "large"
    what = f"drained beside {number:,} {SHOWN[kind]} jobs: {system.name}"
    return Reading(f"{kind}-{size}:{system.key}", what, "jobs/s", jobs / drained.took_s)
