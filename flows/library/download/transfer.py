"""One transfer by HTTP, which goes on where it broke off: RFC 9110, section 14."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from flows.library.download.errors import NotFetched, TooLarge

_ATTEMPTS: Final = 6  # in a row that bring nothing
_LONGEST_WAIT_S: Final = 60.0
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Report = Callable[[int, int | None], None]
"""Told how many bytes are there, and how many it will be, if that is known."""


class Passes(Exception):
    """The server, or the way to it, is away for now."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s  # so long it asks to be left alone


@dataclass(frozen=True)
class Transfer:
    """From `url` into the file `part`."""

    client: httpx.AsyncClient
    url: str
    part: Path
    validator: Path
    most_bytes: int

    async def run(self, report: Report) -> None:
        """Fetch what is not there yet. Raises `NotFetched`, `TooLarge`, and `Passes` if it stays away."""
        while not await self._fetch_some(report):
            pass

    async def _fetch_some(self, report: Report) -> bool:
        """Fetch until it breaks off; whether that was all."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Passes), wait=_wait_s, stop=stop_after_attempt(_ATTEMPTS), reraise=True
        ):
            with attempt:
                return await self._fetch(report)
        raise AssertionError("tenacity raises the last error")

    async def _fetch(self, report: Report) -> bool:
        there = self._there()
        headers = {"Accept-Encoding": "identity"}  # of something compressed on the way a part would be of no use
        if there:
            headers |= {"Range": f"bytes={there}-", "If-Range": self.validator.read_text()}
        came = 0
        try:
            async with self.client.stream("GET", self.url, headers=headers) as response:
                if _is_whole(response, there):
                    return True
                start, total = self._begin(response, there)
                with self.part.open("ab" if start else "wb") as file:
                    async for chunk in response.aiter_raw():
                        came += len(chunk)
                        self._store(file, chunk, start + came)
                        report(start + came, total)
                    os.fsync(file.fileno())
        except httpx.TransportError as error:
            if not came:
                raise Passes(f"{self.url}: {type(error).__name__}: {error}") from error
            return False
        return True

    def _there(self) -> int:
        """How many bytes there are that the server can be asked to go on after."""
        return self.part.stat().st_size if self.part.exists() and self.validator.exists() else 0

    def _begin(self, response: httpx.Response, there: int) -> tuple[int, int | None]:
        """Where what comes begins, and how much it will be in the end."""
        self._check(response)
        start = _start_of(response)
        if start not in (0, there):
            raise NotFetched(f"{self.url}: asked for what follows byte {there}, it sends what follows {start}")
        if not start:
            self._note_validator(response)
        length = response.headers.get("content-length", "")
        total = start + int(length) if length.isdecimal() else None
        if total is not None and total > self.most_bytes:
            raise TooLarge(f"{self.url}: has {total:,} bytes, and max_bytes is {self.most_bytes:,}")
        return start, total

    def _check(self, response: httpx.Response) -> None:
        said = f"{self.url}: answered {response.status_code} {response.reason_phrase}"
        if response.status_code in _PASSING:
            raise Passes(said, _retry_after_s(response))
        if response.status_code not in (200, 206):
            raise NotFetched(said)

    def _note_validator(self, response: httpx.Response) -> None:
        """Weak ones tell nothing about bytes."""
        etag = response.headers.get("etag", "")
        found = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified")
        self.validator.unlink(missing_ok=True)
        if found:
            self.validator.write_text(found)

    def _store(self, file: IO[bytes], chunk: bytes, there: int) -> None:
        if there > self.most_bytes:
            raise TooLarge(f"{self.url}: has more than max_bytes, {self.most_bytes:,}")
        file.write(chunk)


def _is_whole(response: httpx.Response, there: int) -> bool:
    """Whether nothing follows what is there: 416 with just this length."""
    return response.status_code == 416 and response.headers.get("content-range") == f"bytes */{there}"


def _start_of(response: httpx.Response) -> int:
    if response.status_code == 200:
        return 0
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    return int(found[1]) if found else -1


def _retry_after_s(response: httpx.Response) -> float:
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else 0.0


_BACK_OFF: Final = wait_exponential_jitter(multiplier=0.5, max=_LONGEST_WAIT_S)


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.after_s if isinstance(error, Passes) else 0.0
    return min(_LONGEST_WAIT_S, max(asked_s, _BACK_OFF(state)))
