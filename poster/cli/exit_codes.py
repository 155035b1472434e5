"""What the command `poster` ends with. Scripts rely on these."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

DONE: Final = 0  # done as asked; an awaited job completed
JOB_FAILED: Final = 1  # the job failed, or a revert did
WRONG_USAGE: Final = 2  # wrong usage, wrong arguments, an ambiguous prefix, a setting without a usable value
NOT_FOUND: Final = 3  # no such job, no such flow
UNREACHABLE: Final = 4  # a server cannot be reached, or cannot be used by this program
REFUSED: Final = 5  # the job's state does not allow it
JOB_CANCELLED: Final = 6  # the awaited job was cancelled; what `cancel --wait` wants, so 0 there
WAIT_TIMED_OUT: Final = 124  # as of `timeout`: the jobs go on
INTERRUPTED: Final = 130  # Ctrl-C, as of a shell: the jobs go on
OUTPUT_CLOSED: Final = 141  # who read our output went away (`poster list | head`), as a shell tells of any program


def worst(codes: Iterable[int]) -> int:
    """One code for many jobs."""
    return max(codes, default=DONE)
