"""The secrets of a job, once they are looked up: replaced in whatever leaves its tasks.

What a task returns, raises, logs, prints and reports is stored and shown; so each known value in it is replaced
by `MASK`. Found is a value as it stands, one of its longer lines, and either of them as `repr`, JSON and URLs
write it. Not found is what a task has cut, encoded or encrypted, nor a value of less than four characters.
"""

from __future__ import annotations

import json
import re
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from flows.errors import TaskError
from flows.storable import cause_of, said_of

MASK: Final = "********"
_LEAST: Final = 4  # characters: anything shorter is found by chance in what is no secret
_LEAST_OF_A_LINE: Final = 8


class Secrets:
    """Known values, never shown. Immutable; false when there are none."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        forms = sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None
        if forms:
            _known.add(self)

    def __bool__(self) -> bool:
        return self._pattern is not None

    def text(self, text: str) -> str:
        """`text` with each secret replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def plain(self, value: Any) -> Any:
        """Plain data with each secret in its texts and keys replaced. What is no plain data stays."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self._pattern.sub(MASK, value)
        if isinstance(value, list | tuple):
            return [self.plain(item) for item in value]
        if isinstance(value, dict):
            return {self.plain(name): self.plain(item) for name, item in value.items()}
        return self._number(value)

    def error(self, error: Exception) -> Exception:
        """`error`, which TaskFlow can store, with each secret replaced, in place: in its causes and notes, too.

        One whose message does not follow its arguments becomes a `TaskError` that says the same in words.
        """
        if self._pattern is None:
            return error
        kept: Exception = self._alone(error)
        link: BaseException = kept
        seen = {id(kept)}
        while (cause := cause_of(link)) is not None and id(cause) not in seen:
            seen.add(id(cause))
            masked = self._alone(cause)
            if masked is not cause:
                link.__cause__ = masked
            link = masked
        return kept

    def _alone(self, error: Any) -> Any:
        """`error` without regard to its causes, or words for it."""
        if notes := getattr(error, "__notes__", None):
            error.__notes__ = [self.text(str(note)) for note in notes]
        error.args = tuple(self.plain(list(error.args)))
        said = said_of(error)
        if said == self.text(said):
            return error
        words = TaskError(self.text(said)).with_traceback(error.__traceback__)
        words.__cause__ = cause_of(error)
        return words

    def _number(self, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return MASK if is_number and self.text(str(value)) == MASK else value


class _Known:
    """The secrets of the jobs that run in this process now: for its own log, whose lines may be anyone's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: weakref.WeakSet[Secrets] = weakref.WeakSet()

    def add(self, secrets: Secrets) -> None:
        with self._lock:
            self._secrets.add(secrets)

    def __iter__(self) -> Iterator[Secrets]:
        if not self._secrets:
            return iter(())
        with self._lock:
            return iter(tuple(self._secrets))


_known: Final = _Known()
NONE: Final = Secrets()


def without_secrets(text: str) -> str:
    """`text` with each secret replaced that any job in this process has."""
    for secrets in _known:
        text = secrets.text(text)
    return text


def _forms(value: Any) -> Iterator[str]:
    """The texts by which a value is found."""
    for text in _texts(value):
        lines = [line.strip() for line in text.splitlines()]
        parts = {text.strip(), *(line for line in lines if len(line) >= _LEAST_OF_A_LINE)}
        for part in parts:
            if len(part) >= _LEAST:
                yield from _written(part)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
        yield repr(value)[2:-1]
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _written(text: str) -> set[str]:
    """A text as it stands, and as others write it down."""
    quoted = {quote(text), quote(text, safe=""), quote_plus(text)}
    return {text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], *quoted}
