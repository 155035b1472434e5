"""A source to try `collect` against: `python -m flows.library.collect.source`.

GET /symbols, and GET /prices/SYMBOL?from=2026-01-01&to=2026-03-31&format=json: made-up prices, always the same.
"""

from __future__ import annotations

import csv
import io
import math
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Final

import click
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Response

from flows.library.collect.query import Format

SYMBOLS: Final = (
    *("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA", "ETA", "THETA", "IOTA", "KAPPA", "LAMBDA", "MU"),
    *("NU", "XI", "OMICRON", "PI", "RHO", "SIGMA", "TAU", "UPSILON", "PHI", "CHI", "PSI", "OMEGA"),
)

_MOST_DAYS: Final = 40_000


class Limit:
    """So many requests a second, and as many at once if it was quiet before."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._left = max(1.0, per_s)
        self._at_s = clock()

    def wait_s(self) -> float:
        """How long the next request has to wait: 0 if it may come now, and then it counts."""
        now_s = self._clock()
        self._left = min(max(1.0, self._per_s), self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return (1 - self._left) / self._per_s
        self._left -= 1
        return 0.0


def prices(symbol: str, since: date, until: date) -> Iterator[dict[str, Any]]:
    """The prices of a symbol on each weekday."""
    level = _chance(symbol).uniform(20, 200)
    for number in range((until - since).days + 1):
        day = since + timedelta(days=number)
        if day.weekday() < 5:
            chance = _chance(f"{symbol} {day}")
            middle = level * (1 + 0.2 * math.sin(day.toordinal() / 50 + level))
            low, *between, high = sorted(round(middle * chance.uniform(0.98, 1.02), 2) for _ in range(4))
            opened, closed = chance.sample(between, 2)
            yield {
                "date": str(day),
                "open": opened,
                "high": high,
                "low": low,
                "close": closed,
                "volume": chance.randrange(1_000, 1_000_000),
            }


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - made-up prices are no secret


def create_app(requests_per_s: float) -> FastAPI:
    """The source."""
    app = FastAPI(title="Made-up prices")
    limit = Limit(requests_per_s)

    @app.get("/symbols")
    async def symbols() -> tuple[str, ...]:
        return SYMBOLS

    @app.get("/prices/{symbol}")
    async def prices_of(
        symbol: str,
        since: Annotated[date, Query(alias="from")],
        until: Annotated[date, Query(alias="to")],
        format: Format = "json",  # noqa: A002
    ) -> Any:
        if wait_s := limit.wait_s():
            raise HTTPException(429, "not so fast", {"Retry-After": str(math.ceil(wait_s))})
        if symbol not in SYMBOLS:
            raise HTTPException(404, f"no such symbol: {symbol}")
        if (until - since).days > _MOST_DAYS:
            raise HTTPException(422, f"more than {_MOST_DAYS} days")
        rows = list(prices(symbol, since, until))
        return rows if format == "json" else Response(_csv(rows), media_type="text/csv")

    return app


def _csv(rows: list[dict[str, Any]]) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, ["date", "open", "high", "low", "close", "volume"])
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0: any that is free")
@click.option(
    "--requests-per-s",
    type=click.FloatRange(0.1, 10_000),
    default=5.0,
    show_default=True,
    help="Who asks more often is told to wait.",
)
def main(port: int, requests_per_s: float) -> None:
    """Serve made-up prices on 127.0.0.1, until Ctrl-C."""
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise click.ClickException(
            f"port {port}: {os.strerror(error.errno or 0)}: choose another with --port"
        ) from error
    url = "http://{}:{}".format(*listening.getsockname())
    click.echo(
        f"Prices of {len(SYMBOLS)} symbols on {url}, {requests_per_s:g} requests a second. To collect some:\n"
    )
    click.echo(
        f"poster post collect url={url}/prices symbols={','.join(SYMBOLS[:4])} since=2026-01-01 until=2026-03-31"
        " database=sqlite:///prices.db"
    )
    server = uvicorn.Server(uvicorn.Config(create_app(requests_per_s), log_level="warning"))
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
