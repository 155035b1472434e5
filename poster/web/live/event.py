"""One thing that happened, as streams tell it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from fastapi.sse import format_sse_event

from jobboard import history
from poster.job_json import history_document, log_document, moment, task_document

if TYPE_CHECKING:
    from datetime import datetime

    from jobboard.models import HistoryLine
    from jobboard.position import Position
    from jobboard.progress import Progress

STATE, TASK, LOG = history.KINDS
PROGRESS, GONE, BEGIN, HEARTBEAT = "progress", "gone", "begin", "heartbeat"

KINDS: Final = (STATE, TASK, LOG, PROGRESS, GONE)
"""Kinds that a stream can be asked for; each also gets the stream's own."""


@dataclass(frozen=True)
class Event:
    """One event. Encoded once, however many streams tell it."""

    kind: str
    data: Mapping[str, Any]
    job: str | None = None  # None: of the stream itself
    line: int | None = None  # its number in the history; None: it is not stored, and not told again
    position: Position | None = None  # of a reader that has had it; None: it does not change that

    @property
    def id(self) -> str | None:
        """What a reader gives to go on after it."""
        return str(self.position) if self.position is not None else None

    @cached_property
    def sent(self) -> bytes:
        """It as a server-sent event."""
        comment = HEARTBEAT if self.kind == HEARTBEAT else None
        return format_sse_event(data_str=self._data, event=self.kind, id=self.id, comment=comment)

    @cached_property
    def message(self) -> str:
        """It as a message of a WebSocket."""
        return f'{{"event":"{self.kind}","id":{json.dumps(self.id)},"data":{self._data}}}'

    @cached_property
    def _data(self) -> str:
        return json.dumps(self.data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def of_line(line: HistoryLine, position: Position) -> Event:
    """A line of the history. `position`: of a reader that has had it."""
    document = log_document(line) if line.kind == LOG else history_document(line)
    return Event(line.kind, {"job": line.job, **document}, line.job, line.seq, position)


def of_lines(lines: Iterable[HistoryLine], position: Position) -> tuple[list[Event], Position]:
    """Lines that a reader at `position` has not had, in their order; and its position then."""
    told: list[Event] = []
    for line in lines:
        position = position.having(line.seq)
        told.append(of_line(line, position))
    return told, position


def of_progress(progress: Progress) -> Event:
    """How far a job's tasks are."""
    tasks = [task_document(task) for task in progress.tasks]
    data = {"job": progress.job, "attempt": progress.attempt, "progress": progress.progress, "tasks": tasks}
    return Event(PROGRESS, data, progress.job)


def of_removal(job: str) -> Event:
    """That a job was removed, with its history."""
    return Event(GONE, {"job": job}, job)


def opening(position: Position, now: datetime) -> Event:
    """The first of a stream: what comes from now on follows `position`."""
    return Event(BEGIN, {"at": moment(now)}, position=position)


def heartbeat(now: datetime) -> Event:
    """That the stream is alive, though nothing happens."""
    return Event(HEARTBEAT, {"at": moment(now)})
