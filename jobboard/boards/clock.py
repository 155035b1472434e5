"""The clock by which leases are counted on our side."""

from __future__ import annotations

import time
from typing import Final

GIVEN_UP: Final = 0.9
"""Of a lease that cannot be renewed: the rest is for those who hold something by it to let go in time."""

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps


def now_s() -> float:
    """Seconds since some moment in the past; never set back."""
    return time.clock_gettime(_CLOCK)
