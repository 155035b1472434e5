"""What a task may give to TaskFlow: results that are JSON, errors that can be stored.

TaskFlow would take some of the others on SQLite, change them silently, or go round for ever with a job
whose error it cannot store. Here the same is refused on every database, as a clear error of the task.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import Any, Final

from taskflow import exceptions
from taskflow.types.failure import Failure

from flows.errors import TaskError, Unstorable

MAX_DEPTH: Final = 100
_MAX_MESSAGE = 10_000
_MAX_ARGUMENTS = 20_000  # bytes of JSON, of an error's arguments
_MAX_CAUSES = 4  # TaskFlow stores each with all of its own: their number doubles with every one more
_MAX_BITS = 10_000  # of a whole number: Python itself refuses to read one of 4,300 digits
_MAX_DETAIL = 1_000
_MAX_DETAILS = 50  # names in one report
_MAX_NAME = 100
# What these mean to a conductor is not a task's to say: TaskFlow's own would give the job back for ever.
_TASKFLOWS_OWN = (exceptions.TaskFlowException, exceptions.WrappedFailure)


class NotPlain(ValueError):
    """Data is not JSON; the message says where and why."""


class NoRoom(NotPlain):
    """It is larger than allowed."""


def check_result(task: str, result: object, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """`result` as JSON gives it back (a tuple becomes a list); `Unstorable` if it is not JSON or too large."""
    try:
        return plain(result, "result", max_bytes, max_depth)
    except NoRoom:
        raise Unstorable(
            f"task {task}: its result takes more than the {max_bytes:,} bytes that are allowed "
            "(COUNTERMAND_MAX_RESULT_BYTES): put it in a file and return the file's name"
        ) from None
    except NotPlain as problem:
        raise Unstorable(
            f"task {task}: its {problem}: return plain data (str, int, float, bool, None, list, dict) "
            "and put anything else in a file"
        ) from None


def plain(value: object, where: str, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """`value` as JSON gives it back, and no more of it than `max_bytes`. `NotPlain` calls it `where`."""
    copied = _Copy(max_bytes, max_depth).of(value, where, 0)
    if len(json.dumps(copied)) > max_bytes:
        raise NoRoom(f"{where} takes more than {max_bytes:,} bytes")
    return copied


class _Copy:
    """Copies plain data as long as there is room for it: a list may hold itself a thousand times over."""

    def __init__(self, room: int, max_depth: int) -> None:
        self._room = room  # bytes of JSON: each value takes one at least
        self._max_depth = max_depth

    def of(self, value: object, where: str, depth: int) -> Any:
        self._take(1, where)
        if depth > self._max_depth:
            most = f"{self._max_depth} (COUNTERMAND_MAX_DEPTH)"
            raise NotPlain(f"{where[:100]}… is nested deeper than {most}")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value, where)
        if isinstance(value, int | float):
            return _number(value, where)
        if isinstance(value, list | tuple):
            return [self.of(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {
                self._key(key, where): self.of(item, f"{where}.{key[:40]}", depth + 1)
                for key, item in value.items()
            }
        raise NotPlain(f"{where} is a {type(value).__name__}, not JSON")

    def _key(self, key: object, where: str) -> str:
        if not isinstance(key, str):
            raise NotPlain(f"{where} has a key that is a {type(key).__name__}, but keys must be text")
        return self._text(key, f"a key of {where}")

    def _text(self, value: str, where: str) -> str:
        self._take(len(value), where)
        # The text itself, as JSON has it, and not what an Enum's own __str__ makes of it.
        text = str.__str__(value)
        if "\0" in text:
            raise NotPlain(f"{where} holds a NUL character")
        if not _is_unicode(text):
            raise NotPlain(f"{where} holds half of a surrogate pair")
        return text

    def _take(self, size: int, where: str) -> None:
        self._room -= size
        if self._room < 0:
            raise NoRoom(f"{where} takes too many bytes")


def _number(value: float, where: str) -> float:
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise NotPlain(f"{where} is a number of thousands of digits")
        return int.__int__(value)
    if not math.isfinite(value):
        raise NotPlain(f"{where} is {float.__repr__(value)}, which JSON does not have")
    return float.__float__(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_detail(detail: dict[str, Any]) -> dict[str, Any]:
    """What a task says of its progress, for people: what is not JSON, or too long, is put in words."""
    shown = itertools.islice(detail.items(), _MAX_DETAILS)
    return {_words(name, _MAX_NAME): _plain_or_words(value) for name, value in shown}


def _plain_or_words(value: object) -> Any:
    try:
        return plain(value, "detail", _MAX_DETAIL)
    except NotPlain:
        pass
    try:
        return _words(str(value), _MAX_DETAIL)
    except Exception:  # noqa: BLE001 - whatever a foreign __str__ raises; Python's own of what nests too deeply
        return f"({type(value).__name__} that cannot be shown)"


def _words(text: str, most: int) -> str:
    """`text` as every database stores it."""
    stored = text[: most + 1].encode(errors="replace").decode().replace("\0", "?")
    return stored if len(stored) <= most else f"{stored[:most]}…"


def storable(error: BaseException) -> Exception:
    """`error`, or words for it, in a form that TaskFlow stores and that lets it revert.

    TaskFlow cannot take an error whose `str` fails or whose arguments are not JSON, nor one that has a
    BaseException anywhere in its chain of causes (an expired `asyncio.timeout()` has). The chain is cut
    there, in place; and where it grows long. Raise the result `from cause_of(it)`.
    """
    kept = _alone(error)
    try:
        _cut_chain(kept)
        # Seen as TaskFlow will see it: that finds every strange exception that nobody thought of.
        json.dumps(Failure.from_exception(kept).to_dict())
        repr(kept)
    except BaseException:  # noqa: BLE001 - whatever a foreign exception's own methods raise
        return TaskError(said_of(error))
    return kept


def cause_of(error: BaseException) -> BaseException | None:
    """What `error` was raised from, or while handling."""
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def said_of(error: BaseException) -> str:
    """The type and message of `error`, as every database stores them."""
    name = type(error).__name__
    try:
        said = str(error)
    except BaseException:  # noqa: BLE001 - whatever a foreign __str__ raises
        return f"{name} (its message cannot be read)"
    return f"{name}: {_words(said, _MAX_MESSAGE)}" if said else name


def _cut_chain(error: Exception) -> None:
    link: BaseException = error
    seen = {id(error)}
    while (cause := cause_of(link)) is not None:
        if len(seen) > _MAX_CAUSES or id(cause) in seen or _alone(cause) is not cause:
            link.__cause__ = link.__context__ = None
            link.__suppress_context__ = True
            return
        seen.add(id(cause))
        link = cause


def _alone(error: BaseException) -> Exception:
    """`error` without regard to its causes, or words for it."""
    in_words = TaskError(said_of(error))
    if not isinstance(error, Exception) or isinstance(error, _TASKFLOWS_OWN):
        return in_words
    try:
        return error if _is_storable(error) else in_words
    except BaseException:  # noqa: BLE001 - whatever a foreign exception's own methods raise
        return in_words


def _is_storable(error: Exception) -> bool:
    said = str(error)
    if len(said) > _MAX_MESSAGE or "\0" in said or not _is_unicode(said):
        return False
    if not _is_plain(error.args):
        error.args = (said,)
    return str(error) == said


def _is_plain(arguments: tuple[object, ...]) -> bool:
    try:
        plain(arguments, "arguments", _MAX_ARGUMENTS)
    except NotPlain:
        return False
    return True
