"""Ids of jobs: 26 lower-case characters that sort by time of posting.

The layout is ULID's (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, Crockford's
base 32. Within one process ids of the same millisecond still sort in the order they were made.
"""

from __future__ import annotations

import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

ID_LENGTH: Final = 26
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SKEW: Final = timedelta(hours=1)
"""Between a poster's clock and the database's, at most."""

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A new id, greater than all that this process made before."""
    global _last  # noqa: PLW0603 - the one counter that keeps ids of a process in order
    fresh = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = fresh if fresh > _last else _last + 1
        number = _last
    return _text(number)


def first_id(moment: datetime, skew: timedelta) -> str:
    """No id that is made at this moment or later is less, by a clock that is behind by `skew` at most."""
    milliseconds = max(0, (moment - _EPOCH - skew) // timedelta(milliseconds=1))
    return _text(milliseconds << _RANDOM_BITS)


def _text(number: int) -> str:
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))
