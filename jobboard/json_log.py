"""Log lines as JSON objects, one a line: for programs that gather the logs of many."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

Where = Mapping[str, str | int]
"""What is known of where a line comes from: `job`, `flow`, `attempt`, `task`."""


class JsonFormatter(logging.Formatter):
    """Writes `at`, `level`, `logger`, `message`, what is known of where it comes from, and `exc`: a traceback."""

    def __init__(self, *, where: Callable[[], Where] = dict, masked: Callable[[str], str] = str) -> None:
        """`where` is asked in the thread that logs. `masked` gives a text without its secrets."""
        super().__init__()
        self._where = where
        self._masked = masked

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end. ASCII only: a stream that can write nothing else would spoil it."""
        line: dict[str, str | int] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._masked(record.getMessage()),
        }
        for name, value in self._where().items():
            line[name] = self._masked(value) if isinstance(value, str) else value
        if told := self._traceback(record):
            line["exc"] = self._masked(told)
        return json.dumps(line)

    def _traceback(self, record: logging.LogRecord) -> str:
        error = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        return "\n".join(part for part in (error, record.stack_info) if part)
