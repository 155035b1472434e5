"""The threads that all parallel flows of a conductor share, as one job sees them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from typing import Any


class TaskPool(futures.Executor):
    """Submits to a shared executor, and knows which tasks of this job are not done yet.

    A TaskFlow engine with an executor of its own costs a second at its end; a shared one cannot be asked
    whether this job's tasks have ended.
    """

    def __init__(self, threads: futures.Executor) -> None:
        self._threads = threads
        self._open: set[futures.Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """Run `fn` in one of the shared threads."""
        future = self._threads.submit(fn, *args, **kwargs)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def wait(self) -> None:
        """Block until nothing of this job runs any more."""
        for future in tuple(self._open):
            future.cancel()
        futures.wait(tuple(self._open))
