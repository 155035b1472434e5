"""Runs a coroutine function's work in a loop of its own, and cancels it at its `await` when the flag goes up."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from flows.cancel_token import CancelToken
from flows.errors import Interrupted


def run_coroutine(
    coroutine: Coroutine[Any, Any, Any], token: CancelToken | None, interrupting: Callable[[], None] | None = None
) -> Any:
    """Run the coroutine to its end, in this thread; without a token, to its end in any case.

    When the token is set the coroutine is cancelled once, after `interrupting` was called: its `finally` and
    `async with` blocks run to their ends, however long they take. Then what is left in the loop is cancelled,
    async generators are closed, and the loop is closed with nothing pending. Raises `Interrupted` if the cancel
    was what ended it.
    """
    stop = _Stop(interrupting)
    try:
        with asyncio.Runner() as runner:
            return runner.run(_cancellable(coroutine, token, stop))
    except asyncio.CancelledError:
        if not stop.sent or token is None:
            raise
    finally:
        coroutine.close()
    raise Interrupted(token.cause)


class _Stop:
    """Cancels a task of a loop from another thread."""

    def __init__(self, interrupting: Callable[[], None] | None) -> None:
        self._interrupting = interrupting
        self.sent = False

    def send(self, loop: asyncio.AbstractEventLoop, me: asyncio.Task[Any]) -> None:
        self.sent = True
        if self._interrupting is not None:
            self._interrupting()
        # A loop that is closed has ended by itself: the check after `execute` decides.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(me.cancel)


async def _cancellable(coroutine: Coroutine[Any, Any, Any], token: CancelToken | None, stop: _Stop) -> Any:
    me = asyncio.current_task()
    if token is None or me is None:
        return await coroutine
    # Inside of the running task: before, there is nothing to cancel, and after, no loop.
    key = token.subscribe(functools.partial(stop.send, asyncio.get_running_loop(), me))
    try:
        return await coroutine
    finally:
        token.unsubscribe(key)
