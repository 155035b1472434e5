"""Durations as requests give them: `90`, `30s`, `5m`, `1h30m`, or a number of seconds in JSON. Pure."""

from __future__ import annotations

from typing import Final

from jobboard.settings import parse_duration

LONGEST_S: Final = 10 * 366 * 24 * 3600.0


def duration(value: object) -> float:
    """Seconds. `ValueError` says what is wanted."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("wants a duration like 90, 30s, 5m or 1h30m")  # noqa: TRY004 - what parse_duration raises
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
    except OverflowError:
        seconds = LONGEST_S + 1
    if not 0 <= seconds <= LONGEST_S:
        raise ValueError("wants a duration from 0 to ten years")
    return seconds
