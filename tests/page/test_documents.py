"""The site of the documents in a browser: nothing from another host, light and dark, on a phone, and searched."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.documents.building import build_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    build_site(folder)
    return folder


@pytest.fixture(scope="module")
def url(built: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(built)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def documents(browser: Browser, url: str) -> Iterator[Open]:
    """Opens a page of the site, which asks nobody else for anything."""
    asked: list[str] = []
    contexts = []

    def open_page(path: str, **how: Any) -> Page:
        contexts.append(browser.new_context(**how))
        page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/{path}", wait_until="networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert asked
    assert [one for one in asked if not one.startswith((f"{url}/", "data:", "blob:"))] == []


def test_it_is_light_or_dark_as_its_reader_is(documents: Open) -> None:
    shades = [
        documents("index.html", color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    light, dark = ([int(part) for part in shade[4:-1].split(",")] for shade in shades)
    assert min(light) > 240
    assert max(dark) < 60


def test_a_search_finds_without_a_network(documents: Open) -> None:
    page = documents("index.html")
    search = page.get_by_role("textbox", name="Search")
    search.click()
    search.press_sequentially("revert_failed")
    page.locator(".md-search-result__link").first.wait_for()


def test_on_a_phone_no_page_is_wider_than_the_screen(documents: Open, url: str, built: Path) -> None:
    page = documents("index.html", viewport={"width": 390, "height": 800})
    widths = {}
    for file in built.rglob("*.html"):
        path = file.relative_to(built).as_posix()
        page.goto(f"{url}/{path}", wait_until="load")
        widths[path] = page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in widths.items() if width > 390} == {}
