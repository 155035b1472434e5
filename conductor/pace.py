"""How many jobs a conductor claims at a time."""

from __future__ import annotations

import math
from typing import Final

SHORT_S: Final = 0.25
"""A run that takes no longer is short: no job waits longer for a slot while another conductor might have one."""

_MOST_AHEAD: Final = 3  # times the slots
_WEIGHT: Final = 0.2  # of the last run in the mean


class Pace:
    """Short jobs are claimed before there are slots for them: as many as get one within `SHORT_S`.

    One request then claims for all of them, and no slot waits for it.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._usual_s = math.inf

    def note(self, took_s: float) -> None:
        """A run has ended that took so long. Not thread-safe."""
        if math.isinf(self._usual_s):
            self._usual_s = took_s
        self._usual_s += _WEIGHT * (took_s - self._usual_s)

    def room(self, runs: int) -> int:
        """How many jobs to claim while so many run, or wait for a slot."""
        if self._usual_s > SHORT_S:
            return max(0, self._slots - runs)
        ahead = int(self._slots * min(_MOST_AHEAD, SHORT_S / max(self._usual_s, 0.001)))
        return self._slots + ahead - runs if runs <= self._slots else 0
