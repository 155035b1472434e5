"""How far a collection is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tally:
    """Counts of symbols, and of the rows stored for them."""

    total: int
    done: int
    failures: int  # among the done
    rows: int

    @property
    def share(self) -> float:
        return self.done / self.total

    def stored(self, rows: int) -> Tally:
        """One symbol more, with so many rows."""
        return replace(self, done=self.done + 1, rows=self.rows + rows)

    def skipped(self) -> Tally:
        """One symbol more, which could not be had."""
        return replace(self, done=self.done + 1, failures=self.failures + 1)
