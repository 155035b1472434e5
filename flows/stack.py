"""Where a thread is, in the words of a traceback, from the task's own code on."""

from __future__ import annotations

import itertools
import sys
import textwrap
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import FrameType
from typing import Any, Final

Frames = Sequence[tuple[FrameType, int]]
"""Frames and the numbers of their lines, the outermost first."""

_KEPT_FRAMES: Final = 20  # the innermost
_KEPT_CHARACTERS: Final = 4000
# Between the wrapper of `execute` and the task's own code.
_BETWEEN: Final = frozenset({"asyncio", "concurrent", "contextvars", "selectors", "threading"})
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class Stack:
    """Where some code is."""

    where: str  # the innermost line of people's own: `work.py:12 in execute`
    text: str  # lines as in a traceback, the innermost last


def frames_from(innermost: FrameType | None) -> Frames:
    """The frames of a thread that is at `innermost`. A thread that runs meanwhile may give a blurred picture."""
    return list(traceback.walk_stack(innermost))[::-1] if innermost is not None else []


def frames_awaited(coroutine: Any) -> Iterator[tuple[FrameType, int]]:
    """The frames of a coroutine that is suspended, and of those that it awaits."""
    while coroutine is not None:
        frame = _part(coroutine, "frame")
        if frame is not None:
            yield frame, frame.f_lineno
        coroutine = _part(coroutine, "await") or _part(coroutine, "yieldfrom")


def stack_of(thread: Frames, coroutine: Iterable[tuple[FrameType, int]] = ()) -> Stack | None:
    """The stack of a task's own code.

    Of its `coroutine` when the thread only turns the coroutine's loop; of the whole thread when nothing of the
    task's own is there. None for a thread that has no frames.
    """
    frames = _own(thread) or list(coroutine) or thread
    return Stack(_where(frames), _text(frames)) if frames else None


def _part(awaitable: Any, name: str) -> Any:
    """An attribute of a coroutine, a generator or an asynchronous generator; other awaitables show nothing."""
    return next(filter(None, (getattr(awaitable, f"{kind}_{name}", None) for kind in ("cr", "gi", "ag"))), None)


def _own(frames: Frames) -> Frames:
    inside = itertools.dropwhile(lambda at: not _is_ours(at[0]), frames)
    return list(itertools.dropwhile(lambda at: _is_ours(at[0]) or _top(at[0]) in _BETWEEN, inside))


def _where(frames: Frames) -> str:
    frame, line = next((at for at in reversed(frames) if not _is_foreign(at[0])), frames[0])
    return _plain(f"{PurePath(frame.f_code.co_filename).name}:{line} in {frame.f_code.co_name}")


def _text(frames: Frames) -> str:
    entries = traceback.StackSummary.extract(iter(frames[-_KEPT_FRAMES:])).format()
    while len(entries) > 1 and sum(map(len, entries)) > _KEPT_CHARACTERS:
        del entries[0]
    return _plain(textwrap.dedent("".join(entries)).rstrip()[:_KEPT_CHARACTERS])


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _top(frame: FrameType) -> str:
    return _module(frame).partition(".")[0]


def _is_ours(frame: FrameType) -> bool:
    """Whether it is of what stands round a task's code. The flows that come along are as anyone's."""
    return _top(frame) == "flows" and not _module(frame).startswith("flows.library.")


def _is_foreign(frame: FrameType) -> bool:
    """Whether it is of a library, which people will not look into first."""
    installed = _INSTALLED.intersection(PurePath(frame.f_code.co_filename).parts)
    return bool(installed) or _is_ours(frame) or _top(frame) in sys.stdlib_module_names


def _plain(text: str) -> str:
    """Text that every database stores: file names can hold anything."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
