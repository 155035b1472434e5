"""What tasks print: lines of their job's log, while all else goes to the process's own streams."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TextIO, cast

from flows.printed import Printed
from flows.run_context import Running, running_task
from flows.secrets import without_secrets

_STREAMS: Final = ("stdout", "stderr")

_logging: ContextVar[bool] = ContextVar("countermand_logging_output", default=False)


@contextmanager
def tasks_output_logged() -> Iterator[None]:
    """Have each line that a task writes to `sys.stdout` or `sys.stderr` logged, until the block ends.

    A task's are its own thread and what carries its context; bytes that go past Python's streams, as of
    `sys.stdout.buffer` or of C code, are not seen.
    """
    streams = {name: getattr(sys, name) for name in _STREAMS}
    levels = {name: logging.getLogger(name).level for name in _STREAMS}
    for name in _STREAMS:
        # What is printed is for the job's log, whatever level the conductor's own log has.
        logging.getLogger(name).setLevel(logging.INFO)
        setattr(sys, name, _TaskStream(name, streams[name]))
    try:
        yield
    finally:
        for name in _STREAMS:
            setattr(sys, name, streams[name])
            logging.getLogger(name).setLevel(levels[name])


class _TaskStream:
    """Stands in for a standard stream. Thread-safe, as far as the stream itself is."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._log = logging.getLogger(name)
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        mark = self._writer()
        if mark is None:
            self._stream.write(without_secrets(text))  # a thread that a task started is not known as its own
            return len(text)
        self._lines_of(mark).write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """A log is no terminal: whoever asks writes it plain lines."""
        return self._writer() is None and self._stream.isatty()

    def _writer(self) -> Running | None:
        """The task that writes; None for everyone else, and for a log handler that writes a line out."""
        mark = running_task()
        if mark is None or not mark.context.job or _logging.get():
            return None
        caller = sys._getframe(2).f_globals.get("__name__")  # noqa: SLF001 - cheap, and as logging does it
        return None if caller == "logging" else mark

    def _lines_of(self, mark: Running) -> Printed:
        # For each thread its own: what two write at the same time is not mixed within a line.
        key = (self, threading.get_ident())
        found = mark.closing.get(key) or mark.closing.setdefault(key, Printed(self._say))
        return cast("Printed", found)

    def _say(self, line: str) -> None:
        reset = _logging.set(True)
        try:
            self._log.info("%s", line)
        finally:
            _logging.reset(reset)
