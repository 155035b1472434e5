"""A real `conductor run`, as a user starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jobboard.conductors import list_conductors
from jobboard.database import Database
from jobboard.settings import PREFIX

ROOT: Final = Path(__file__).resolve().parents[1]
_BEGIN_S: Final = 60.0
_STOP_S: Final = 60.0
_LOOK_S: Final = 0.05


@contextlib.contextmanager
def conductor(url: str, flows: str, folder: Path, *options: str) -> Iterator[int]:
    """A process with its log and state in `folder`, stopped in order at the end; its process id."""
    log = folder / f"conductor-{len([*folder.glob('conductor-*')])}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "conductor", "run", "--grace=2s", "--log-level=warning", *options],
            cwd=ROOT,
            env=environment(url, flows, folder),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        sys.stderr.write(log.read_text(errors="replace"))


def await_conductors(database: Database, number: int) -> None:
    """Wait until so many are there. Raises `TimeoutError`."""
    deadline = time.monotonic() + _BEGIN_S
    while sum(row.alive for row in list_conductors(database)) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {number} conductors were there within {_BEGIN_S:.0f} s")
        time.sleep(_LOOK_S)


def environment(url: str, flows: str, folder: Path) -> dict[str, str]:
    """This process's, with settings for these and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {"DATABASE_URL": url, "FLOWS": flows, "HOME": str(folder)}
    return kept | {PREFIX + name: value for name, value in own.items()}
