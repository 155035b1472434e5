"""Does many things at once, but not too many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def together(work: Iterable[Callable[[], Awaitable[None]]], at_once: int) -> None:
    """Do all of it, so many at once, begun in this order. The first error ends the others, and is raised as it is.

    When it returns, or raises, nothing of it is left pending.
    """
    room = asyncio.Semaphore(at_once)

    async def do(one: Callable[[], Awaitable[None]]) -> None:
        async with room:
            await one()

    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(do(one))
    except BaseExceptionGroup as errors:
        # Also an interruption, where a look at the flag came before the cancel of the whole.
        raise errors.exceptions[0] from None
