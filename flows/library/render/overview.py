"""How far all scenes are together, for people. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_MOST_NAMED: Final = 5


@dataclass
class Overview:
    """Of so many scenes."""

    total: int
    _states: dict[int, str] = field(default_factory=dict)
    _shares: dict[int, float] = field(default_factory=dict)

    def note(self, number: int, state: str, share: float) -> None:
        """So far is this scene now."""
        self._states[number] = state
        self._shares[number] = share

    @property
    def done(self) -> int:
        """How many are there."""
        return sum(state == "done" for state in self._states.values())

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return sum(self._shares.values()) / self.total

    @property
    def now(self) -> str:
        """`scene 2 rendering 40%, scene 3 queued`"""
        told = [self._told(number, state) for number, state in sorted(self._states.items()) if state != "done"]
        return in_short(told)

    def _told(self, number: int, state: str) -> str:
        said = f"scene {number} {state}"
        return f"{said} {self._shares[number]:.0%}" if state == "rendering" else said


def in_short(told: list[str]) -> str:
    """`a, b, c, d, e, and 3 more`"""
    more = [f"and {len(told) - _MOST_NAMED} more"] if len(told) > _MOST_NAMED else []
    return ", ".join([*told[:_MOST_NAMED], *more])
