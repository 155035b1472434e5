"""Every page, wide and narrow, light and dark: whole, reachable, and by the rules of accessibility."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Visit
from tests.page.site import Site
from tests.page.visitor import Visitor

_WAYS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "reduced_motion": "reduce"},
}


@pytest.mark.parametrize("way", _WAYS)
def test_every_page(shared_site: Site, visit: Visit, way: str) -> None:
    visitor = visit(shared_site, **_WAYS[way])
    [failed] = shared_site.post("failing", why="no space left on device " * 40)
    [dirty] = shared_site.post("dirty")
    [running] = shared_site.post("gated")
    page = visitor.goto("/")
    for job, state in ((failed, "failed"), (dirty, "revert failed"), (running, "running")):
        expect(page.locator(f"tr[data-job='{job}'] .badge")).to_have_text(state)
        page.locator(f"tr[data-job='{job}'] input").check()
    _check(visitor, None, "3 selected")
    page.get_by_role("button", name="Cancel 1 of 3 jobs").click()
    _check(visitor, None, "will be reverted")
    page.keyboard.press("Escape")
    _check(visitor, f"/jobs/{failed}", "no space left")
    _check(visitor, f"/jobs/{dirty}", "the network is still in use")
    page.get_by_role("button", name="Give the effects up and retry").click()
    _check(visitor, None, "What became of the effects")
    _check(visitor, f"/jobs/{running}", "will be reverted")
    page.get_by_role("button", name="Cancel job").click()
    _check(visitor, None, "Being cancelled")
    _check(visitor, "/post", "Take an argument of each kind.")
    page.goto("/post/kinds")
    page.get_by_text("Options").click()
    _check(visitor, None, "Max retries")
    _check(visitor, "/conductors", "of 12 slots")
    _check(visitor, "/statistics", "failing")
    _check(visitor, "/login", "Access token")


def test_nothing_is_there_yet(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    visitor = visit(small_site)
    _check(visitor, "/", "poster post FLOW")
    _check(visitor, "/conductors", "conductor run")
    _check(visitor, "/statistics", "poster post FLOW")


def test_times_are_in_one_zone(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("wait")
    page = visit(shared_site).goto(f"/jobs/{job}")
    expect(page.locator("#zone")).to_contain_text("Europe/Berlin")
    posted = page.locator("#facts time").first
    expect(posted).to_have_attribute("title", _any_utc())
    at = posted.get_attribute("datetime")
    shown = page.evaluate("(at) => new Date(at).toLocaleTimeString('sv-SE')", at)
    expect(posted).to_contain_text(shown)


def test_the_headers_of_a_page(shared_site: Site, visit: Visit) -> None:
    response = visit(shared_site).page.goto("/")
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-frame-options"] == "DENY"


def test_a_file_is_asked_for_again_but_not_sent_again(shared_site: Site, visit: Visit) -> None:
    request = visit(shared_site).page.request
    first = request.get("/static/base.css")
    again = request.get("/static/base.css", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status, again.status) == (200, 304)
    assert request.get("/static/%2e%2e%2fpages.py").status == 404
    assert request.get("/static/pages.py").status == 404


def _check(visitor: Visitor, path: str | None, text: str) -> None:
    page: Page = visitor.page
    if path is not None:
        page.goto(path)
    expect(page.get_by_text(text).and_(page.locator(":visible")).first).to_be_visible()
    expect(page.locator("h1")).to_have_count(1)
    visitor.looks_sound()
    visitor.fits()


def _any_utc() -> Any:
    import re

    return re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$")
