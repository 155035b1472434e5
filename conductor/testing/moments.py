"""When in a job's life something is to befall it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

At = int | Literal["begin", "end", "revert", "reverted"]
"""`begin`: before a task's `execute`. `end`: after it, before its result is stored. A number: when the task looks
for that time whether it is to stop, which it does in `checkpoint`, `sleep`, `track`, `update_progress`, `run`.
`revert`: before its `revert`. `reverted`: after it, before that is stored: after a crash it runs once more."""

Act = Literal["cancel", "crash"]


@dataclass(frozen=True)
class Moment:
    """One moment in a task, and what comes then."""

    task: str
    at: At
    act: Act

    def __str__(self) -> str:
        return f"{self.act}_at({self.task!r}, {self.at!r})"

    @classmethod
    def of(cls, given: dict[str, Any]) -> Moment:
        """What `asdict` made."""
        return cls(**given)


@dataclass(frozen=True)
class When:
    """The moment when something has become true, wherever the job is, and what comes then."""

    condition: Callable[[], object]
    act: Act

    def __str__(self) -> str:
        return f"{self.act}_when({getattr(self.condition, '__qualname__', self.condition)})"


def cancel_at(task: str, at: At = 1) -> Moment:
    """Cancel the job then, and let it go on when the task's flag is up."""
    return Moment(task, at, "cancel")


def crash_at(task: str, at: At = 1) -> Moment:
    """Kill the conductor then, as `kill -9` does. Another takes the job over."""
    return Moment(task, at, "crash")


def cancel_when(condition: Callable[[], object]) -> When:
    """Cancel the job as soon as `condition()`, which is called in the test's process, gives something true."""
    return When(condition, "cancel")


def crash_when(condition: Callable[[], object]) -> When:
    """Kill the conductor as soon as `condition()` gives something true."""
    return When(condition, "crash")


def as_dicts(moments: Iterable[Moment]) -> list[dict[str, Any]]:
    """Moments as JSON can have them."""
    return [asdict(moment) for moment in moments]
