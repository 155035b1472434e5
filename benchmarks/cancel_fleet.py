"""How long it takes to cancel a thousand running jobs on four conductors by one `cancel --all`.

    python -m benchmarks.cancel_fleet [--jobs 1000] [--conductors 4] [--json FILE]

It starts what it needs on loopback, in temporary folders, and stops it. Ends with 1 if a job does not end
cancelled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.conductor_process import conductor
from benchmarks.fleet_flows import NAME
from benchmarks.lab import DurablePostgreSQL
from jobboard.models import Job
from jobboard.settings import read_settings
from jobboard.states import State
from poster.client import Client
from poster.post_request import PostRequest

_FLOWS = "benchmarks.fleet_flows"
_BEGIN_S = 300.0
_END_S = 300.0


def main(words: Sequence[str] | None = None) -> int:
    """Measure on SQLite and PostgreSQL, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cancel_fleet")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--conductors", type=int, default=4)
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args(words)
    found = []
    with tempfile.TemporaryDirectory() as name, DurablePostgreSQL() as server:
        folder = Path(name)
        urls = {"SQLite": f"sqlite:///{folder}/jobs.db", "PostgreSQL": server.create_database()}
        for database, url in urls.items():
            found.append(measure(database, url, folder, asked.jobs, asked.conductors))
            print(json.dumps(found[-1]))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if all(one["cancelled"] == asked.jobs for one in found) else 1


def measure(database: str, url: str, folder: Path, jobs: int, conductors: int) -> dict[str, Any]:
    """Cancel `jobs` running jobs at once; when the cancels were answered, delivered, stopped, and all at rest."""
    settings = read_settings({}, database_url=url, flows=_FLOWS)
    slots = -(-jobs // conductors)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client.open(settings, by="benchmark"))
        client.post_many([PostRequest(NAME)] * jobs)
        for _ in range(conductors):
            stack.enter_context(conductor(url, _FLOWS, folder, f"--slots={slots}"))
        _await_work(client, jobs)
        begun = time.monotonic()
        ids = [*client.matching(states=[State.RUNNING])]
        client.cancel_many(ids, "fleet")
        answered_s = time.monotonic() - begun
        ended = client.wait(ids, _END_S)
    return _told(database, answered_s, ended)


def _await_work(client: Client, jobs: int) -> None:
    deadline = time.monotonic() + _BEGIN_S
    while _at_work(client) < jobs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {jobs} jobs were at work within {_BEGIN_S:.0f} s")
        time.sleep(0.5)


def _at_work(client: Client) -> int:
    """How many jobs are inside of their task."""
    return sum(bool(job.tasks) and job.tasks[0].state == "running" for job in client.current())


def _told(database: str, answered_s: float, ended: Sequence[Job]) -> dict[str, Any]:
    cancels = [job.cancel for job in ended if job.cancel is not None]
    asked = min(cancel.requested_at for cancel in cancels)

    def after(moments: list[Any]) -> list[float]:
        return sorted((moment - asked).total_seconds() for moment in moments if moment is not None)

    delivered = after([cancel.delivered_at for cancel in cancels])
    stopped = after([cancel.stopped_at for cancel in cancels])
    rest = after([job.finished_at for job in ended])
    return {
        "database": database,
        "jobs": len(ended),
        "cancelled": sum(job.state is State.CANCELLED for job in ended),
        "answered_s": round(answered_s, 3),
        "delivered_median_s": round(statistics.median(delivered), 3),
        "delivered_last_s": round(delivered[-1], 3),
        "stopped_last_s": round(stopped[-1], 3),
        "ended_last_s": round(rest[-1], 3),
    }


if __name__ == "__main__":
    sys.exit(main())
