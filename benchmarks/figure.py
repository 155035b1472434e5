"""What was measured: numbers with a name and a unit, in the order in which they were read. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """One number. All readings of one key are of one unit."""

    key: str  # what it is, for the program: `drained:celery-threads`
    what: str  # and for people
    unit: str
    value: float


@dataclass(frozen=True)
class Figure:
    """All readings of one key. Where there are rounds, the n-th is of the n-th round."""

    key: str
    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Half of the readings are no greater."""
        return statistics.median(self.values)


def collected(readings: Iterable[Reading]) -> dict[str, Figure]:
    """The figures that readings make, by key, in the order of their first readings."""
    figures: dict[str, Figure] = {}
    for one in readings:
        before = figures[one.key].values if one.key in figures else ()
        figures[one.key] = Figure(one.key, one.what, one.unit, (*before, one.value))
    return figures


def ratios(above: Figure, below: Figure) -> tuple[float, ...]:
    """One figure against another, round by round. `ValueError` if they do not have the same rounds."""
    return tuple(a / b for a, b in zip(above.values, below.values, strict=True))


def percentile(values: Iterable[float], share: float) -> float:
    """The least of the values that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> str:
    """The least and the most, as people write them."""
    return f"{short(min(values))} to {short(max(values))}"


def short(value: float) -> str:
    """A number with three digits that count, and none of them lost before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
