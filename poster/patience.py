"""Bears with a database that is away for a moment: one that is restarted must not end who waits for a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from jobboard.errors import Unreachable

Answer = TypeVar("Answer")

PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.2


def patiently(ask: Callable[[], Answer], for_s: float = PATIENCE_S) -> Answer:
    """What `ask` answers, asked again while the database is not reached; `Unreachable` after `for_s`.

    Only for what may be asked twice.
    """
    deadline = time.monotonic() + for_s
    while True:
        try:
            return ask()
        except Unreachable:
            if time.monotonic() + _PAUSE_S > deadline:
                raise
            time.sleep(_PAUSE_S)
