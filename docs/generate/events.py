"""Live events, made by the code that makes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from docs.generate.markdown import fence, page
from jobboard.history import LOG, NOT_RESPONDING, STATE, TASK
from jobboard.models import HistoryLine
from jobboard.position import Position
from jobboard.progress import Progress
from jobboard.states import State
from poster.web.live import event
from poster.web.live.event import Event

_JOB = "01hx5c4v7e8q9r0s1t2v3w4x5y"
_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
_TASKS = [
    {"name": "fetch", "state": "running", "progress": 0.4, "detail": None}
    | dict.fromkeys(("started_at", "finished_at", "error"))
]


_INTRO = f"""\
A stream tells them as [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html)
(`/api/events`, `/api/jobs/JOB/events`) or as messages of a WebSocket (`/api/ws`). How to read one, and how to go
on after a break, is told in [live events](../http.md#live-events).

`kind` chooses among {", ".join(f"`{kind}`" for kind in event.KINDS)}; `{event.BEGIN}` and
`{event.HEARTBEAT}` come on every stream. Those of the kinds `{STATE}`, `{TASK}` and `{LOG}` are lines of the
history, which `poster history` and `poster logs` show, and `/api/jobs/JOB/history` and `/logs` give out."""
_OF_TASK = f"""\
A task began, ended or was reverted. The state `{NOT_RESPONDING}` says that it goes on though its job is to stop;
`data` then holds its `stack`."""
_OF_PROGRESS = """\
How far the tasks of a job are, as [task](json.md#task) tells it. At most four times a second; not stored, so it is
not told again after a break."""


def events() -> str:
    """Each kind with what it tells."""
    return page(
        "Events",
        _INTRO,
        *(part for one, said in _examples() for part in (f"## {one.kind}", said, _data(one))),
        "## As they are sent",
        "As a server-sent event:",
        fence("text", _examples()[0][0].sent.decode()),
        "As a message of a WebSocket:",
        fence("text", _examples()[0][0].message),
    )


def _examples() -> list[tuple[Event, str]]:
    return [
        (
            _line(1, STATE, state=State.CANCELLING, by="ann", message="cancelled by ann: wrong file"),
            "A job came to another [state](states.md): who moved it, and why.",
        ),
        (
            _line(2, TASK, task="fetch", state="reverted"),
            _OF_TASK,
        ),
        (
            _line(3, LOG, task="fetch", state="info", message="40 of 100 files"),
            "A task logged or printed a line.",
        ),
        (
            event.of_progress(Progress(_JOB, 1, 0.4, json.dumps(_TASKS))),
            _OF_PROGRESS,
        ),
        (event.of_removal(_JOB), "A job was removed, with its history."),
        (event.opening(Position(3), _AT), "The first of a stream. Its `id` is where the stream begins."),
        (event.heartbeat(_AT), "Every 15 seconds: the stream is alive."),
    ]


def _line(seq: int, kind: str, **told: Any) -> Event:
    fields = {"task": None, "state": None, "by": None, "message": None, "data": None} | told
    return event.of_line(HistoryLine(seq, _JOB, 1, _AT, kind, **fields), Position(seq))


def _data(one: Event) -> str:
    return fence("json", json.dumps(one.data, indent=2, ensure_ascii=False))
