"""The clock by which leases are counted on our side."""

from __future__ import annotations

import time
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps


def now_s() -> float:
    """Seconds since some moment in the past; never set back."""
    return time.clock_gettime(_CLOCK)
