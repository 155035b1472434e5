"""A record's row: as it is written when a job is posted, and as the value that is given out. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from jobboard import task_view
from jobboard.address import MASK
from jobboard.faults import check
from jobboard.ids import new_id
from jobboard.models import PRIORITIES, Cancel, Job, NewJob, TaskError
from jobboard.schema import Row
from jobboard.states import State


def new_row(job: NewJob, now: datetime, *, on_board: bool) -> dict[str, Any]:
    """A job that is posted now. `on_board`: it gets a posting at once, if nothing keeps it waiting."""
    at_once = on_board and job.max_running is None and (job.due_at is None or job.due_at <= now)
    return {
        "id": new_id(),
        "flow": job.flow,
        "arguments": job.arguments,
        "masked": list(job.masked),
        "state": str(State.PENDING),
        "key": job.key,
        "priority": PRIORITIES.index(job.priority),
        "posted_at": now,
        "due_at": job.due_at or now,
        "attempt": 1,
        "begun": False,
        "kept": False,
        "ran_s": 0.0,
        "progress": 0.0,
        "timeout_s": job.timeout_s,
        "max_retries": job.max_retries,
        "retry_interval_s": job.retry_interval_s,
        "retries_left": job.max_retries,
        "max_running": job.max_running,
        "on_failure": job.on_failure,
        "epoch": 0,
        "claims": 0,
        "deleting": False,
        "cleanup": False,
        "posting": str(uuid4()) if at_once else None,
        "tasks": [],
    }


def posting_row(board: str | None, row: Row, now: datetime) -> dict[str, Any]:
    """A row of the `sql` board for a record that has been given its posting's uuid."""
    return {
        "uuid": row["posting"],
        "board": board,
        "name": row["flow"],
        "job": row["id"],
        "priority": row["priority"],
        "details": {"job": row["id"]},
        "created_at": now,
        "modified_at": now,
    }


def to_job(row: Row) -> Job:
    """A record as the value that is given out, its secrets masked. Raises `MalformedRecord`."""
    check(row)
    tasks = task_view.from_json(row["tasks"])
    masked = set(row["masked"])
    return Job(
        id=row["id"],
        flow=row["flow"],
        arguments={name: MASK if name in masked else value for name, value in row["arguments"].items()},
        state=State(row["state"]),
        progress=float(row["progress"]),  # SQLite's RETURNING gives 0 for 0.0
        attempt=row["attempt"],
        priority=PRIORITIES[row["priority"]],
        reason=row["reason"],
        error=TaskError(**row["error"]) if row["error"] else None,
        key=row["key"],
        posted_at=row["posted_at"],
        due_at=row["due_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        conductor=row["conductor"],
        cancel=_cancel_of(row, tasks),
        results=row["results"],
        tasks=tasks,
        epoch=row["epoch"],
        begun=row["begun"],
        kept=row["kept"],
        deleting=row["deleting"],
        max_running=row["max_running"],
    )


def _cancel_of(row: Row, tasks: tuple[Any, ...]) -> Cancel | None:
    if row["cancel_requested_at"] is None:
        return None
    return Cancel(
        requested_at=row["cancel_requested_at"],
        by=row["cancel_by"],
        reason=row["cancel_reason"],
        delivered_at=row["cancel_delivered_at"],
        stopped_at=row["cancel_stopped_at"],
        reverted=task_view.reverted(tasks),
        total=task_view.began(tasks),
    )
