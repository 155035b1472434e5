"""Forms made from a flow's schema: every kind of field, and errors where they belong."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.site import Site


def test_each_kind_of_argument(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).goto("/post/kinds")
    expect(page.get_by_label("size")).to_have_value("3")
    expect(page.get_by_text("What is kept")).to_be_visible()
    expect(page.get_by_label("token")).to_have_attribute("type", "password")
    page.get_by_label("text").fill("<b>bold</b>")
    page.get_by_label("token").fill("env:PAGE_TOKEN")
    page.get_by_label("size").fill("7")
    page.get_by_label("loud").check()
    page.get_by_label("colour").select_option("red")
    page.get_by_label("tags").fill('["one", "two"]')
    page.get_by_label("site").fill("https://example.org")
    page.get_by_text("Options").click()
    page.get_by_label("Priority").select_option("high")
    page.get_by_label("Timeout").fill("5m")
    page.get_by_label("Key").fill("the only one")
    page.get_by_role("button", name="Post kinds").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#state")).to_have_text("completed")
    arguments = page.locator("#arguments")
    for shown in ("<b>bold</b>", "7", "0.5", "true", "red", "two", "https://example.org"):
        expect(arguments).to_contain_text(shown)
    expect(arguments).not_to_contain_text("PAGE_TOKEN")
    expect(page.locator("#facts")).to_contain_text("the only one")
    expect(page.locator("#facts")).to_contain_text("high")
    expect(page.locator("#results")).to_contain_text("<b>bold</b>")


def test_errors_stand_at_their_fields(shared_site: Site, visit: Visit) -> None:
    visitor = visit(shared_site)
    visitor.allow("422")
    page = visitor.goto("/post/kinds")
    page.get_by_label("limits").fill("{a: 1}")
    page.get_by_role("button", name="Post kinds").click()
    expect(page.locator("#field-limits-error")).to_contain_text("This is no JSON")
    expect(page.get_by_label("limits")).to_be_focused()
    page.get_by_label("limits").fill('{"a": "many"}')
    page.get_by_label("size").fill("12")
    page.get_by_role("button", name="Post kinds").click()
    expect(page.locator("#field-text-error")).not_to_be_empty()
    expect(page.locator("#field-token-error")).not_to_be_empty()
    expect(page.locator("#field-size-error")).to_contain_text("9")
    expect(page.locator("#field-limits-error")).not_to_be_empty()
    expect(page.get_by_label("text")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("text")).to_be_focused()
    page.get_by_label("text").fill("now")
    page.get_by_label("token").fill("env:PAGE_TOKEN")
    page.get_by_label("size").fill("9")
    page.get_by_label("limits").fill("")
    page.get_by_text("Options").click()
    page.get_by_label("Delay").fill("soon")
    page.get_by_role("button", name="Post kinds").click()
    expect(page.locator("#field-delay-error")).not_to_be_empty()
    page.get_by_label("Delay").fill("1h")
    page.get_by_role("button", name="Post kinds").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#state")).to_have_text("pending")


def test_a_key_gives_the_job_back(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).page
    urls = []
    for _ in range(2):
        page.goto("/post/wait")
        page.get_by_label("folder").fill(str(shared_site.gates))
        page.get_by_text("Options").click()
        page.get_by_label("Key").fill("once")
        page.get_by_role("button", name="Post wait").click()
        page.wait_for_url("**/jobs/*")
        urls.append(page.url)
    assert urls[0] == urls[1]
    expect(page.get_by_text("nothing was posted")).to_be_visible()


def test_the_flows_to_choose(shared_site: Site, visit: Visit) -> None:
    visitor = visit(shared_site)
    visitor.page.goto("/post")
    page = visitor.page
    page.get_by_role("link", name="kinds").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("kinds")
    visitor.allow("404")
    page.goto("/post/kind")
    expect(page.get_by_role("heading", level=1)).to_have_text("No flow is called kind")
