"""How long to wait before an attempt is retried by itself. Pure."""

from __future__ import annotations

from typing import Final

_LONGEST_S: Final = 24 * 3600.0
_SPREAD: Final = 0.1


def retry_delay_s(interval_s: float, retry: int, chance: float) -> float:
    """Seconds before the `retry`-th automatic retry (from 1): twice as long each time, a day at most.

    `chance`, from 0 to 1, adds up to a tenth: jobs that failed together do not come back together.
    """
    doubled = interval_s * 2.0 ** min(retry - 1, 60)
    return float(min(doubled, _LONGEST_S) * (1 + _SPREAD * chance))
