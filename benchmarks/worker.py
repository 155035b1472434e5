"""A process of its own in which a system runs its jobs.

with Worker(system, place) as worker:
    worker.drain(1000)     until that many are done: seconds, and seconds of processor
with Worker(system, place, bell) as worker:
    worker.serve()         as they come, until the end
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

import psutil

from benchmarks.bell import VARIABLE
from benchmarks.place import Place
from benchmarks.systems import System
from jobboard.settings import PREFIX

ROOT: Final = Path(__file__).resolve().parents[1]
_SAYS: Final = "benchmark: "  # before what is for the other process: systems print too
_STOP_S: Final = 60.0


@dataclass(frozen=True)
class Drained:
    """What a drain took."""

    took_s: float
    cpu_s: float  # of the process and its children, not of servers


class WorkerError(RuntimeError):
    """The process ended before its time: which system, and what it said last."""


class Worker:
    """This side of it. Not thread-safe."""

    def __init__(self, system: System, place: Place, bell: Path | None = None) -> None:
        self._system = system
        self._argv = [sys.executable, "-W", "ignore", "-m", __name__, system.module, json.dumps(asdict(place))]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self._environment = kept | ({VARIABLE: str(bell)} if bell else {})

    def __enter__(self) -> Self:
        """Start it. It gets ready while this process does something else."""
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._argv,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self._is_ready = False
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()  # which asks it to end
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def await_ready(self) -> None:
        """Wait until everything is imported."""
        if not self._is_ready:
            self._answer()
            self._is_ready = True

    def begin(self, jobs: int) -> None:
        """Let it drain as soon as it is ready, and do not wait for the end."""
        self._ask("drain", jobs)

    def ended(self) -> Drained:
        """Wait until it has drained what it was to."""
        return Drained(**self._answer())

    def drain(self, jobs: int) -> Drained:
        """Let it drain, and wait."""
        self.begin(jobs)
        return self.ended()

    def serve(self) -> None:
        """Let it run jobs as they come. Returns when it does."""
        self._ask("serve", 0)
        self._answer()

    def _ask(self, what: str, jobs: int) -> None:
        assert self._process.stdin
        self.await_ready()
        self._process.stdin.write(json.dumps([what, jobs]) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(_SAYS):
                answer: dict[str, Any] = json.loads(line.removeprefix(_SAYS))
                return answer
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")[-2000:]
        raise WorkerError(f"{self._system.name}: its process ended before its time:\n{said}")


def main(module: str, place: str) -> None:
    """The other side of it: do what the lines of standard input ask, until it is closed."""
    system = import_module(module)
    _say({})
    for line in sys.stdin:
        what, jobs = json.loads(line)
        if what == "drain":
            _say(asdict(_drain(system, Place(**json.loads(place)), jobs)))
        else:
            with system.serving(Place(**json.loads(place))):
                _say({})
                sys.stdin.read()


def _drain(system: ModuleType, place: Place, jobs: int) -> Drained:
    before_s = _cpu_s()
    took_s = system.drain(place, jobs)
    return Drained(took_s, _cpu_s() - before_s)


def _cpu_s() -> float:
    """Of this process, of its children, and of those that have ended."""
    times = psutil.Process().cpu_times()
    children_s = sum(_child_s(child) for child in psutil.Process().children(recursive=True))
    return float(times.user + times.system + times.children_user + times.children_system + children_s)


def _child_s(child: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return float(child.cpu_times().user + child.cpu_times().system)
    return 0.0


def _say(answer: dict[str, Any]) -> None:
    print(_SAYS + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
