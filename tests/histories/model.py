"""What the records must hold and answer, said a second time, and in no way like the product says it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# What an accepted request makes of a job, by how it stands. "-": no change; "x": refused; "gone": removed;
# "marked": removed later; "undoing": to cancelling if it was cancelled, else to reverting.
# "begun" is a pending job that a conductor had before, "kept" a failed one that kept its results.
_REQUESTS = """
         pending   begun      running    pausing    paused     cancelling reverting  completed failed  kept       cancelled revert_failed
cancel   cancelled cancelling cancelling cancelling cancelling -          cancelling x         x       cancelling -         x
retry    x         x          x          x          x          x          x          x         pending pending    pending   x
cleanup  x         x          x          x          x          x          x          x         x       x          x         undoing
force    x         x          x          x          x          x          x          x         x       x          x         pending
pause    paused    paused     pausing    -          -          x          x          x         x       x          x         x
resume   -         -          -          running    pending    x          x          x         x       x          x         x
delete   gone      cancelling cancelling cancelling cancelling marked     cancelling gone      gone    cancelling gone      x
delete!  gone      cancelling cancelling cancelling cancelling marked     cancelling gone      gone    cancelling gone      gone
"""  # noqa: E501 - a table

_HEAD, *_LINES = (line.split() for line in _REQUESTS.strip().splitlines())
ANSWERS = {name: dict(zip(_HEAD, answers, strict=True)) for name, *answers in _LINES}
"""By request and by how the job stands."""

UNCHANGED, REFUSED, GONE, MARKED = "-", "x", "gone", "marked"

ENDED = {"completed", "failed", "cancelled", "revert_failed"}
AT_REST = ENDED | {"paused"}
UNDOING = {"cancelling", "reverting"}
LIVE = {"running", "pausing"}

TASKS = ("a", "b")


@dataclass
class Job:
    """A record as it must be."""

    id: str
    flow: str
    arguments: dict[str, Any]
    key: str | None
    due_s: int  # by the clock of the history
    max_running: int | None
    max_retries: int
    keeps: bool
    state: str = "pending"
    attempt: int = 1
    epoch: int = 0
    claims: int = 0
    begun: bool = False
    kept: bool = False
    cancelled: bool = False  # in this attempt
    deleting: bool = False
    cleanup: bool = False
    owner: str | None = None
    retries_left: int = field(init=False)
    ended_s: int | None = None
    tasks: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.retries_left = self.max_retries

    @property
    def standing(self) -> str:
        """The column of the table."""
        if self.state == "pending" and self.begun:
            return "begun"
        return "kept" if self.state == "failed" and self.kept else self.state

    @property
    def has_effects(self) -> bool:
        """Whether something is left to be reverted."""
        return any(state not in ("pending", "reverted") for state in self.tasks.values())

    def row(self) -> dict[str, Any]:
        """What the record must hold, as far as it is known here."""
        same = ("state", "attempt", "epoch", "claims", "begun", "kept", "deleting", "cleanup", "owner")
        return {name: getattr(self, name) for name in (*same, "retries_left", "arguments")} | {
            "cancelled": self.cancelled,
            "ended": self.ended_s is not None,
            "tasks": self.tasks,
        }

    def rest(self, state: str, now_s: int) -> None:
        """Nothing more happens unless someone asks."""
        self.state, self.ended_s, self.owner = state, now_s, None

    def wait(self, due_s: int) -> None:
        """Off the last conductor's hands."""
        self.state, self.ended_s, self.owner, self.due_s = "pending", None, None, due_s

    def begin_attempt(self, due_s: int) -> None:
        """The next one. Whoever had the job before may write no more."""
        self.attempt += 1
        self.wait(due_s)
        self.claims, self.begun, self.kept, self.cancelled, self.cleanup = 0, False, False, False, False
        self.tasks = {}

    # Requests

    def ask(self, request: str, now_s: int, *, key_is_free: bool) -> str:
        """What is answered. What follows from it is done."""
        answer = ANSWERS[request][self.standing]
        if self.state in ENDED and not key_is_free and answer not in (UNCHANGED, REFUSED, GONE):
            return REFUSED  # it would live again, and its key has another living job
        if answer in (UNCHANGED, REFUSED):
            return answer
        if request.startswith("delete"):
            self.deleting = True
        if answer in (GONE, MARKED):
            return answer
        self._follow(request, answer, now_s)
        return self.state

    def _follow(self, request: str, answer: str, now_s: int) -> None:
        if answer == "undoing":
            self.state = "cancelling" if self.cancelled else "reverting"
            self.cleanup, self.claims, self.retries_left = True, 0, 0
            self.ended_s, self.due_s = None, now_s
        elif answer == "cancelled":
            self.cancelled = True
            self.rest(answer, now_s)
        elif answer == "cancelling":
            if self.state in AT_REST or (self.state == "pending" and self.owner is None):
                self.due_s = min(self.due_s, now_s)
            self.state, self.cancelled, self.kept, self.ended_s = answer, True, False, None
        elif request in ("retry", "force"):
            self._again(now_s)
        elif request == "resume" and answer == "pending":
            self.state, self.due_s = answer, now_s
        else:
            self.state = answer

    def _again(self, now_s: int) -> None:
        self.retries_left = self.max_retries
        if self.standing == "kept":
            self.wait(now_s)
            self.claims = 0
        else:
            self.begin_attempt(now_s)

    # What conductors do

    def claim(self, owner: str) -> None:
        """A conductor has it."""
        if self.state == "pending":
            self.state = "running"
        self.epoch += 1
        self.claims += 1
        self.begun, self.owner = True, owner

    def turn_back(self) -> None:
        """A live job is to be reverted."""
        if self.state in LIVE:
            self.state = "reverting"

    def seal(self, now_s: int) -> None:
        """Its last task has ended."""
        if self.state in LIVE:
            self.cleanup = False
            self.rest("completed", now_s)

    def hand_back(self) -> None:
        """Its conductor stopped between two tasks."""
        self.state = {"running": "pending", "pausing": "paused"}.get(self.state, self.state)
        self.owner = None
        self.claims -= 1

    def keep(self, retries_left: int, now_s: int, later_s: int) -> bool:
        """It failed, and is to keep what it did."""
        if self.state not in LIVE:
            return False
        again = retries_left > 0 and self.state == "running"
        self.kept = True
        self.rest("failed", now_s)
        if again:
            self.wait(later_s)
            self.claims, self.retries_left = 0, retries_left - 1
        return True

    def reverted(self, retries_left: int, now_s: int, later_s: int) -> None:
        """Everything that began was reverted."""
        if self.state == "reverting" and retries_left > 0:
            self.begin_attempt(later_s)
            self.retries_left = retries_left - 1
            return
        self.kept = self.cleanup = False
        self.rest({"reverting": "failed", "cancelling": "cancelled"}[self.state], now_s)

    def revert_failed(self, now_s: int) -> None:
        """A revert did not work."""
        self.kept = self.cleanup = self.deleting = False
        self.rest("revert_failed", now_s)

    def give_up(self, now_s: int) -> None:
        """Its flow cannot run."""
        if self.has_effects:
            self.revert_failed(now_s)
        else:
            self.turn_back()
            self.reverted(0, now_s, now_s)

    @property
    def is_gone(self) -> bool:
        """Whether it was to go when it is cancelled, and is."""
        return self.deleting and self.state == "cancelled"
