"""Measures how long a cancel takes: until it is delivered, until the work has stopped, until all is reverted.

`python -m benchmarks.cancel_latency` starts a conductor on an SQLite file and one on a PostgreSQL server, all on
loopback and in temporary folders. For each kind of work and each engine it posts jobs one after the other, waits
until the work has begun, cancels at a moment of no pattern, and reads the receipt.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import sqlite3
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.bell import Bell
from benchmarks.cancel_flows import JOBS_AT_ONCE, KINDS, Checkpoint, Kind
from benchmarks.cancel_table import NAMES, Measured, Sample, between_markers, markdown
from benchmarks.conditions import conditions
from benchmarks.conductor_process import conductor
from benchmarks.lab import DurablePostgreSQL
from flows import RunContext
from flows.registry import Engine
from jobboard.models import Job
from jobboard.settings import read_settings
from poster.client import Client
from poster.errors import WaitTimedOut
from poster.post_request import PostRequest
from tests.servers import PostgreSQL

_FLOWS: Final = "benchmarks.cancel_flows"
_REPETITIONS: Final = 30
_QUICK: Final = 5
_END_S: Final = 60.0  # a job must be at its end after the cancel
_LATER_S: Final = (0.01, 0.06)  # after the work began; longer than any poll, so that none is met in step
_FAILED: Final = 1


@dataclass(frozen=True)
class _Place:
    """Where jobs are posted, and where their effects are seen."""

    database: str
    client: Client
    folder: Path
    bell: Bell

    def measure(self, kind: Kind, engine: Engine, number: int) -> list[Sample]:
        """Post jobs, cancel them in their work, and see them end."""
        marks = [self.folder / f"{kind.name}-{engine}-{number}-{one}" for one in range(kind.jobs)]
        posted = [self._post(kind, engine, mark) for mark in marks]
        self.bell.wait(marks, kind.rings)
        time.sleep(random.uniform(*_LATER_S))
        if kind.jobs > 1:
            self.client.cancel_many(posted)
        else:
            self.client.cancel(posted[0])
        with contextlib.suppress(WaitTimedOut):
            self.client.wait(posted, _END_S)
        left = [len([*self.folder.glob(f"{mark.name}.*")]) for mark in marks]
        ended = map(self.client.get, posted)
        return [_sample(self.database, kind, engine, *one) for one in zip(ended, left, strict=True)]

    def _post(self, kind: Kind, engine: Engine, mark: Path) -> str:
        arguments = {"mark": str(mark), "bell": str(self.bell.path)}
        return self.client.post(PostRequest(kind.flow_name(engine), arguments))


def _sample(database: str, kind: Kind, engine: Engine, job: Job, left: int) -> Sample:
    receipt = job.cancel
    if receipt is None:
        return Sample(database, kind.name, engine, job.id, str(job.state), left, None, None, None)

    def after_ms(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - receipt.requested_at).total_seconds() * 1000

    return Sample(
        database=database,
        kind=kind.name,
        engine=engine,
        job=job.id,
        state=str(job.state),
        left=left,
        delivered_ms=after_ms(receipt.delivered_at),
        stopped_ms=after_ms(receipt.stopped_at),
        reverted_ms=after_ms(job.finished_at),
    )


@contextlib.contextmanager
def _place(database: str, url: str) -> Iterator[_Place]:
    with tempfile.TemporaryDirectory(prefix="countermand-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        settings = read_settings({}, database_url=url, flows=_FLOWS, home=name)
        client = stack.enter_context(Client.open(settings))
        _ = client.database  # its schema is there before the conductor comes
        bell = stack.enter_context(contextlib.closing(Bell(folder / "bell")))
        stack.enter_context(conductor(url, _FLOWS, folder, f"--slots={JOBS_AT_ONCE}"))
        yield _Place(database, client, folder, bell)


@contextlib.contextmanager
def _sqlite(versions: dict[str, str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="countermand-bench-") as folder:
        versions["SQLite"] = sqlite3.sqlite_version
        yield f"sqlite:///{folder}/countermand.db"


@contextlib.contextmanager
def _postgresql(versions: dict[str, str]) -> Iterator[str]:
    with DurablePostgreSQL() as server:
        versions["PostgreSQL"] = server.version
        yield server.create_database()


_DATABASES: Final = {"sqlite": _sqlite, "postgresql": _postgresql}


def measure(databases: Sequence[str], kinds: Sequence[Kind], repetitions: int) -> Measured:
    """Everything, one after the other."""
    versions: dict[str, str] = {}
    samples: list[Sample] = []
    for database in databases:
        with _DATABASES[database](versions) as url, _place(database, url) as place:
            for kind in kinds:
                for engine in kind.engines:
                    found = _row(place, kind, engine, repetitions)
                    _say(f"{NAMES[database]}: {kind.name}, {engine}: {_short(found)}")
                    samples += found
    return Measured(conditions(versions), repetitions, tuple(samples), checkpoint_ns())


def _row(place: _Place, kind: Kind, engine: Engine, repetitions: int) -> list[Sample]:
    place.measure(kind, engine, -1)  # the first of its kind imports, and starts what all share
    rounds = range(math.ceil(repetitions / kind.jobs))
    return [sample for number in rounds for sample in place.measure(kind, engine, number)]


def checkpoint_ns() -> float:
    """What `checkpoint()` costs in a job that nobody cancels, in nanoseconds: the best of several."""
    task = Checkpoint()
    task.bind(RunContext())
    loops = 200_000
    return min(timeit.repeat(task.checkpoint, number=loops, repeat=15)) / loops * 1e9


def _short(samples: Sequence[Sample]) -> str:
    stopped = [round(sample.stopped_ms, 1) for sample in samples if sample.stopped_ms is not None]
    good = sum(sample.is_good for sample in samples)
    return (
        f"{good} of {len(samples)} cancelled, stopped after {min(stopped)} to {max(stopped)} ms"
        if stopped
        else "-"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cancel_latency",
        description="Measure the time from an accepted cancel until it is delivered, stopped and reverted.",
        epilog="Exit code 1: some job did not end as cancelled, with everything reverted.",
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} jobs for each row, not {_REPETITIONS}")
    parser.add_argument("--repeat", type=int, metavar="N", help="so many jobs for each row")
    parser.add_argument("--kind", action="append", choices=[kind.name for kind in KINDS], help="only this one")
    parser.add_argument("--database", action="append", choices=list(_DATABASES), help="only this one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single job there")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table there: between its markers, if it has them"
    )
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Measure, show and write."""
    parser = _parser()
    options = parser.parse_args(words)
    repetitions = options.repeat or (_QUICK if options.quick else _REPETITIONS)
    if repetitions < 1:
        parser.error("--repeat wants 1 or more")
    if "postgresql" in (options.database or _DATABASES) and not PostgreSQL.installed():
        parser.error(f"{PostgreSQL.missing()}; or measure with --database=sqlite")
    kinds = [kind for kind in KINDS if kind.name in (options.kind or [kind.name])]
    measured = measure(options.database or [*_DATABASES], kinds, repetitions)
    text = markdown(measured)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(asdict(measured), indent=1) + "\n")
    if options.markdown:
        _write(options.markdown, text)
    for sample in measured.broken:
        _say(f"job {sample.job}: {sample.kind}, {sample.engine}: {sample.state}, {sample.left} effects left")
    return _FAILED if measured.broken else 0


def _write(path: Path, text: str) -> None:
    path.write_text(between_markers(path.read_text(encoding="utf-8"), text) if path.exists() else text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
