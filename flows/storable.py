"""What a task may give to TaskFlow: results that are JSON, errors that can be stored.

TaskFlow would take some of the others on SQLite, change them silently, or go round for ever with a job
whose error it cannot store. Here the same is refused on every database, as a clear error of the task.
"""

from __future__ import annotations

import json
import math
from typing import Any

from flows.errors import TaskError, Unstorable

MAX_DEPTH = 100
_MAX_MESSAGE = 10_000
_PLAIN = (str, bool, int, type(None))


def check_result(task: str, result: object, max_bytes: int) -> Any:
    """`result` as JSON gives it back (a tuple becomes a list); `Unstorable` if it is not JSON or too large."""
    try:
        checked = _checked(result, "result", 0)
        size = len(json.dumps(checked))
    except (TypeError, ValueError) as error:
        raise Unstorable(
            f"task {task}: its {error}: return plain data (str, int, float, bool, None, list, dict) "
            "and put anything else in a file"
        ) from None
    if size > max_bytes:
        raise Unstorable(
            f"task {task}: its result takes {size:,} bytes, {max_bytes:,} are allowed: "
            "put it in a file and return the file's name"
        )
    return checked


def _checked(value: object, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"{where[:100]}… is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        return _text(value, where)
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which JSON does not have")
        return value
    if isinstance(value, list | tuple):
        return [_checked(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {_key(key, where): _checked(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    raise TypeError(f"{where} is a {type(value).__name__}, not JSON")


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}, but keys must be text")
    return _text(key, where)


def _text(value: str, where: str) -> str:
    if "\0" in value:
        raise ValueError(f"{where} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} holds half of a surrogate pair") from None
    return str(value)


def storable(error: BaseException) -> Exception:
    """`error`, or words for it, in a form that TaskFlow stores and that lets it revert.

    TaskFlow cannot take an error whose `str` fails or whose arguments are not JSON, nor one that has a
    BaseException anywhere in its chain of causes (an expired `asyncio.timeout()` has). The chain is cut
    there, in place.
    """
    kept = _storable_alone(error)
    link: BaseException = kept
    seen = {id(kept)}
    while cause := link.__cause__ or (None if link.__suppress_context__ else link.__context__):
        if id(cause) in seen or _storable_alone(cause) is not cause:
            link.__cause__ = link.__context__ = None
            link.__suppress_context__ = True
            break
        seen.add(id(cause))
        link = cause
    return kept


def _storable_alone(error: BaseException) -> Exception:
    name = type(error).__name__
    try:
        said = _text(str(error), "message")
    except Exception:  # noqa: BLE001 - whatever a foreign __str__ raises
        return TaskError(f"{name} (its message cannot be stored)")
    if not isinstance(error, Exception):
        return TaskError(f"{name}: {said}" if said else name)
    if len(said) > _MAX_MESSAGE:
        return TaskError(f"{name}: {said[:_MAX_MESSAGE]}…")
    if not _plain(error.args):
        error.args = (said,)
        if str(error) != said:
            return TaskError(f"{name}: {said}")
    return error


def _plain(arguments: tuple[object, ...]) -> bool:
    try:
        _checked(arguments, "arguments", 0)
    except (TypeError, ValueError):
        return False
    return True
