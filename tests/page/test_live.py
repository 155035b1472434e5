"""What happens is seen as it happens, also after the server was away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.site import Site
from tests.page.visitor import look_away, look_away_and_back, look_back

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

_COUNT_STREAMS = """
window.streams = 0;
window.EventSource = class extends EventSource {
    constructor(...given) {
        super(...given);
        window.streams += 1;
    }
};
"""


def test_it_goes_on_after_the_server_restarts(site: Site, visit: Visit) -> None:
    site.serve()
    visitor, watcher = visit(site), visit(site)
    for one in (visitor, watcher):
        one.allow("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    [job] = site.post("wait")
    page = visitor.goto("/")
    watching = watcher.goto(f"/jobs/{job}")
    expect(page.locator("#rows tr")).to_have_count(1)
    site.stop_server()
    for one in (page, watching):
        expect(one.get_by_text("The connection to the server is lost.")).to_be_visible()
    site.client.cancel(job, "meanwhile")
    site.serve()
    for one in (page, watching):
        expect(one.get_by_text("The connection to the server is lost.")).to_be_hidden()
    expect(page.locator("#rows .badge")).to_have_text("cancelled")
    expect(watching.locator("#state")).to_have_text("cancelled")
    expect(watching.locator("#history")).to_contain_text("cancelled by ann: meanwhile")
    [newer] = site.post("wait")
    expect(page.locator(f"tr[data-job='{newer}']")).to_be_visible()


def test_a_hidden_tab_listens_again_when_it_is_seen(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    page = visit(small_site).goto("/")
    look_away(page)
    expect(page.locator("html")).to_have_attribute("data-live", "no")
    [job] = small_site.post("wait")
    look_back(page)
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    expect(page.locator(f"tr[data-job='{job}']")).to_be_visible()
    small_site.client.cancel(job)
    expect(page.locator("#rows .badge")).to_have_text("cancelled")


def test_only_a_job_is_told_what_was_missed(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    visitor = visit(small_site)
    page = visitor.goto("/")
    assert "after=" not in _stream_of(page)
    assert "after=" not in _stream_of(page)
    visitor.goto(f"/jobs/{job}")
    assert "after=" in _stream_of(page)


def test_a_tab_that_was_hidden_meanwhile_listens_to_nothing(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    visitor = visit(small_site)
    visitor.allow("ERR_")
    visitor.page.add_init_script(_COUNT_STREAMS)
    page = visitor.goto("/")
    held: list[Route] = []
    page.route("**/api/me", lambda route: held.append(route))  # noqa: PLW0108 - it keeps a note at it
    with page.expect_request("**/api/me"):
        small_site.stop_server()
    look_away(page)
    before = page.evaluate("window.streams")
    with page.expect_response("**/api/me"):
        held[0].fulfill(json={"name": "ann", "role": "read", "token": None})
    page.evaluate("new Promise((done) => setTimeout(done))")
    assert page.evaluate("window.streams") == before


def test_a_job_is_shown_without_a_stream(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    visitor = visit(small_site)
    visitor.allow("429")
    page = visitor.page
    page.route("**/events?*", lambda route: route.fulfill(status=429, json={"detail": "250 streams are open"}))
    page.goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("pending")
    expect(page.locator("#history li")).to_have_count(1)
    expect(page.get_by_text("The connection to the server is lost.")).to_be_visible()
    small_site.client.cancel(job)
    expect(page.locator("#state")).to_have_text("cancelled")


def test_a_job_at_rest_that_is_deleted(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    small_site.client.cancel(job)
    visitor = visit(small_site)
    visitor.allow("404")  # it may ask for the job before it is told
    visitor.page.add_init_script(_COUNT_STREAMS)
    page = visitor.goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("cancelled")
    small_site.client.delete(job)
    expect(page.get_by_text("This job was deleted.")).to_be_visible()
    for left in ("#state", "#how-far", "#requests", "#tasks", "#receipt"):
        expect(page.locator(left)).to_be_hidden()
    before = page.evaluate("window.streams")
    look_away_and_back(page)
    assert page.evaluate("window.streams") == before


def test_a_problem_that_passes_leaves_the_error_of_the_job(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("failing")
    visitor = visit(shared_site)
    visitor.allow("500")
    page = visitor.goto(f"/jobs/{job}")
    expect(page.locator("#error")).to_contain_text("no space left")
    page.route(f"**/api/jobs/{job}", lambda route: route.fulfill(status=500, json={"detail": "a wheel is off"}))
    look_away_and_back(page)
    expect(page.locator("#problem")).to_have_text("a wheel is off")
    expect(page.locator("#error")).to_contain_text("no space left")
    page.unroute(f"**/api/jobs/{job}")
    look_away_and_back(page)
    expect(page.locator("#problem")).to_be_empty()
    expect(page.locator("#error")).to_contain_text("no space left")


def test_an_answer_that_breaks_off_or_does_not_come(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    page = visit(small_site).goto("/")
    page.route("**/api/broken", lambda route: route.fulfill(body='{"jobs": ['))
    page.route("**/api/slow", lambda _route: None)
    said = page.evaluate(
        """async () => {
            const { get, Problem } = await import("/static/api.js");
            const told = (failed) => failed instanceof Problem && failed.passes && failed.message;
            return Promise.all([get("/api/broken").catch(told), get("/api/slow", 50).catch(told)]);
        }"""
    )
    assert said == ["The answer of the server broke off", "The server cannot be reached"]


def _stream_of(page: Page) -> str:
    """The address of the stream that is opened when the tab is seen again."""
    with page.expect_request("**/events?*") as request:
        look_away_and_back(page)
    page.wait_for_selector("html[data-live=yes]", state="attached")
    return request.value.url
