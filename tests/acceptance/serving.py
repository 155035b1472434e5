"""`poster serve` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from tests.acceptance.place import ROOT, Place


class Serving:
    """A `poster serve` process that listens."""

    def __init__(self, place: Place, *options: str) -> None:
        argv = [sys.executable, "-m", "poster", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(
            argv, cwd=ROOT, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.said = self.process.stdout.readline().strip()

    @property
    def url(self) -> str:
        return json.loads(self.said)["url"] if self.said.startswith("{") else self.said

    def ends(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its code, and what it said on standard error. It promises to end in a second: here it gets ten."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors
