"""What `collect` decides without a source and without a database; and the source to try it against."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import HttpUrl, SecretStr

from flows.errors import InvalidArguments
from flows.library.collect import collect  # noqa: F401 - registers the flow
from flows.library.collect.database import Database
from flows.library.collect.errors import BadRows
from flows.library.collect.pace import Pace
from flows.library.collect.price import prices_in
from flows.library.collect.query import Format, Query
from flows.library.collect.source import SYMBOLS, Limit, create_app
from flows.library.collect.target import Target
from flows.registry import REGISTRY

SPEC = REGISTRY.get("collect")
GOOD = {
    "url": "http://127.0.0.1:8001/prices",
    "symbols": "ALPHA,BETA",
    "since": "2026-01-01",
    "until": "2026-01-31",
    "database": "sqlite:////tmp/prices.db",
}


# Parameters


def test_its_tasks_in_order() -> None:
    built = SPEC.build(SPEC.as_json(GOOD))
    assert [task.name for task in built.structure.tasks] == ["prepare", "collect", "report"]
    assert SPEC.max_running == 1
    assert [atom.name for atom in SPEC.graph().atoms] == ["prepare", "collect", "report"]


def test_every_parameter_and_the_flow_are_described() -> None:
    assert all(len(field["description"]) > 10 for field in SPEC.schema["properties"].values())
    assert SPEC.description.startswith("Collect daily prices")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("url", "ftp://127.0.0.1/prices", "url: URL scheme should be 'http' or 'https'"),
        ("url", "http://127.0.0.1/prices?key=1", "url: leave away what follows"),
        ("url", "http://ann:pw@127.0.0.1/prices", "url: leave away user and password: give token=env:NAME"),
        ("symbols", "ALPHA,BETA,ALPHA", "symbols: more than once: ALPHA"),
        ("symbols", "ALPHA,../BETA", "symbols: 1: string should match pattern"),
        ("symbols", "", "symbols: 0: string should match pattern"),
        ("symbols", [], "symbols: list should have at least 1 item"),
        ("since", "yesterday", "since: input should be a valid date"),
        ("until", "2025-12-31", "until: is before since, 2026-01-01"),
        ("database", "prices.db", "database: is no address of a database: use sqlite:///FILE or"),
        ("database", "sqlite://", "database: has to be a file: use sqlite:///FILE"),
        ("database", "sqlite:///:memory:", "database: has to be a file"),
        ("database", "mysql://127.0.0.1/prices", "database: is of the kind mysql: use sqlite:///FILE or"),
        ("database", "postgresql://ann:pw@db/prices", "database: leave away the password: give password=env:NAME"),
        ("database", "postgresql://db/prices?password=pw", "database: leave away the password"),
        ("database", "postgresql://db:port/prices", "database: is no address of a database"),
        ("password", "pw", "password: a secret is given as env:NAME or file:PATH"),
        ("token", "t0ken", "token: a secret is given as env:NAME or file:PATH"),
        ("table", "Prices; DROP TABLE x", "table: string should match pattern"),
        ("table", "a" * 41, "table: string should match pattern"),
        ("format", "xml", "format: input should be 'json' or 'csv'"),
        ("on_error", "ignore", "on_error: input should be 'stop' or 'skip'"),
        ("requests_per_s", 0, "requests_per_s: input should be greater than 0"),
        ("batch", 0, "batch: input should be greater than 0"),
        ("batch", 5001, "batch: input should be less than or equal to 5000"),
        ("colour", "red", "colour: no such parameter"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, given: object, said: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        SPEC.as_json({**GOOD, name: given})
    assert f"  {said}" in str(caught.value)


def test_a_relative_path_is_meant_from_where_the_job_is_posted() -> None:
    assert SPEC.as_json({**GOOD, "database": "sqlite:///p.db"})["database"] == f"sqlite:///{Path.cwd()}/p.db"


def test_symbols_are_a_list_or_words_with_commas() -> None:
    as_list = SPEC.as_json({**GOOD, "symbols": ["ALPHA", "BETA"]})
    assert as_list == SPEC.as_json({**GOOD, "symbols": "ALPHA, BETA"}) == SPEC.as_json(GOOD)


# What the source is asked


def query(format: Format = "json", token: str | None = None) -> Query:  # noqa: A002
    secret = SecretStr(token) if token else None
    return Query(HttpUrl("http://127.0.0.1/prices/"), secret, date(2026, 1, 1), date(2026, 1, 31), format, 5.0)


def test_how_the_source_is_asked() -> None:
    assert query().url_of("^A=X") == "http://127.0.0.1/prices/%5EA%3DX"
    assert query("csv").params == {"from": "2026-01-01", "to": "2026-01-31", "format": "csv"}
    assert query().headers == {}
    assert query(token="t0ken").headers == {"Authorization": "Bearer t0ken"}


def test_a_pace_spaces_turns_evenly_and_does_not_save_them_up() -> None:
    now, slept = [100.0], []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 9))
        now[0] += seconds

    async def turns() -> None:
        pace = Pace(4.0, lambda: now[0], sleep)
        for work_s in (0.0, 0.1, 10.0, 0.0):
            await pace.turn()
            now[0] += work_s
        await pace.turn()

    asyncio.run(turns())
    assert slept == [0.0, 0.25, 0.15, 0.0, 0.25]


def test_the_password_goes_to_the_database_and_is_not_shown() -> None:
    with Database(Target("postgresql://ann@db/prices", SecretStr("pw"), "prices")) as database:
        assert database.engine.url.password == "pw"
        assert "pw" not in database.address


# Rows

ROW = {"date": "2026-01-05", "open": 2.0, "high": 3.0, "low": 1.0, "close": 2.5, "volume": 7}
HEADER = "date,open,high,low,close,volume,more\n"


def answer(*rows: Any) -> str:
    return json.dumps(rows)


def test_json_and_csv_give_the_same() -> None:
    [price] = prices_in(answer({**ROW, "more": 1}), "BETA", query())
    assert price.model_dump() == {**{n: v for n, v in ROW.items() if n != "date"}, "day": date(2026, 1, 5)}
    assert prices_in(f"{HEADER}2026-01-05,2,3,1,2.5,7,1\n", "BETA", query("csv")) == [price]


def test_no_rows_are_no_problem() -> None:
    assert prices_in("[]", "BETA", query()) == prices_in(HEADER, "BETA", query("csv")) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"date": "2026-13-05"}, "date: Input should be a valid date"),
        ({"date": "2026-02-01"}, "2026-02-01 was not asked for"),
        ({"date": "2026-01-04"}, "2026-01-04 comes twice"),
        ({"open": -1}, "open: Input should be greater than 0"),
        ({"close": "n/a"}, "close: Input should be a valid number"),
        ({"close": None}, "close: Input should be a valid number"),
        ({"close": float("nan")}, "close: Input should be a finite number"),
        ({"high": 2.1}, "open and close are not between low and high"),
        ({"volume": 2**63}, "volume: Input should be less than"),
    ],
)
def test_a_bad_row_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRows) as caught:
        prices_in(answer({**ROW, "date": "2026-01-04"}, {**ROW, **wrong}), "BETA", query())
    assert str(caught.value).startswith("BETA: row 2: ")
    assert said in str(caught.value)


def test_a_bad_line_is_named() -> None:
    with pytest.raises(BadRows, match=r"^BETA: line 3: close: Input should be a valid number"):
        prices_in(f"{HEADER}2026-01-05,2,3,1,2.5,7\n2026-01-06,2,3,1\n", "BETA", query("csv"))


def test_of_many_bad_rows_the_first_are_named() -> None:
    with pytest.raises(BadRows, match=r"row 1: .*; row 2: .*; row 3: .*; and 7 more$"):
        prices_in(answer(*[{}] * 10), "BETA", query())


@pytest.mark.parametrize(
    ("format", "text"),
    [
        *[("json", ""), ("json", "<html>"), ("json", '{"error": "x"}'), ("json", "[" * 100_000)],
        *[("csv", ""), ("csv", "<html>"), ("csv", "date,open\n"), ("csv", f'{HEADER}"2026')],
    ],
)
def test_a_broken_answer_is_named(format: Format, text: str) -> None:  # noqa: A002
    with pytest.raises(BadRows, match=f"^BETA: the answer is no {format}: "):
        prices_in(text, "BETA", query(format))


# The source to try it against


def ask(*paths: str, requests_per_s: float = 1000.0) -> list[httpx.Response]:
    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(requests_per_s))
        async with httpx.AsyncClient(transport=transport, base_url="http://source") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(asked())


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_what_the_source_has_passes_the_checks(symbol: str) -> None:
    asked = f"/prices/{symbol}?from=2026-01-01&to=2026-01-31&format="
    as_json, again, as_csv = ask(f"{asked}json", f"{asked}json", f"{asked}csv")
    assert as_json.text == again.text
    found = prices_in(as_json.text, symbol, query())
    assert len(found) == 22
    assert found == prices_in(as_csv.text, symbol, query("csv"))


def test_what_the_source_does_not_have() -> None:
    unknown, without = ask("/prices/NONESUCH?from=2026-01-01&to=2026-01-31", "/prices/BETA")
    assert (unknown.status_code, without.status_code) == (404, 422)


def test_the_source_sends_away_who_asks_too_often() -> None:
    path = "/prices/BETA?from=2026-01-01&to=2026-01-31"
    first, second = ask(path, path, requests_per_s=0.1)
    assert (first.status_code, second.status_code) == (200, 429)
    assert 1 <= int(second.headers["retry-after"]) <= 10


def test_a_limit_lets_through_so_many_a_second() -> None:
    now = [100.0]
    limit = Limit(2.0, lambda: now[0])
    assert [limit.wait_s() for _ in range(3)] == [0.0, 0.0, 0.5]
    now[0] += 0.5
    assert [limit.wait_s() for _ in range(2)] == [0.0, 0.5]
    now[0] += 60
    assert [limit.wait_s() for _ in range(3)] == [0.0, 0.0, 0.5]
