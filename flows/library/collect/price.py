"""One day's prices, and the checks that each row of an answer has to pass. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.library.collect.errors import BadRows
from flows.library.collect.query import Query

_SHOWN: Final = 3  # bad rows of a symbol

Amount = Annotated[float, Field(gt=0)]


class Price(BaseModel):
    """A row as the source gives it, and, by the fields' names, as the table has it.

    Change the fields for a source of your own: the table's columns follow them. `day` stays, with the symbol it
    is the row's key.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    day: date = Field(validation_alias="date")
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: int = Field(ge=0, lt=2**63)

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError("open and close are not between low and high")
        return self


_COLUMNS: Final = {str(field.validation_alias or name) for name, field in Price.model_fields.items()}


def prices_in(answer: str, symbol: str, query: Query) -> list[Price]:
    """The rows of an answer, sound every one. `BadRows` names those that are not by symbol and line."""
    prices: dict[date, Price] = {}
    problems: list[str] = []
    try:
        for where, row in _rows_in(answer, query):
            try:
                price = Price.model_validate(row)
                _check_day(price.day, prices, query)
            except ValueError as error:
                problems.append(f"{where}: {_said(error)}")
            else:
                prices[price.day] = price
    except (ValueError, RecursionError, csv.Error) as error:
        raise BadRows(f"{symbol}: the answer is no {query.format}: {error}") from error
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise BadRows(f"{symbol}: {'; '.join(problems[:_SHOWN])}{more}")
    return list(prices.values())


def _rows_in(answer: str, query: Query) -> Iterator[tuple[str, Any]]:
    """Each row with where it stands: the line of a CSV, whose first has the names; the place in a JSON list."""
    if query.format == "csv":
        reader = csv.DictReader(io.StringIO(answer), restkey="more", strict=True)
        if missing := _COLUMNS.difference(reader.fieldnames or ()):
            raise ValueError(f"its first line does not name {', '.join(sorted(missing))}")
        for row in reader:
            yield f"line {reader.line_num}", row
        return
    rows = json.loads(answer)
    if not isinstance(rows, list):
        raise ValueError(f"a list of rows is wanted, not {answer[:40]!r}")  # noqa: TRY004 - it is data
    for number, row in enumerate(rows, 1):
        yield f"row {number}", row


def _check_day(day: date, before: dict[date, Price], query: Query) -> None:
    if day in before:
        raise ValueError(f"{day} comes twice")
    if not query.since <= day <= query.until:
        raise ValueError(f"{day} was not asked for")


def _said(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    named = "".join(f"{part}: " for part in first["loc"])
    return f"{named}{first['msg']}"
