"""The lines of a log and of a history: all in their places, the newest first, and honest about what is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from jobboard import history
from tests.page.conftest import Visit
from tests.page.site import Site
from tests.page.visitor import look_away_and_back

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_what_comes_live_hides_nothing_that_was_before(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    _log(small_site, job, 5)
    visitor = visit(small_site)
    visitor.allow("ERR_FAILED")
    logs = "**/logs?*"
    visitor.page.route(logs, lambda route: route.abort())
    page = visitor.goto(f"/jobs/{job}")
    _log(small_site, job, 1, first=5, state="warning")
    lines = page.locator(".log-lines li")
    expect(lines).to_have_count(1)
    expect(lines).to_have_class("line warning")
    page.unroute(logs)
    look_away_and_back(page)
    expect(lines).to_have_count(6)
    assert [text.split()[-1] for text in lines.all_inner_texts()] == ["0", "1", "2", "3", "4", "5"]


def test_a_long_log_begins_with_its_newest_lines(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    _log(small_site, job, 2_300)
    page = visit(small_site).goto(f"/jobs/{job}")
    log = page.locator("#log")
    expect(log.get_by_text("The 1,000 newest lines")).to_be_visible()
    expect(log.locator("li").last).to_contain_text("line 2299")
    page.get_by_label("Search the log").fill("line 199")
    expect(log.get_by_text("10 of the 1,000 newest lines")).to_be_visible()
    expect(page.locator("#said")).to_have_text("10 of the 1,000 newest lines")
    page.get_by_label("Search the log").fill("")
    earlier = log.get_by_role("button", name="Show earlier lines")
    earlier.click()
    expect(log.get_by_text("The 2,000 newest lines")).to_be_visible()
    earlier.click()
    expect(log.get_by_text("2,300 lines", exact=True)).to_be_visible()
    expect(log.locator("li").first).to_contain_text("line 0")
    expect(earlier).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert len(download.value.path().read_text().splitlines()) == 2_300


def test_no_more_lines_than_the_page_holds(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    page = visit(small_site).goto("/")
    kept, first, earlier = page.evaluate(
        """async () => {
            const { Lines } = await import("/static/lines.js");
            const lines = new Lines("/api/nothing");
            for (let seq = 1; seq <= 5000; seq += 1) lines.hear({ seq });
            return [lines.held.length, lines.held[0].seq, lines.earlier];
        }"""
    )
    assert (kept, first, earlier) == (3_000, 2_001, True)


def test_a_long_history_says_so(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    at = small_site.client.database.now()
    tasks = [f"task {number}" for number in range(1_100)]
    _write(small_site, [history.NewLine(job, 1, at, history.TASK, task=task, state="running") for task in tasks])
    page = visit(small_site).goto(f"/jobs/{job}")
    told = page.locator("#history")
    expect(told.get_by_text("The 1,000 newest lines")).to_be_visible()
    expect(told.locator("li")).to_have_count(1_000)
    expect(page.locator("details.attempt summary")).to_contain_text("since before")
    told.get_by_role("button", name="Show earlier lines").click()
    expect(told.locator("li")).to_have_count(1_101)
    expect(told.locator("li").first).to_contain_text("pending")
    expect(told.get_by_text("newest lines")).to_have_count(0)


def test_the_date_of_what_is_not_of_today(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    at = small_site.client.database.now() - timedelta(days=3)
    states = [history.NewLine(job, 1, at, history.STATE, state=state) for state in ("running", "failed")]
    _write(small_site, [*states, history.NewLine(job, 1, at, history.LOG, message="long ago")])
    page = visit(small_site).goto(f"/jobs/{job}")
    expect(page.locator(".log-lines li")).to_have_count(1)
    date = page.evaluate("(at) => new Date(at).toLocaleDateString('sv-SE')", at.isoformat())
    for place in (".log-lines li", "#history li[data-seq]:last-child", "details.attempt summary"):
        expect(page.locator(place)).to_contain_text(date)
    expect(page.locator("#history li").first).not_to_contain_text(date[:4])
    expect(page.locator("details.attempt summary time")).to_have_attribute(
        "title", f"{at.isoformat(sep=' ', timespec='milliseconds')[:23]} UTC"
    )


def test_an_attempt_ends_where_nothing_runs_any_more(small_site: Site, visit: Visit) -> None:
    """Before an automatic retry, and when a conductor hands a job back; a cleanup is no cancel."""
    small_site.serve()
    page = visit(small_site).goto("/")
    failed = _attempts(page, "pending", "running", "reverting", "pending")
    assert (failed["to"], failed["marks"]) == (4, ["failure"])
    handed_back = _attempts(page, "pending", "running", "pending", "running")
    assert (handed_back["to"], handed_back["marks"]) == (None, [])
    cleaned = _attempts(page, "running", "cancelling", "cancelling", "revert_failed", "cancelling", "cancelled")
    assert (cleaned["to"], cleaned["marks"]) == (6, ["cancel"])
    failed_twice = _attempts(page, "running", "reverting", "revert_failed", "reverting", "failed")
    assert failed_twice["marks"] == ["failure"]
    kept = _attempts(page, "running", "failed", "pending")
    assert kept["to"] == 2


def _attempts(page: Page, *states: str) -> dict[str, object]:
    """The attempt that is made of lines of these states, one a second."""
    found: dict[str, object] = page.evaluate(
        """async (states) => {
            const { attemptsOf } = await import("/static/attempts.js");
            const lines = states.map((state, number) => ({
                kind: "state", attempt: 1, state, at: new Date(1000 * (number + 1)).toISOString(),
            }));
            const [attempt] = attemptsOf(lines);
            return { to: attempt.to && attempt.to / 1000, marks: attempt.marks.map((mark) => mark.what) };
        }""",
        list(states),
    )
    return found


def _log(site: Site, job: str, count: int, first: int = 0, state: str = "info") -> None:
    at = site.client.database.now()
    told = [f"line {number}" for number in range(first, first + count)]
    _write(site, [history.NewLine(job, 1, at, history.LOG, state=state, message=one) for one in told])


def _write(site: Site, lines: list[history.NewLine]) -> None:
    with site.client.database.write() as connection:
        history.append(connection, lines)
