"""How long cancels take: of one job at its work, and of many at once; and what looking at the flag costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import cancel_fleet, cancel_latency
from benchmarks.cancel_flows import KINDS
from benchmarks.cancel_table import NAMES, PROMPT
from benchmarks.figure import Reading
from benchmarks.lab import Lab
from benchmarks.sizes import Sizes
from benchmarks.systems import System

_CONDUCTORS: Final = 4


def measure(lab: Lab, sizes: Sizes, systems: Sequence[System]) -> Iterator[Reading]:
    """On each database: the kinds of work that stop promptly, both engines."""
    databases = [system.database for system in systems]
    kinds = [kind for kind in KINDS if kind.name in PROMPT]
    measured = cancel_latency.measure(databases, kinds, sizes.cancels)
    if measured.broken:
        raise RuntimeError(f"not every cancel ended as it has to: {measured.broken}")
    for sample in measured.samples:
        what = f"cancel accepted to stopped: {', '.join(PROMPT)}; {NAMES[sample.database]}"
        if sample.stopped_ms is not None:
            yield Reading(f"cancel:{sample.database}", what, "ms", sample.stopped_ms)
    yield Reading("checkpoint", "`checkpoint()` with the flag down", "ns", measured.checkpoint_ns)
    for system in systems if sizes.fleet_jobs else ():
        yield _fleet(lab, sizes, system)


def _fleet(lab: Lab, sizes: Sizes, system: System) -> Reading:
    database = NAMES[system.database]
    with lab.place(system) as place, lab.folder() as folder:
        told = cancel_fleet.measure(database, place.database_url, folder, sizes.fleet_jobs, _CONDUCTORS)
    if told["cancelled"] != sizes.fleet_jobs:
        raise RuntimeError(f"{told['cancelled']} of {sizes.fleet_jobs} jobs were cancelled")
    what = f"{sizes.fleet_jobs:,} jobs cancelled at once on {_CONDUCTORS} conductors: all flags up; {database}"
    return Reading(f"fleet:{system.database}", what, "s", told["delivered_last_s"])
