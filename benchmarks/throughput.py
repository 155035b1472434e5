"""How many jobs a second are posted and drained: ours and others', side by side, alternating in the same run.

    python -m benchmarks.throughput [--quick] [--system NAME] [--json FILE]

Each system's jobs are posted first, and then drained by one process of its own. It starts what it needs on
loopback, in temporary folders, and stops it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from benchmarks.place import Place
from tests.servers import PostgreSQL, ZooKeeper

ROOT: Final = Path(__file__).resolve().parents[1]
_LONGEST_S: Final = 600.0


@dataclass(frozen=True)
class System:
    """What is measured."""

    name: str
    module: str
    database: str  # sqlite or postgresql
    jobs: int  # in a full run
    zookeeper: bool = False


_OURS: Final = "benchmarks.countermand_system"
_STOCK: Final = "benchmarks.taskflow_system"
SYSTEMS: Final = (
    System("Countermand, PostgreSQL", "benchmarks.countermand_system", "postgresql", 2000),
    System("Countermand, SQLite", "benchmarks.countermand_system", "sqlite", 2000),
    System(
        "Countermand, ZooKeeper and PostgreSQL",
        "benchmarks.countermand_system",
        "postgresql",
        1000,
        zookeeper=True,
    ),
    System(
        "stock TaskFlow, ZooKeeper and PostgreSQL", "benchmarks.taskflow_system", "postgresql", 100, zookeeper=True
    ),
    System("stock TaskFlow, ZooKeeper and SQLite", "benchmarks.taskflow_system", "sqlite", 100, zookeeper=True),
)


@dataclass(frozen=True)
class Round:
    """One system, once."""

    system: str
    jobs: int
    posted_per_s: float
    drained_per_s: float
    cpu_ms_per_job: float  # of the draining process
    memory_mb: float  # its most


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    options = _parser().parse_args(words)
    if options.drain:
        return _drain(options.drain)
    chosen = [system for system in SYSTEMS if system.name in (options.system or [system.name])]
    repeats, share = (2, 0.2) if options.quick else (5, 1.0)
    found: list[Round] = []
    for number in range(repeats):
        for system in chosen:  # alternating, so that what else the machine does meets all alike
            one = _measure(system, max(20, int(system.jobs * share)))
            found.append(one)
            print(f"{number + 1}/{repeats} {json.dumps(asdict(one))}", file=sys.stderr, flush=True)
    print(table(found))
    for module in dict.fromkeys(system.module for system in chosen):
        print(f"{module}: {import_module(module).PARAMETERS}")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return 0


def table(found: Sequence[Round]) -> str:
    """Medians with their spread, as Markdown."""
    lines = [
        "| system | jobs/s drained | least to most | posted/s | CPU ms a job | MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(one.system for one in found):
        rounds = [one for one in found if one.system == name]
        drained = [one.drained_per_s for one in rounds]
        posted, cpu, memory = (
            statistics.median(getattr(one, field) for one in rounds)
            for field in ("posted_per_s", "cpu_ms_per_job", "memory_mb")
        )
        spread = f"{min(drained):.1f} to {max(drained):.1f}"
        lines.append(
            f"| {name} | {statistics.median(drained):.1f} | {spread} | {posted:.0f} | {cpu:.1f} | {memory:.0f} |"
        )
    return "\n".join(lines)


def _measure(system: System, jobs: int) -> Round:
    with _place(system) as place:
        begun = time.monotonic()
        import_module(system.module).post(place, jobs)
        posted_s = time.monotonic() - begun
        asked = json.dumps({"module": system.module, "jobs": jobs, "place": asdict(place)})
        worker = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.throughput", "--drain", asked],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=_LONGEST_S,
            check=True,
        )
        told = json.loads(worker.stdout.splitlines()[-1])
    return Round(
        system.name,
        jobs,
        round(jobs / posted_s, 1),
        round(jobs / told["took_s"], 1),
        round(told["cpu_s"] / jobs * 1000, 2),
        round(told["memory_mb"], 1),
    )


@contextmanager
def _place(system: System) -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        place = Place(f"sqlite:///{folder}/jobs.db")
        if system.database == "postgresql":
            place = replace(place, database_url=stack.enter_context(PostgreSQL()).create_database())
        if system.zookeeper:
            place = replace(place, zookeeper=stack.enter_context(ZooKeeper()).hosts)
        yield place


def _drain(asked: str) -> int:
    """In a process of its own."""
    import resource  # noqa: PLC0415 - not on every system

    given: dict[str, Any] = json.loads(asked)
    system = import_module(given["module"])
    begun_s = time.process_time()
    took_s = system.drain(Place(**given["place"]), given["jobs"])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory_mb = most / (1024 * 1024 if sys.platform == "darwin" else 1024)
    print(json.dumps({"took_s": took_s, "cpu_s": time.process_time() - begun_s, "memory_mb": memory_mb}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="a fifth of the jobs, twice")
    names = [system.name for system in SYSTEMS]
    parser.add_argument("--system", action="append", choices=names, help="only this one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    parser.add_argument("--drain", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
