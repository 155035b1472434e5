"""`collect`, from a real source into real databases, as a job: the table is as it was where it ends otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import Response

from flows.library.collect import collect
from flows.library.collect.price import Price
from flows.library.collect.source import prices
from tests.flows.price_source import Site
from tests.flows.shelf import THERE_BEFORE, Shelf

SINCE, UNTIL = date(2026, 1, 1), date(2026, 1, 31)
SYMBOLS = ["ALPHA", "BETA", "GAMMA", "DELTA"]


@pytest.fixture(scope="module")
def whole_site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def site(whole_site: Site) -> Site:
    whole_site.behave()
    return whole_site


@pytest.fixture
def shelf(sqlite_url: str) -> Iterator[Shelf]:
    with Shelf(sqlite_url) as shelf:
        yield shelf


@pytest.fixture
def each_shelf(database_url: str) -> Iterator[Shelf]:
    """The same; the test runs on each kind of database."""
    with Shelf(database_url) as shelf:
        yield shelf


@pytest.fixture
def run(run_flow: Callable[..., Any], site: Site) -> Callable[..., Any]:
    """Collect into a shelf."""

    def run(shelf: Shelf, *moments: Any, **more: Any) -> Any:
        arguments = {"url": site.url, "symbols": SYMBOLS, "since": SINCE, "until": UNTIL, "requests_per_s": 1000}
        return run_flow(collect, *moments, **{**arguments, "database": shelf.url, "batch": 10, **more})

    return run


def expected(*symbols: str) -> list[dict[str, Any]]:
    """What the source has of these symbols, as it is stored, but for the mark; and what was there of others."""
    rows = [
        {"symbol": symbol, **Price.model_validate(row).model_dump()}
        for symbol in symbols
        for row in prices(symbol, SINCE, UNTIL)
    ]
    keys = {(row["symbol"], row["day"]) for row in rows}
    rows += [without_mark(row) for row in THERE_BEFORE if (row["symbol"], row["day"]) not in keys]
    return sorted(rows, key=lambda row: (row["symbol"], row["day"]))


def without_mark(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "written_by"}


def detail_of(ran: Any) -> dict[str, Any]:
    return next(task.detail for task in ran.job.tasks if task.name == "collect")


def test_all_is_stored_and_said(run, each_shelf):
    ran = run(each_shelf)
    assert ran.state == "completed", ran.error
    assert [without_mark(row) for row in each_shelf.rows()] == expected(*SYMBOLS)
    new = {row["written_by"] for row in each_shelf.rows()} - {row["written_by"] for row in THERE_BEFORE}
    assert [mark.partition(".")[0] for mark in new] == [ran.job.id]
    assert ran.results | {"run": ""} == {"run": "", "rows": 88, "stored": 4, "skipped": {}}
    assert detail_of(ran) == {"done": 4, "total": 4, "rows": 88, "failures": 0}


def test_csv_is_as_good_as_json(run, shelf, site, tmp_path):
    (tmp_path / "token").write_text("t0ken")
    assert run(shelf, format="csv", token=f"file:{tmp_path}/token").state == "completed"
    assert site.tokens == {"Bearer t0ken"}
    assert [without_mark(row) for row in shelf.rows()] == expected(*SYMBOLS)


def test_the_tables_are_made(run, tmp_path, shelf):
    shelf.url = f"sqlite:///{tmp_path}/new.db"
    assert run(shelf, table="of_2026").state == "completed"
    with sa.create_engine(shelf.url).connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(sa.table("of_2026"))) == 88


@pytest.mark.parametrize(
    ("task", "at"),
    [
        *[("prepare", "begin"), ("prepare", "end"), ("report", "begin")],
        *[("collect", "begin"), ("collect", 4), ("collect", 5), ("collect", 9), ("collect", "end")],
    ],
)
def test_a_cancel_leaves_the_table_as_it_was(run, cancel_at, shelf, task, at):
    assert run(shelf, cancel_at(task, at)).state == "cancelled"
    assert shelf.is_as_before


def test_a_cancel_that_comes_when_all_is_done_leaves_the_table_as_it_was(run, cancel_at, each_shelf):
    assert run(each_shelf, cancel_at("report", "end")).state == "cancelled"
    assert each_shelf.is_as_before


def test_a_crash_in_each_task_costs_nothing(run, crash_at, shelf):
    ran = run(shelf, crash_at("prepare", "end"), crash_at("collect", "end"), crash_at("report", "end"))
    assert ran.state == "completed", ran.error
    assert [without_mark(row) for row in shelf.rows()] == expected(*SYMBOLS)
    assert ran.results["rows"] == 88


def test_what_is_stored_is_not_fetched_again_after_a_crash(run, crash_at, each_shelf, site):
    ran = run(each_shelf, crash_at("collect", 9))  # in the middle of the second symbol
    assert ran.state == "completed", ran.error
    assert site.asked == ["ALPHA", "BETA", "BETA", "GAMMA", "DELTA"]
    assert [without_mark(row) for row in each_shelf.rows()] == expected(*SYMBOLS)
    assert detail_of(ran) == {"done": 4, "total": 4, "rows": 88, "failures": 0}


@pytest.mark.parametrize("at", ["revert", "reverted"])
def test_a_crash_in_the_revert_leaves_the_table_as_it_was(run, cancel_at, crash_at, each_shelf, at):
    assert run(each_shelf, cancel_at("report", "begin"), crash_at("collect", at)).state == "cancelled"
    assert each_shelf.is_as_before


def test_a_crash_before_the_cancel_leaves_the_table_as_it_was(run, cancel_at, crash_at, shelf):
    assert run(shelf, crash_at("collect", 9), cancel_at("collect", 5)).state == "cancelled"
    assert shelf.is_as_before


def test_after_a_cancel_it_can_be_retried(run, cancel_at, shelf):
    ran = run(shelf, cancel_at("collect", "end")).retry()
    assert ran.state == "completed", ran.error
    assert [without_mark(row) for row in shelf.rows()] == expected(*SYMBOLS)


def test_what_someone_else_writes_meanwhile_stays(run, cancel_at, each_shelf, site):
    table = each_shelf.tables.prices
    beta = sa.and_(table.c.symbol == "BETA", table.c.day.between(date(2026, 1, 6), date(2026, 1, 7)))

    def interfere() -> None:
        each_shelf.do(sa.update(table).where(beta).values(close=5.0, written_by="someone else"))
        each_shelf.do(sa.delete(table).where(table.c.symbol == "BETA", table.c.day == date(2026, 1, 5)))

    site.before["GAMMA"] = interfere
    assert run(each_shelf, cancel_at("report", "begin")).state == "cancelled"
    left = {(row["symbol"], str(row["day"])): row["written_by"] for row in each_shelf.rows()}
    assert left == {
        ("BETA", "2025-12-01"): None,
        ("BETA", "2026-01-06"): "someone else",
        ("BETA", "2026-01-07"): "someone else",
        ("OTHER", "2026-01-05"): None,
    }


# What cannot be had


def test_a_symbol_that_is_not_there_stops_it(run, shelf):
    ran = run(shelf, symbols=["ALPHA", "BETA", "NONESUCH", "DELTA"])
    assert ran.state == "failed"
    assert "NONESUCH" in ran.error
    assert "404" in ran.error
    assert shelf.is_as_before


def test_or_it_is_skipped_and_reported(run, shelf, site):
    site.instead["BETA"] = [Response('[{"date": "2026-01-05"}]')]
    ran = run(shelf, symbols=["ALPHA", "NONESUCH", "BETA", "DELTA"], on_error="skip")
    assert ran.state == "completed", ran.error
    assert (ran.results["rows"], ran.results["stored"]) == (44, 2)
    assert sorted(ran.results["skipped"]) == ["BETA", "NONESUCH"]
    assert detail_of(ran) == {"done": 4, "total": 4, "rows": 44, "failures": 2}
    assert [without_mark(row) for row in shelf.rows()] == expected("ALPHA", "DELTA")


def test_if_nothing_can_be_had_it_fails(run, shelf):
    ran = run(shelf, symbols=["NONESUCH", "NEITHER"], on_error="skip")
    assert (ran.state, ran.job.error.task) == ("failed", "report")
    assert "not one of 2 symbols: " in ran.error
    assert shelf.is_as_before


def test_a_source_that_is_away_or_wants_less_is_asked_later(run, shelf, site):
    site.instead["ALPHA"] = [Response(status_code=503), Response(status_code=429, headers={"Retry-After": "1"})]
    ran = run(shelf, symbols=["ALPHA"])
    assert ran.state == "completed", ran.error
    assert site.asked == ["ALPHA"] * 3


BAD = '[{"date": "2026-01-05", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}, {"date": "2026-01-06"}]'


@pytest.mark.parametrize(
    ("answer", "said"),
    [(BAD, "BETA: row 2: open: Field required"), ("<html>", "BETA: the answer is no json")],
)
def test_a_bad_answer_stops_it_and_is_named(run, shelf, site, answer, said):
    site.instead["BETA"] = [Response(answer)]
    ran = run(shelf)
    assert ran.state == "failed"
    assert said in ran.error
    assert shelf.is_as_before


def test_a_table_of_another_kind_is_refused(run, shelf):
    shelf.do(sa.text("CREATE TABLE theirs (symbol TEXT, note TEXT)"))
    ran = run(shelf, table="theirs")
    assert (ran.state, ran.job.error.task) == ("failed", "prepare")
    assert "table theirs: has no column close" in ran.error
    assert "has a column note, which would be lost" in ran.error


def test_a_database_that_is_not_there_is_named(run, shelf, tmp_path):
    shelf.url = f"sqlite:///{tmp_path}/no/prices.db"
    ran = run(shelf)
    assert (ran.state, ran.job.error.task) == ("failed", "prepare")
    assert "no/prices.db: unable to open database file" in ran.error
