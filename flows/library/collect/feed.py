"""Asks the source: keeps to a rate, and asks again later while it is away."""

from __future__ import annotations

from typing import Final

import httpx

from flows.library.collect.errors import BadRows
from flows.library.collect.pace import Pace
from flows.library.collect.price import Price, prices_in
from flows.library.collect.query import Query
from flows.library.remote.asking import check, patiently, reaching

_MOST_BYTES: Final = 20_000_000  # of an answer: a hundred years of prices take two


class Feed:
    """The source, as a client sees it."""

    def __init__(self, client: httpx.AsyncClient, query: Query) -> None:
        self._client = client
        self._query = query
        self._pace = Pace(query.requests_per_s)

    async def prices_of(self, symbol: str) -> list[Price]:
        """All prices of a symbol. Raises `BadRows`, `Declined`, and `Unavailable` if the source stays away."""
        url = self._query.url_of(symbol)
        async for attempt in patiently():
            with attempt, reaching(url):
                await self._pace.turn()
                return prices_in(await self._answer(url), symbol, self._query)
        raise AssertionError("tenacity raises the last error")

    async def _answer(self, url: str) -> str:
        query = self._query
        answer = bytearray()
        async with self._client.stream("GET", url, params=query.params, headers=query.headers) as response:
            check(response)
            async for chunk in response.aiter_bytes():
                answer += chunk
                if len(answer) > _MOST_BYTES:
                    raise BadRows(f"{url}: the answer has more than {_MOST_BYTES:,} bytes")
            return answer.decode(response.charset_encoding or "utf-8", errors="replace")
