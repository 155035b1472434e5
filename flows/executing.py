"""Which tasks of a job are inside of `execute`, in which threads, and where there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flows.frames import frames
from flows.stack import Stack, frames_awaited, frames_from, stack_of


@dataclass
class _Place:
    thread: int
    coroutine: Any = None  # whose loop the thread turns, for an `async def execute`


class Executing:
    """The tasks of one run that are inside of `execute`. Thread-safe."""

    def __init__(self) -> None:
        # Guards the places. Held while a stack is taken, so that the thread is still inside of the task then.
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}

    @contextmanager
    def inside(self, task: str) -> Iterator[None]:
        """This thread is inside of the task's `execute` for the time of the block."""
        with self._lock:
            outer = self._places.get(task)
            self._places[task] = _Place(threading.get_ident())
        try:
            yield
        finally:
            with self._lock:
                if outer is None:
                    del self._places[task]
                else:
                    self._places[task] = outer

    def awaits(self, task: str, coroutine: Any) -> None:
        """The task's work is this coroutine, which the task's thread runs."""
        with self._lock:
            if task in self._places:
                self._places[task].coroutine = coroutine

    def stacks(self) -> dict[str, Stack]:
        """Where each task is that is inside now."""
        with self._lock:
            if not self._places:
                return {}
            at = frames()
            taken = {
                task: (frames_from(at.get(place.thread)), list(frames_awaited(place.coroutine)))
                for task, place in self._places.items()
            }
        stacks = {task: stack_of(*found) for task, found in taken.items()}
        return {task: stack for task, stack in stacks.items() if stack is not None}
