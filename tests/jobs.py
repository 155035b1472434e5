"""Jobs as values, for tests that need no database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobboard.models import Job
from jobboard.states import State

AT = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)


def a_job(state: State = State.PENDING, **fields: Any) -> Job:
    """A job of which nothing else is known."""
    plain: dict[str, Any] = {
        "id": "01j000000000000000000000aa",
        "flow": "greet",
        "arguments": {"name": "ann"},
        "progress": 0.0,
        "attempt": 1,
        "priority": "normal",
        "reason": None,
        "error": None,
        "key": None,
        "posted_at": AT,
        "due_at": AT,
        "started_at": None,
        "finished_at": None,
        "conductor": None,
        "cancel": None,
        "results": None,
        "tasks": (),
    }
    return Job(**{**plain, "state": state, **fields})
