"""A browser for the tests of the page, a site for each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.site import GATES, Site
from tests.page.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Path(__file__).parent

Visit = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of a file in one process: each process that has some starts a browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(f"page {item.path.stem}"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. It ends with these tests: others of the same process run event loops of their own."""
    from playwright.sync_api import expect, sync_playwright

    from tests.page.chromium import launch

    expect.set_options(timeout=20_000)
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


@pytest.fixture(scope="package")
def _shared(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    shutil.copyfile(_sqlite_template, folder / "countermand.db")
    with closing(Site(folder, f"sqlite:///{folder / 'countermand.db'}")) as site:
        site.start("--slots", "12")
        yield site


@pytest.fixture
def shared_site(_shared: Site, tmp_path: Path) -> Iterator[Site]:
    """Where other tests have been, and left their jobs: for who looks at jobs of their own."""
    site = _shared.with_gates(tmp_path)
    yield site
    site.open(*GATES)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a browser of its own for who visits a site; at the end nothing has gone wrong in it."""
    with ExitStack() as stack:

        def opened(site: Site, **how: Any) -> Visitor:
            return stack.enter_context(closing(Visitor(browser, site.url, **how)))

        yield opened
