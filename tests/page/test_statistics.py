"""The chart of the last day: bars for what ended, dots for what was posted, and the same as a table."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.site import Site

_QUIET = {"completed": 0, "failed": 0, "cancelled": 0, "revert_failed": 0, "posted": 0}
_DAY = [{"from": f"2026-01-{1 + hour // 24:02}T{hour % 24:02}:00:00.000000Z", **_QUIET} for hour in range(10, 34)]
_DAY[3] |= {"completed": 1200, "failed": 3, "posted": 1300}
_DAY[23] |= {"cancelled": 7, "revert_failed": 1}


def test_the_last_day(shared_site: Site, visit: Visit) -> None:
    visitor = visit(shared_site)
    visitor.page.route("**/api/stats/day", lambda route: route.fulfill(json=_DAY))
    page = visitor.goto("/statistics")
    expect(page.locator(".legend")).to_contain_text("completed 1,200")
    expect(page.locator(".chart .ended")).to_have_count(4)
    expect(page.locator(".chart circle.posted")).to_have_count(1)
    page.get_by_text("As a table").click()
    row = page.locator(".numbers tr").filter(has_text="2026-01-01 14:00:00")
    expect(row.get_by_role("cell")).to_have_text(["1,200", "0", "3", "0", "1,300"])
    visitor.looks_sound()


def test_without_the_last_day(shared_site: Site, visit: Visit) -> None:
    visitor = visit(shared_site)
    visitor.page.route("**/api/stats/day", lambda route: route.fulfill(status=404, json={}))
    page = visitor.goto("/statistics")
    expect(page.get_by_role("heading", name="By flow")).to_be_visible()
    expect(page.locator("#day-panel")).to_be_hidden()
