"""Waiting for something to become true, with a deadline. Tests never sleep for a guessed time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 0.01
_SHARE = float(os.environ.get("TESTS_PATIENCE", "1"))

T = TypeVar("T")


def patience(seconds: float) -> float:
    """How long to wait at most: a part of it where tests are run to see them fail (tests/proofs)."""
    return seconds * _SHARE


def until(condition: Callable[[], T], timeout: float = 60, what: str = "") -> T:
    """Ask `condition` until its answer is true, and return it. `AssertionError` names what never came."""
    timeout = patience(timeout)
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what or condition}; the last answer was {answer!r}")
        time.sleep(_POLL_S)
    return answer
