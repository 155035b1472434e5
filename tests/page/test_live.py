"""What happens is seen as it happens, also after the server was away."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.site import Site

_HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


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
    page.evaluate(_HIDE, True)
    expect(page.locator("html")).to_have_attribute("data-live", "no")
    [job] = small_site.post("wait")
    page.evaluate(_HIDE, False)
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    expect(page.locator(f"tr[data-job='{job}']")).to_be_visible()
    small_site.client.cancel(job)
    expect(page.locator("#rows .badge")).to_have_text("cancelled")
