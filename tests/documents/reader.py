"""Does what a page says: one folder, one shell, the blocks in order; what was started ends with the page."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.documents.page import Step
from tests.documents.script import Script, programs
from tests.documents.stand_ins import StandIns

_LIMIT_S = 240  # far more than it takes: a page that hangs says where
_TAIL = 3000


@dataclass(frozen=True)
class Seen:
    """What a step printed: a program on standard output, commands on the terminal."""

    step: Step
    text: str


class Stuck(AssertionError):
    """A step that did not end as it should: where, and what was printed."""


class Reader:
    """Follows a page in `folder`, which is made. `before` is shell text for what the page takes for granted."""

    def __init__(self, folder: Path, stand_ins: StandIns, before: str = "") -> None:
        self._stand_ins = stand_ins
        self._before = before
        self._work, self._own, self._home = folder / "work", folder / "reader", folder / "home"
        for made in (self._work, self._home, self._own / "bin"):
            made.mkdir(parents=True)
        self._terminal, self._ends = self._own / "terminal", self._own / "ends"

    def follow(self, steps: Sequence[Step]) -> list[Seen]:
        """Do all of them. Raises `Stuck` at the first that does not end, or with another code than it should."""
        code = self._run(self._written(Script(steps, self._stand_ins, self._before)))
        printed = self._printed()
        if code != 0 or len(printed) < len(steps):
            self._give_up(steps, printed, code)
        return [Seen(step, self._stand_ins.back(text)) for step, text in zip(steps, printed, strict=True)]

    def _written(self, script: Script) -> Path:
        for name, text in script.files.items():
            (self._own / name).write_text(text)
        for name, text in programs(self._stand_ins).items():
            program = self._own / "bin" / name
            program.write_text(text)
            program.chmod(0o755)
        (self._own / "script").write_text(script.text)
        return self._own / "script"

    def _run(self, script: Path) -> int | None:
        """The code that the shell ended with; None if it did not end by itself."""
        with self._terminal.open("ab") as terminal:
            shell = subprocess.Popen(
                ["bash", script],
                cwd=self._work,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )
            try:
                return shell.wait(_LIMIT_S)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)
                    shell.wait()

    def _environment(self) -> dict[str, str]:
        theirs = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMAND_")}
        return theirs | {
            "HOME": str(self._home),
            "PATH": f"{self._own / 'bin'}:{theirs['PATH']}",
            "READER": str(self._own),
            "COLUMNS": "110",
        }

    def _printed(self) -> list[str]:
        """What each step printed that ended."""
        everything = self._terminal.read_bytes()
        ends = [int(end) for end in self._ends.read_text().split()] if self._ends.exists() else []
        return [
            everything[begin:end].decode(errors="replace") for begin, end in zip([0, *ends], ends, strict=False)
        ]

    def _give_up(self, steps: Sequence[Step], printed: Sequence[str], code: int | None) -> None:
        end = f"ended with {code}" if code is not None else f"did not end in {_LIMIT_S} s"
        where = steps[len(printed)].block.place if len(printed) < len(steps) else "after the last block"
        log = self._own / "log"
        logged = log.read_text(errors="replace")[-_TAIL:] if log.exists() else ""
        terminal = self._terminal.read_text(errors="replace")[-_TAIL:]
        raise Stuck(f"{where}: {end}\n--- terminal\n{terminal}\n--- log\n{logged}")
