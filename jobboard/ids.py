"""Ids of jobs: 26 lower-case characters that sort by time of posting.

The layout is ULID's (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, Crockford's
base 32. Within one process ids of the same millisecond still sort in the order they were made.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

ID_LENGTH: Final = 26
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A new id, greater than all that this process made before."""
    global _last  # noqa: PLW0603 - the one counter that keeps ids of a process in order
    fresh = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = fresh if fresh > _last else _last + 1
        number = _last
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))
