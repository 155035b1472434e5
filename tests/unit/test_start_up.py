"""The command line starts quickly: what it does not need yet, it does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    *("alembic", "asyncio", "fastapi", "kazoo", "platformdirs", "psycopg2", "pydantic", "rich", "sqlalchemy"),
    *("prometheus_client", "taskflow", "uvicorn"),
)


def imported_by(code: str) -> set[str]:
    """The top-level modules that are there after `code`, run in a new interpreter."""
    return {name.partition(".")[0] for name in all_imported_by(code)}


def all_imported_by(code: str) -> set[str]:
    """The same with all modules within these, by their full names."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('MODULES', *sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("MODULES")]
    return set(line.split()[1:])


@pytest.mark.parametrize(
    "words",
    [["--help"], ["-h"], ["post", "--help"], ["watch", "--help"], ["list", "--limit", "0"], ["nonsense"], []],
    ids=" ".join,
)
def test_help_and_wrong_usage_need_no_library_but_click(words):
    modules = imported_by(f"from poster.cli import run; run({words!r})")
    assert "click" in modules
    assert not modules.intersection(HEAVY)


def test_the_package_needs_nothing():
    assert not imported_by("import poster").intersection((*HEAVY, "click"))


def test_listing_needs_no_flows_and_no_other_kind_of_database(tmp_path):
    words = ["list", "--database-url", f"sqlite:///{tmp_path}/x.db", "--home", str(tmp_path)]
    run = f"from poster.cli import run; run({words!r})"
    imported_by(run)  # the first makes the database, with alembic
    modules = all_imported_by(run)
    assert "sqlalchemy" in modules
    assert not modules.intersection(
        (
            *("taskflow", "networkx", "pydantic", "alembic", "rich", "kazoo", "tenacity", "platformdirs"),
            *("psycopg2", "asyncpg", "sqlalchemy.dialects.postgresql", "sqlalchemy.orm"),
            *("flows", "conductor", "jobboard.claims", "poster.graph", "poster.doctor"),
        )
    )


def test_a_conductor_without_metrics_does_not_import_what_shows_them():
    modules = imported_by("import conductor.cli, conductor.service, jobboard.dispatch.sql")
    assert "taskflow" in modules
    assert not modules.intersection(("prometheus_client", "fastapi", "uvicorn"))


def test_the_tables_need_no_kind_of_database():
    modules = all_imported_by("import jobboard.schema, jobboard.records")
    assert not modules.intersection(("sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql"))


def test_the_flows_that_come_along_need_no_http_and_no_database_before_they_run():
    modules = imported_by("from flows.library import collect, download, process_files")
    assert "taskflow" in modules
    assert not modules.intersection(("fastapi", "httpx", "sqlalchemy", "tenacity", "uvicorn"))


def test_the_client_is_there_by_its_name():
    assert "sqlalchemy" in imported_by("from poster import Client, PostRequest")
