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
    expect(page.locator(".chart .day")).to_have_text(["01-01", "01-02"])
    expect(page.locator(".chart title").nth(3)).to_have_text(
        "2026-01-01 14:00:00 (2026-01-01 13:00:00.000 UTC): 1,200 completed, 3 failed, 1,300 posted"
    )
    row = page.locator(".numbers tr").filter(has_text="2026-01-01 14:00:00")
    expect(row.get_by_role("cell")).to_have_text(["1,200", "0", "3", "0", "1,300"])
    visitor.looks_sound()


def test_the_focus_stays_where_numbers_change(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    small_site.post("wait", 2)
    page = visit(small_site).goto("/statistics")
    waiting = page.locator("#totals").get_by_role("link", name="2", exact=True)
    of_flow = page.get_by_role("link", name="wait", exact=True)
    expect(waiting).to_be_visible()
    of_flow.focus()
    small_site.post("wait", 3)
    expect(page.locator("#totals").get_by_role("link", name="5", exact=True)).to_be_visible()
    expect(of_flow).to_be_focused()


def test_a_conductor_that_is_gone(shared_site: Site, visit: Visit) -> None:
    """It takes no slots, and runs nothing; one that is there takes no more than it has."""
    told = {"host": "h", "pid": 1, "owner": "o", "flows": ["wait"], "slots": 2, "jobs": ["01a", "01b", "01c"]}
    told |= {"started_at": "2026-01-01T00:00:00.000000Z", "seen_at": "2026-01-01T00:00:00.000000Z"}
    both = [told | {"name": "here", "alive": True}, told | {"name": "away", "alive": False}]
    visitor = visit(shared_site)
    visitor.page.route("**/api/conductors", lambda route: route.fulfill(json=both))
    page = visitor.goto("/conductors")
    expect(page.locator("#summary")).to_have_text("1 of 2 alive, 2 of 2 slots taken.")
    here, away = page.locator(".conductor-card").nth(0), page.locator(".conductor-card").nth(1)
    expect(here).to_contain_text("2 of 2 slots")
    expect(here).to_contain_text("Runs")
    expect(away).to_contain_text("It had 2 slots.")
    expect(away).to_contain_text("Ran last")
