"""Where threads are in their Python code."""

from __future__ import annotations

import gc
import sys
import threading
from types import FrameType
from typing import Final

_LOCK: Final = threading.Lock()


def frames() -> dict[int, FrameType]:
    """The innermost frame of each thread that runs Python code, by the thread's `ident`.

    `sys._current_frames` holds a lock of the interpreter while it makes objects. A garbage collection that begins
    then, and frees a `threading.local`, wants the same lock: in CPython 3.11 the process stands still for ever. So
    none may begin.
    """
    with _LOCK:
        collecting = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()  # noqa: SLF001 - public in all but its name
        finally:
            if collecting:
                gc.enable()
