"""How many jobs a second several conductors drain from one PostgreSQL."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from benchmarks.figure import Reading
from benchmarks.lab import Lab
from benchmarks.sizes import Sizes
from benchmarks.systems import System
from benchmarks.worker import Worker


def measure(lab: Lab, sizes: Sizes, system: System) -> Iterator[Reading]:
    """Processes of 8 slots each: as many as `sizes` says, alternating."""
    for _ in range(sizes.rounds):
        for number in sizes.conductors:
            what = f"drained by {number} conductor{'s' if number > 1 else ''} on one PostgreSQL"
            took_s = _took_s(lab, system, number, sizes.scaling_jobs)
            yield Reading(f"conductors:{number}", what, "jobs/s", sizes.scaling_jobs / took_s)


def _took_s(lab: Lab, system: System, number: int, jobs: int) -> float:
    with lab.place(system) as place, contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(system, place)) for _ in range(number)]
        system.load().post(place, jobs)
        for worker in workers:
            worker.await_ready()
        begun = time.monotonic()
        for worker in workers:
            worker.begin(jobs)
        for worker in workers:
            worker.ended()
        took_s = time.monotonic() - begun
        done = system.load().completed(place)
    if done != jobs:
        raise RuntimeError(f"{number} conductors: {done} of {jobs} jobs completed")
    return took_s
