"""Tells the demo's story, line by line: the same on a terminal and in a log file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Final, TextIO

from jobboard.models import HistoryLine, Job

_QUARTER: Final = 0.25
_MARKS: Final = {
    "running": "▸",
    "success": "✓",
    "failure": "■",
    "reverting": "◂",
    "reverted": "↺",
    "revert_failure": "✗",
}


class Narrator:
    """Writes to one stream; bold and dim only on a terminal that wants them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._styled = out.isatty() and not os.environ.get("NO_COLOR")
        self._began = time.monotonic()
        self._steps = 0
        self._told = 0  # the number of the last line of history
        self._quarters: dict[str, int] = {}

    def step(self, what: str, command: str | None = None) -> None:
        """A new chapter, and the command that does the same by hand."""
        self._steps += 1
        self._line("")
        self._line(self._bold(f"{self._steps}. {what}"))
        if command:
            self._line(self._dim(f"   $ {command}"))

    def say(self, what: str) -> None:
        """One line."""
        self._line(f"   {what}")

    def news(self, job: Job, lines: Iterable[HistoryLine]) -> None:
        """What tasks began and ended since the last call, and which of them got a quarter further."""
        for line in lines:
            if line.seq > self._told:
                self._told = line.seq
                self._quarters.pop(line.task or "", None)
                self._tell(line)
        for task in job.tasks:
            quarter = int(task.progress / _QUARTER)
            if task.state == "running" and quarter > self._quarters.get(task.name, 0):
                self._quarters[task.name] = quarter
                self._line(f"     {task.name:<10} {task.progress:.0%}")

    def receipt(self, job: Job) -> None:
        """How the cancel went."""
        cancel = job.cancel
        if cancel is None or cancel.delivered_at is None or cancel.stopped_at is None or job.finished_at is None:
            self.say(f"job {job.id} is {job.state}")
            return
        self.say(
            f"requested by {cancel.by}, delivered after {_ms(cancel.requested_at, cancel.delivered_at)}, "
            f"stopped after {_ms(cancel.requested_at, cancel.stopped_at)}, "
            f"reverted {cancel.reverted} of {cancel.total} after {_ms(cancel.requested_at, job.finished_at)}: "
            f"{self._bold(str(job.state))}"
        )

    def results(self, job: Job) -> None:
        """What the job gave."""
        for name, value in (job.results or {}).items():
            if isinstance(value, str | int | float):
                self.say(f"{name}: {value}")
        self.say(self._bold(str(job.state)))

    def table(self, lines: Iterable[HistoryLine]) -> None:
        """The history: when, in which attempt, what, why."""
        self.say(self._dim(f"{'time':<13}{'attempt':<9}{'what':<26}why"))
        for line in lines:
            what = f"{line.task} {line.state}" if line.task else str(line.state)
            why = line.message or ""
            self.say(f"{line.at:%H:%M:%S}.{line.at.microsecond // 1000:03d} {line.attempt:<9}{what:<26}{why}")

    def _tell(self, line: HistoryLine) -> None:
        if line.task and line.state:
            said = f"{line.task:<10} {line.state}" + (f" ({line.message})" if line.message else "")
            self._line(f"   {_MARKS.get(line.state, ' ')} {said}")

    def _line(self, text: str) -> None:
        clock = self._dim(f"{time.monotonic() - self._began:5.1f}s ") if text else ""
        print(f"{clock}{text}", file=self._out, flush=True)

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._styled else text

    def _dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self._styled else text


def _ms(start: datetime, end: datetime) -> str:
    return f"{(end - start).total_seconds() * 1000:,.0f} ms"
