"""JSON without its traps: no name twice in an object, no NaN, nothing after the document. Pure."""

from __future__ import annotations

import json
from typing import Any

from poster.errors import InvalidJson


def loads(text: str) -> Any:
    """What `text` says. `InvalidJson` tells where it is wrong."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if "\n" in text.strip() else ""
        raise InvalidJson(f"not JSON: {error.msg} ({place}column {error.colno})") from None
    except RecursionError:
        raise InvalidJson("not usable JSON: nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits
        raise InvalidJson(f"not usable JSON: {error}") from None


def loads_object(text: str) -> dict[str, Any]:
    """The same, of a text that has to be one JSON object."""
    value = loads(text)
    if not isinstance(value, dict):
        raise InvalidJson('wants a JSON object: {"name": value, …}')
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InvalidJson(f"given twice in one object: {', '.join(twice)}")
    return found


def _no_constant(text: str) -> Any:
    raise InvalidJson(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise InvalidJson(f"{text} is too large for a number")
    return number
