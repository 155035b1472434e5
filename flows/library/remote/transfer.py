"""One transfer by HTTP, which goes on where it broke off: RFC 9110, section 14."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx

from flows.library.files.errors import TooLarge
from flows.library.remote.asking import check, patiently, reaching
from flows.library.remote.errors import Declined

_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Report = Callable[[int, int | None], None]
"""Told how many bytes are there, and how many it will be, if that is known."""


@dataclass(frozen=True)
class Transfer:
    """From `url` into the file `part`. A file beside it holds what tells whether it is still a part of that."""

    client: httpx.AsyncClient
    url: str
    part: Path
    most_bytes: int
    report: Report

    async def run(self) -> None:
        """Fetch what is not there yet. Raises `Declined`, `TooLarge`, and `Unavailable` if it stays away."""
        while not await self._fetch_some():
            pass

    @property
    def validator(self) -> Path:
        """By what the server can tell that."""
        return self.part.with_name(f"{self.part.name}.validator")

    async def _fetch_some(self) -> bool:
        """Fetch until it breaks off; whether that was all. Only what brings nothing counts as an attempt."""
        async for attempt in patiently():
            with attempt, reaching(self.url):
                return await self._fetch()
        raise AssertionError("tenacity raises the last error")

    async def _fetch(self) -> bool:
        there = self._there()
        async with self.client.stream("GET", self.url, headers=self._headers(there)) as response:
            if _is_whole(response, there):
                return True
            start, total = self._begin(response, there)
            with self.part.open("ab" if start else "wb") as file:
                is_whole = await self._store(response, file, start, total)
                os.fsync(file.fileno())
        return is_whole

    def _there(self) -> int:
        """How many bytes there are that the server can be asked to go on after."""
        return self.part.stat().st_size if self.part.exists() and self.validator.exists() else 0

    def _headers(self, there: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}  # of something compressed on the way a part would be of no use
        if there:
            headers |= {"Range": f"bytes={there}-", "If-Range": self.validator.read_text()}
        return headers

    def _begin(self, response: httpx.Response, there: int) -> tuple[int, int | None]:
        """Where what comes begins, and how much it will be in the end."""
        check(response)
        start = _start_of(response)
        if start not in (0, there):
            raise Declined(f"{self.url}: asked for what follows byte {there}, it sends what follows {start}")
        if not start:
            self._note_validator(response)
        length = response.headers.get("content-length", "")
        total = start + int(length) if length.isdecimal() else None
        if total is not None and total > self.most_bytes:
            raise TooLarge(f"{self.url}: has {total:,} bytes, and max_bytes is {self.most_bytes:,}")
        return start, total

    def _note_validator(self, response: httpx.Response) -> None:
        """Weak ones tell nothing about bytes."""
        etag = response.headers.get("etag", "")
        found = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified")
        self.validator.unlink(missing_ok=True)
        if found:
            self.validator.write_text(found)

    async def _store(self, response: httpx.Response, file: IO[bytes], start: int, total: int | None) -> bool:
        """Store what comes; whether it came to its end. One that brought something may break off."""
        there = start
        try:
            async for chunk in response.aiter_raw():
                there += len(chunk)
                if there > self.most_bytes:
                    raise TooLarge(f"{self.url}: has more than max_bytes, {self.most_bytes:,}")
                file.write(chunk)
                self.report(there, total)
        except httpx.TransportError:
            if there == start:
                raise
            return False
        return True


def _is_whole(response: httpx.Response, there: int) -> bool:
    """Whether nothing follows what is there: 416 with just this length."""
    return response.status_code == 416 and response.headers.get("content-range") == f"bytes */{there}"


def _start_of(response: httpx.Response) -> int:
    if response.status_code == 200:
        return 0
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    return int(found[1]) if found else -1
