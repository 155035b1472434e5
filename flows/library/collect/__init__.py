r"""The flow `collect`: daily prices from an HTTP source into a database table.

poster post collect url=http://127.0.0.1:8001/prices symbols=ALPHA,BETA since=2026-01-01 until=2026-03-31 \
    database=sqlite:///prices.db
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr
from taskflow.patterns import linear_flow

from flows import flow
from flows.library.collect.parameters import (
    Symbol,
    base_url,
    comma_separated,
    database_url,
    each_once,
    not_before_since,
)
from flows.library.collect.query import Format, Query
from flows.library.collect.target import Target
from flows.library.collect.tasks import Collect, Prepare, Report


@flow("collect", max_running=1)
def collect(
    url: Annotated[
        HttpUrl,
        AfterValidator(base_url),
        Field(description="the source: asked for URL/SYMBOL?from=…&to=…&format=…"),
    ],
    symbols: Annotated[
        list[Symbol],
        Field(description="whose prices, as ALPHA,BETA", min_length=1, max_length=10_000),
        BeforeValidator(comma_separated),
        AfterValidator(each_once),
    ],
    since: Annotated[date, Field(description="the first day")],
    until: Annotated[date, AfterValidator(not_before_since), Field(description="the last day")],
    database: Annotated[
        str,
        AfterValidator(database_url),
        Field(description="where the table is: sqlite:///FILE or postgresql://USER@HOST/NAME, without a password"),
    ],
    password: Annotated[
        SecretStr | None, Field(description="of the database, looked up on the conductor's host")
    ] = None,
    token: Annotated[SecretStr | None, Field(description="of the source, which gets it as a bearer token")] = None,
    table: Annotated[
        str,
        Field(description="made if it is not there: small letters, digits, _", pattern=r"^[a-z_][a-z0-9_]{0,39}$"),
    ] = "prices",
    format: Annotated[Format, Field(description="in which the source answers")] = "json",  # noqa: A002
    on_error: Annotated[
        Literal["stop", "skip"],
        Field(
            description="when a symbol cannot be had, or has a bad row: stop and undo all, or skip and report it"
        ),
    ] = "stop",
    requests_per_s: Annotated[float, Field(description="ask no more often than that", gt=0, le=1000)] = 5.0,
    batch: Annotated[int, Field(description="the most rows to store at once", gt=0, le=5000)] = 500,
) -> linear_flow.Flow:
    """Collect daily prices of symbols from an HTTP source into a database table, on SQLite or PostgreSQL.

    One symbol after the other is fetched, checked row by row, and stored in batches. A source that is away, or
    wants to be asked less often, is asked again later. A row that is there already is replaced, and kept beside
    the table: after a cancel or a failure the rows that were added are gone, and those that were replaced are
    back. What someone else has written meanwhile stays. One job runs at a time.
    """
    target = Target(database, password, table)
    query = Query(url, token, since, until, format, requests_per_s)
    return linear_flow.Flow("collect").add(Prepare(target), Collect(query, target), Report(target))
