"""Forms made from a flow's schema: every kind of field, and errors where they belong."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.site import Site


def test_each_kind_of_argument(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).goto("/post/kinds")
    expect(page.get_by_label("size")).to_have_value("3")
    expect(page.get_by_text("What is kept", exact=True)).to_be_visible()
    expect(page.locator("#field-site-hint")).to_have_text("Where it is; an address, with https:// or the like")
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


def test_words_with_commas_between(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).goto("/post/kinds")
    expect(page.locator("#field-tags-hint")).to_have_text("With commas between, or JSON")
    page.get_by_label("text").fill("x")
    page.get_by_label("token").fill("env:PAGE_TOKEN")
    page.get_by_label("tags").fill("one, two three\nfour,")
    page.get_by_role("button", name="Post kinds").click()
    page.wait_for_url("**/jobs/*")
    job = page.url.rpartition("/")[2]
    assert shared_site.client.get(job).arguments["tags"] == ["one", "two three", "four"]


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
    page.get_by_label("Max retries").press_sequentially("1e")
    page.get_by_role("button", name="Post kinds").click()
    expect(page.locator("#option-max_retries-error")).to_have_text("This cannot be read.")
    expect(page.get_by_label("Max retries")).to_be_focused()
    page.get_by_label("Max retries").fill("2")
    page.get_by_role("button", name="Post kinds").click()
    expect(page.locator("#option-delay-error")).not_to_be_empty()
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


def test_what_is_emptied_is_empty(shared_site: Site, visit: Visit) -> None:
    """And not as it was, nor as it comes."""
    page = visit(shared_site).page
    page.goto("/post/failing")
    expect(page.get_by_label("why")).to_have_value("no space left")
    page.get_by_label("why").fill("")
    page.get_by_role("button", name="Post failing").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#arguments")).to_contain_text("empty")


def test_a_retry_sends_what_was_changed(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("notes", text="one\ntwo", label="a label", hint="a hint", size=12)
    visitor = visit(shared_site)
    page = visitor.goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("failed")
    page.get_by_role("button", name="Retry with other arguments").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("text")).to_have_value("one\ntwo")
    dialog.get_by_label("label").fill("")
    dialog.get_by_label("hint").fill("")
    dialog.get_by_label("size").fill("")
    dialog.get_by_role("button", name="Retry with these").click()
    expect(dialog.locator("#field-size-error")).to_have_text("It takes a number.")
    dialog.get_by_label("size").fill("12")
    with page.expect_request("**/retry") as asked:
        dialog.get_by_role("button", name="Retry with these").click()
    assert asked.value.post_data_json == {"arguments": {"label": "", "hint": None}}
    expect(dialog).to_be_hidden()


def test_an_argument_may_be_called_like_an_option(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).page
    page.goto("/post/notes")
    page.get_by_text("Options").click()
    ids = page.locator("#post [id]").evaluate_all("(all) => all.map((one) => one.id)")
    assert len(ids) == len(set(ids))
    page.get_by_label("timeout", exact=True).fill("the argument")
    page.get_by_label("Timeout", exact=True).fill("5m")
    with page.expect_request("**/api/jobs") as asked:
        page.get_by_role("button", name="Post notes").click()
    assert asked.value.post_data_json == {
        "flow": "notes",
        "arguments": {"timeout": "the argument"},
        "timeout": "5m",
    }


def test_a_page_that_could_not_be_filled_is_filled_later(shared_site: Site, visit: Visit) -> None:
    visitor = visit(shared_site)
    visitor.allow("ERR_FAILED|503")
    page = visitor.page
    for path, address in (("/post", "**/api/flows"), ("/post/kinds", "**/api/flows/kinds")):
        page.route(address, lambda route: route.fulfill(status=503, json={"detail": "the database is away"}))
        page.goto(path)
        expect(page.get_by_role("alert")).to_have_text("the database is away. Trying again.")
        page.unroute(address)
        expect(page.get_by_text("kinds").last).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
