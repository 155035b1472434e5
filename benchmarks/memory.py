"""How much memory a `conductor run` has: idle, with its slots busy, and what is added by many jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import psutil

from benchmarks.bell import Bell
from benchmarks.cancel_flows import KINDS
from benchmarks.conductor_process import await_conductors, conductor
from benchmarks.figure import Reading
from benchmarks.lab import Lab
from benchmarks.sizes import Sizes
from benchmarks.systems import System
from benchmarks.three_steps import NAME
from jobboard.settings import read_settings
from poster.client import Client
from poster.post_request import PostRequest

_FLOWS: Final = "benchmarks.cancel_flows,benchmarks.three_steps"
_SLOTS: Final = 8
_SHARE: Final = 10  # of the jobs, that many at first: until then pools and caches fill
_LONGEST_S: Final = 600.0
_LOOK_S: Final = 0.2
_SETTLE_S: Final = 1.0
_MB: Final = 1_000_000
_SLEEP: Final = next(kind for kind in KINDS if kind.name == "sleep").flow_name("serial")


def measure(lab: Lab, sizes: Sizes, system: System) -> Iterator[Reading]:
    """Resident memory of the process and of what it started."""
    with lab.place(system) as place, lab.folder() as folder, closing(Bell(folder / "bell")) as bell:
        settings = read_settings({}, database_url=place.database_url, flows=_FLOWS, home=str(folder))
        with (
            Client.open(settings, by="benchmark") as client,
            conductor(place.database_url, _FLOWS, folder, f"--slots={_SLOTS}") as pid,
        ):
            await_conductors(client.database, 1)
            time.sleep(_SETTLE_S)
            yield Reading("memory:idle", "memory of an idle conductor", "MB", _memory_mb(pid))
            marks = [folder / f"mark-{number}" for number in range(_SLOTS)]
            arguments = [{"mark": str(mark), "bell": str(bell.path)} for mark in marks]
            busy = [posted.id for posted in client.post_many([PostRequest(_SLEEP, one) for one in arguments])]
            bell.wait(marks, 1)
            yield Reading("memory:busy", f"memory with {_SLOTS} busy slots", "MB", _memory_mb(pid))
            client.cancel_many(busy)
            client.wait(busy, _LONGEST_S)
            _run(client, sizes.memory_jobs // _SHARE)
            before_mb = _memory_mb(pid)
            _run(client, sizes.memory_jobs)
            grown = _memory_mb(pid) - before_mb
            yield Reading("memory:growth", f"memory added by {sizes.memory_jobs:,} jobs", "MB", grown)


def _run(client: Client, jobs: int) -> None:
    client.post_many([PostRequest(NAME)] * jobs)
    deadline = time.monotonic() + _LONGEST_S
    while (states := client.stats().states)["pending"] + states["running"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {jobs} jobs were done within {_LONGEST_S:.0f} s")
        time.sleep(_LOOK_S)


def _memory_mb(pid: int) -> float:
    process = psutil.Process(pid)
    return float(sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / _MB)
