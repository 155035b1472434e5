"""Runs `poster`, as a user does, and says how long it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.place import Place
from jobboard.settings import PREFIX

ROOT: Final = Path(__file__).resolve().parents[1]
_LONGEST_S: Final = 300.0


class CommandFailed(RuntimeError):
    """A command did not end well: which, how, and what it said."""


@dataclass(frozen=True)
class Ran:
    """A command that ended well."""

    out: str
    took_s: float


def poster(place: Place, *words: str) -> Ran:
    """One command. Raises `CommandFailed`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {f"{PREFIX}DATABASE_URL": place.database_url, f"{PREFIX}FLOWS": "benchmarks.three_steps"}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "poster", *words],
        cwd=ROOT,
        env=kept | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    took_s = time.monotonic() - begun
    if done.returncode:
        raise CommandFailed(f"poster {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return Ran(done.stdout, took_s)
