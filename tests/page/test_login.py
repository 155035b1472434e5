"""Who shows a token gets in; who may only read sees which buttons are off, and why."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.page.conftest import Visit
from tests.page.site import Site


def test_in_and_out_again(small_site: Site, visit: Visit) -> None:
    token = small_site.token("admin")
    small_site.serve("--require-token")
    [job] = small_site.post("wait")
    visitor = visit(small_site)
    visitor.allow("401")
    page = visitor.goto(f"/jobs/{job}")
    expect(page).to_have_url(f"{small_site.url}/login?next=%2Fjobs%2F{job}")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Wants a token.")
    page.get_by_label("Access token").fill("nonsense")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known")
    visitor.looks_sound()
    page.get_by_label("Access token").fill(token)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{small_site.url}/jobs/{job}")
    expect(page.locator("#state")).to_have_text("pending")
    expect(page.get_by_role("button", name="Cancel job")).not_to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto("/")
    expect(page).to_have_url(f"{small_site.url}/login?next=%2F")


def test_who_may_only_read(small_site: Site, visit: Visit) -> None:
    token = small_site.token("read")
    small_site.serve("--require-token")
    [job] = small_site.post("wait")
    page = logged_in(visit(small_site).page, token, "/")
    why = "Wants the role post; yours is read."
    row = page.locator("#rows tr")
    expect(row.get_by_role("button")).to_have_attribute("title", why)
    row.get_by_role("checkbox").check()
    for name in ("Cancel 1 job", "Retry"):
        expect(page.locator("#selection").get_by_role("button", name=name)).to_have_attribute("title", why)
    row.get_by_role("button").click(force=True)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"/jobs/{job}")
    for name in ("Cancel job", "Pause"):
        expect(page.get_by_role("button", name=name)).to_have_attribute("title", why)
    expect(page.locator("#plan")).to_contain_text(why)
    expect(page.get_by_role("button", name="Delete")).to_have_attribute(
        "title", "Wants the role admin; yours is read."
    )
    page.goto("/post/wait")
    expect(page.get_by_role("button", name="Post wait")).to_have_attribute("aria-disabled", "true")


def test_who_one_is_may_be_heard_later(small_site: Site, visit: Visit) -> None:
    """The server decides what one may; the page forbids nothing that it does not know."""
    small_site.serve()
    [job] = small_site.post("wait")
    visitor = visit(small_site)
    visitor.allow("500|ERR_")
    visitor.page.route("**/api/me", lambda route: route.fulfill(status=500))
    page = visitor.goto(f"/jobs/{job}")
    expect(page.get_by_role("button", name="Cancel job")).not_to_have_attribute("aria-disabled", "true")
    expect(page.locator("#who")).to_be_empty()
    page.unroute("**/api/me")
    small_site.stop_server()
    small_site.serve()
    expect(page.locator("#who .role")).to_have_text("admin")


def test_a_token_that_is_revoked_leads_to_the_login(small_site: Site, visit: Visit) -> None:
    token = small_site.token("post")
    small_site.serve("--require-token")
    visitor = visit(small_site)
    visitor.allow("401")
    page = logged_in(visitor.page, token, "/")
    for known in small_site.client.tokens():
        small_site.client.revoke_token(known.id)
    small_site.post("wait")  # makes the page ask
    page.wait_for_url("**/login?next=%2F")


def test_one_is_led_to_no_other_place(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).page
    for other in (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/%09/evil.example",
    ):
        page.goto("/")
        page.goto(f"/login?next={other}")
        expect(page.locator("#login")).to_have_attribute("data-next", "/")
    page.goto("/login?next=/jobs/01abc%3Fx=1")
    expect(page.locator("#login")).to_have_attribute("data-next", "/jobs/01abc?x=1")


def logged_in(page: Page, token: str, path: str) -> Page:
    page.goto(path)
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("html[data-live=yes]", state="attached")
    return page
