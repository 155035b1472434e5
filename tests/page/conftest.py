"""A browser for all tests of the page, a site for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.site import Site
from tests.page.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Path(__file__).parent

Visit = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them in one process, which has one browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("page"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. It ends with these tests: others of the same process run event loops of their own."""
    from playwright.sync_api import expect, sync_playwright

    from tests.page.chromium import launch

    expect.set_options(timeout=8_000)
    with sync_playwright() as playwright, closing(launch(playwright)) as browser:
        yield browser


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """On each kind of database."""
    with closing(Site(tmp_path, database_url)) as site:
        yield site


@pytest.fixture
def small_site(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    """Where it does not matter which database it is."""
    with closing(Site(tmp_path, sqlite_url)) as site:
        yield site


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a browser of its own for who visits a site; at the end nothing has gone wrong in it."""
    with ExitStack() as stack:

        def opened(site: Site, **how: Any) -> Visitor:
            return stack.enter_context(closing(Visitor(browser, site.url, **how)))

        yield opened
