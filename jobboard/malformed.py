"""Stored values that cannot be read: what a foreign program, a hand or half a backup has left.

Reading one gives a `Malformed` in its place. To raise there would hide every other row that is read with it;
`jobboard.faults` says what it means for its own.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, NoReturn

_SHOWN: Final = 40


@dataclass(frozen=True)
class Malformed:
    """Stands where a value should be."""

    why: str


def read_json(text: str | bytes | float) -> Any:
    """What stored JSON says. Strict: what could not be written again is none."""
    if isinstance(text, int | float):  # SQLite makes a number of text that looks like one
        return text
    try:
        return _DECODER.decode(text if isinstance(text, str) else text.decode())
    except RecursionError:
        return Malformed("nested too deeply")
    except ValueError as error:  # also of bytes that are no UTF-8, and an integer of thousands of digits
        return Malformed(f"no JSON: {str(error).splitlines()[0]}: {shown(text)}")


def shown(value: object) -> str:
    """A value that is wrong, in a few characters."""
    said = repr(value)
    return said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{shown(text)} is too large for a number")
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
