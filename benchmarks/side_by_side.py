"""The systems side by side: how many jobs a second each drains, and how soon it begins a job when it is idle.

For a drain the jobs are posted first, and then run by one process of its own. That process then waits for jobs,
which are posted by this one, one after the other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Final

from benchmarks.bell import Bell
from benchmarks.figure import Reading
from benchmarks.lab import Lab
from benchmarks.sizes import Sizes
from benchmarks.systems import System
from benchmarks.worker import Worker

_IDLE_S: Final = (0.05, 0.15)  # of no pattern, so that no poll is met in step


def measure(lab: Lab, sizes: Sizes, systems: Sequence[System]) -> Iterator[Reading]:
    """Alternating, so that what else the machine does meets all alike."""
    for _ in range(sizes.rounds):
        for system in systems:
            yield from _round(lab, system, sizes.jobs(system), sizes.starts)


def _round(lab: Lab, system: System, jobs: int, starts: int) -> Iterator[Reading]:
    module = system.load()
    with (
        lab.folder() as folder,
        closing(Bell(folder / "bell")) as bell,
        lab.place(system) as place,
        Worker(system, place, bell.path) as worker,
    ):
        module.post(place, jobs)
        drained = worker.drain(jobs)
        done = module.completed(place)
        if done != jobs:
            raise RuntimeError(f"{system.name}: {done} of {jobs} jobs completed")
        yield Reading(f"drained:{system.key}", f"drained: {system.name}", "jobs/s", jobs / drained.took_s)
        yield Reading(f"cpu:{system.key}", f"processor: {system.name}", "ms/job", drained.cpu_s * 1000 / jobs)
        with module.posting(place) as post:
            worker.serve()
            _start_s(post, bell)  # the first one opens connections
            for _ in range(starts):
                what = f"post to first step: {system.name}"
                yield Reading(f"start:{system.key}", what, "ms", _start_s(post, bell) * 1000)


def _start_s(post: Callable[[], object], bell: Bell) -> float:
    time.sleep(random.uniform(*_IDLE_S))
    begun = time.monotonic()
    post()
    return float(bell.hear()) - begun
