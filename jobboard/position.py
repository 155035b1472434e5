"""Where a reader of the history stands. Pure.

Lines get their numbers when they are written and are seen when that is committed: on PostgreSQL a line may be seen
after one with a greater number. So a reader knows, beside the last line it has had, which before it were missing;
none is lost then, nor read twice, also when the reading goes on elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

_MOST: Final = 50  # ranges that are missing
_LARGEST: Final = 2**63 - 1
_FORM: Final = re.compile(r"\d{1,19}(,\d{1,19}-\d{1,19})*", re.ASCII)


@dataclass(frozen=True)
class Position:
    """All lines up to `last` have been had but the `missing` ones, which are in order and apart."""

    last: int = 0
    missing: tuple[range, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` made. `ValueError` says what is wanted."""
        if not _FORM.fullmatch(text):
            raise ValueError("wants the id of an event, as the stream gave it")
        last, *ranges = text.split(",")
        missing = tuple(
            range(int(start), int(end) + 1) for start, _, end in (one.partition("-") for one in ranges)
        )
        bounds = [number for one in missing for number in (one.start, one.stop)]
        if bounds != sorted(set(bounds)) or max([int(last), *bounds]) > _LARGEST or len(missing) > _MOST:
            raise ValueError("wants the id of an event, as the stream gave it")
        return cls(int(last), missing)

    def __str__(self) -> str:
        """`105`, or with missing ones `105,98-100,102-102`."""
        return ",".join([str(self.last), *(f"{one.start}-{one.stop - 1}" for one in self.missing)])

    def has_had(self, line: int) -> bool:
        """Whether the reader had this one."""
        return line <= self.last and not any(line in one for one in self.missing)

    def having(self, line: int) -> Position:
        """The position when this one has been had, too."""
        if line > self.last:
            skipped = range(self.last + 1, line)
            return Position(line, (*self.missing, skipped)[-_MOST:] if skipped else self.missing)
        return Position(self.last, tuple(_without(self.missing, line)))

    def at(self, line: int) -> Position:
        """Where the reader stood when this was the last line it had had."""
        before = (range(one.start, min(one.stop, line)) for one in self.missing)
        return Position(line, tuple(one for one in before if one))

    def giving_up_before(self, line: int) -> Position:
        """The position when what is missing before this one will not come any more: it was rolled back."""
        if not self.missing or self.missing[0].start >= line:
            return self
        kept = (range(max(one.start, line), one.stop) for one in self.missing)
        return Position(self.last, tuple(one for one in kept if one))


def _without(ranges: Iterable[range], line: int) -> Iterable[range]:
    for one in ranges:
        if line not in one:
            yield one
            continue
        yield from (part for part in (range(one.start, line), range(line + 1, one.stop)) if part)
