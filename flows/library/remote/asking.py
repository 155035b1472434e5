"""Asks again, later, while a server is away: RFC 9110, sections 10.2.3 and 15."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from flows.library.remote.errors import Declined, Unavailable

ATTEMPTS: Final = 6

_PATIENCE_S: Final = 30.0  # with a server that says nothing
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_BACK_OFF: Final = wait_exponential(multiplier=0.5, max=60.0) + wait_random(0.0, 1.0)
_LONGEST_ASKED_S: Final = 3600.0


def new_client() -> httpx.AsyncClient:
    """A client, to be used with `async with`."""
    return httpx.AsyncClient(follow_redirects=True, timeout=_PATIENCE_S)


def patiently() -> AsyncRetrying:
    """`async for attempt in patiently(): with attempt: …` tries again what raises `Unavailable`, 6 times in all.

    Between two attempts it waits as long as the server has asked for, at most an hour, and at least its own
    back-off, at most a minute. The last error is raised. A cancel ends the wait.
    """
    return AsyncRetrying(
        retry=retry_if_exception_type(Unavailable), wait=wait_s, stop=stop_after_attempt(ATTEMPTS), reraise=True
    )


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Raise `Unavailable` if the way to the server breaks, `Declined` if it leads nowhere."""
    try:
        yield
    except httpx.TransportError as error:
        raise Unavailable(f"{what}: {type(error).__name__}: {error}") from error
    except httpx.RequestError as error:  # too many redirects, a content that cannot be decoded
        raise Declined(f"{what}: {type(error).__name__}: {error}") from error


def check(response: httpx.Response) -> None:
    """Raise `Unavailable` or `Declined` if the answer is no success."""
    if response.is_success:
        return
    said = f"{response.request.method} {response.url}: {response.status_code} {response.reason_phrase}"
    if response.status_code in _LATER:
        raise Unavailable(said, retry_after_s(response.headers.get("retry-after", ""), datetime.now(UTC)))
    raise Declined(said)


def retry_after_s(told: str, now: datetime) -> float:
    """The seconds that a `Retry-After` means, which are a number or a date; 0 if it is neither."""
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - now).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return 0.0


def wait_s(state: RetryCallState) -> float:
    """How long to wait before the next attempt."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.after_s if isinstance(error, Unavailable) else 0.0
    return max(min(asked_s, _LONGEST_ASKED_S), _BACK_OFF(state))
