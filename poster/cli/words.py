"""How states, times and amounts are written for people. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jobboard.models import Job, Task, TaskError

ICONS: Final = {
    "pending": "·",
    "running": "▸",
    "pausing": "‖",
    "paused": "‖",
    "cancelling": "↶",
    "reverting": "↶",
    "completed": "✓",
    "failed": "✗",
    "cancelled": "⊘",
    "revert_failed": "!",
    "success": "✓",
    "failure": "✗",
    "reverted": "↶",
    "revert_failure": "!",
    "not_responding": "!",
}
"""Of jobs' and tasks' states, and of a task that does not respond. The word always stands beside it."""

COLOURS: Final = {
    "running": "cyan",
    "pausing": "yellow",
    "paused": "yellow",
    "cancelling": "yellow",
    "reverting": "yellow",
    "reverted": "yellow",
    "completed": "green",
    "success": "green",
    "failed": "red",
    "failure": "red",
    "revert_failed": "red",
    "revert_failure": "red",
    "not_responding": "red",
}

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def clean(text: object) -> str:
    """`text` on one line, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else _visible(letter) for letter in str(text))


def _visible(letter: str) -> str:
    return " " if letter.isspace() else letter.encode("unicode_escape", "backslashreplace").decode()


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in its largest unit: `12s`, `5m`, `3h`, `2d`."""
    if since is None:
        return ""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def took(seconds: float) -> str:
    """A duration: `12 ms`, `3.21 s`, `12.3 s`, `2 m 05 s`, `1 h 02 m`, `3 d 04 h`."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600:02} h"


def moment(value: datetime | None) -> str:
    """A moment in local time, to the second."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else ""


def moment_ms(value: datetime) -> str:
    """A moment in local time, to the millisecond."""
    return value.astimezone().isoformat(sep=" ", timespec="milliseconds")[:23]


def clock(value: datetime) -> str:
    """The time of day, local."""
    return value.astimezone().strftime("%H:%M:%S")


def percent(progress: float) -> str:
    """How far: 100 % only when it is all."""
    return f"{int(progress * 100 + 1e-6)} %"


def number(value: object) -> str:
    """A number with its thousands told apart."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    return str(value)


def amount(value: object) -> str:
    """A number that need not be exact: `1,200`, `45.5 M`, `12.3 G`."""
    if isinstance(value, int | float) and value >= 10_000_000:
        return f"{value / 1e9:.1f} G" if value >= 1e10 else f"{value / 1e6:.1f} M"
    return number(value)


def detail(reported: dict[str, Any] | None) -> str:
    """What a task reports: `1,200 / 6,000`, and whatever else it says."""
    if not reported:
        return ""
    rest = {name: value for name, value in reported.items() if name not in ("done", "total")}
    words = [f"{name} {amount(value)}" for name, value in rest.items() if value is not None]
    if reported.get("done") is not None:
        of = f" / {amount(reported['total'])}" if reported.get("total") is not None else ""
        words.insert(0, amount(reported["done"]) + of)
    return ", ".join(words)


def error(failed: TaskError | None) -> str:
    """Why; nothing if nothing did."""
    return str(failed or "")


def end_of(job: Job) -> str:
    """Why a job ended as it did; nothing to say of one that completed."""
    return error(job.error) or job.reason or ""


def task_took(task: Task, now: datetime) -> str:
    """How long a task takes or took; nothing for one that was undone, whose times span more than its work."""
    if task.started_at is None or task.state not in ("running", "success", "failure"):
        return ""
    end = datetime.fromisoformat(task.finished_at) if task.finished_at else now
    return took((end - datetime.fromisoformat(task.started_at)).total_seconds())


def not_responding(task: Task, now: datetime) -> str:
    """That a task goes on though its job is to stop, and for how long; nothing of one that does not."""
    if task.not_responding is None:
        return ""
    since = datetime.fromisoformat(task.not_responding.since)
    return f"not responding for {took((now - since).total_seconds())}"


def value(given: Any) -> str:
    """A value of arguments or results: text as it is, all else as JSON."""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def utc_now() -> datetime:
    """Now, by the clock here: good enough to show ages."""
    return datetime.now(UTC)
