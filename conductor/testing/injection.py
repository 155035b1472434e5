"""Has things befall a job in this process: at moments that are found by what its tasks do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conductor import run as run_module
from conductor.testing.moments import Act, At, Moment
from flows import border
from flows.cancel_token import CancelToken
from flows.run_context import running_task


class Injection:
    """Waits for one moment after the other. What comes then is called in the task's thread."""

    def __init__(self, moments: Sequence[Moment], acts: Mapping[Act, Callable[[Moment], None]]) -> None:
        self.left = list(moments)
        self.looks: Counter[str] = Counter()
        """How often each task has looked whether it is to stop."""
        self.token: CancelToken = CancelToken()
        """Of the run that began last."""
        self._acts = acts

    def install(self) -> None:
        """For all jobs that this process runs from now on. There is no way back: the process is for this only."""
        border.execute = self._around(border.execute, "begin", "end")
        border.revert = self._around(border.revert, "revert", "reverted")
        setattr(run_module, "CancelToken", self._new_token)  # noqa: B010 - it is no name that it gives out

    def _around(self, real: Callable[..., Any], before: At, after: At) -> Callable[..., Any]:
        def watched(task: Any, *given: Any) -> Any:
            if running_task() is not None:  # super().execute()
                return real(task, *given)
            self._reach(task.name, before)
            result = real(task, *given)
            self._reach(task.name, after)
            return result

        return watched

    def _new_token(self) -> CancelToken:
        self.token = WatchedToken(self.look)
        return self.token

    def look(self) -> None:
        """A task looks whether it is to stop."""
        mark = running_task()
        if mark is not None and not mark.reverting:
            self.looks[mark.task] += 1
            self._reach(mark.task, self.looks[mark.task])

    def _reach(self, task: str, at: At) -> None:
        if self.left and (self.left[0].task, self.left[0].at) == (task, at):
            moment = self.left.pop(0)
            self._acts[moment.act](moment)


class WatchedToken(CancelToken):
    """A flag that tells who looks at it."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._is_set = False
        self._look = look
        self._own = threading.local()  # a look of the token's own is none: its lock is held then
        super().__init__()

    @property
    def is_set(self) -> bool:
        """Whether it is up."""
        if not getattr(self._own, "busy", False):
            self._look()
        return self._is_set

    @is_set.setter
    def is_set(self, value: bool) -> None:
        self._is_set = value

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until it is up."""
        self._look()
        return super().wait(timeout_s)

    def subscribe(self, call: Callable[[], None]) -> int:
        """Have `call` called once, when it goes up."""
        self._look()
        self._own.busy = True
        try:
            return super().subscribe(call)
        finally:
            self._own.busy = False
