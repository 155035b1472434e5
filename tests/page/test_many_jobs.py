"""The list: many jobs cancelled and retried at once, filters in the address, pages, keys."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from poster import PostRequest
from tests.page.conftest import Visit
from tests.page.site import Site

_JOB = {"id": "01a", "flow": "wait", "attempt": 1, "progress": 0.0, "error": None, "reason": None, "key": None}
_JOB |= {"conductor": "one", "cancel": None, "tasks": [], "posted_at": "2026-01-01T00:00:00.000000Z"}
_JOB |= {"started_at": "2026-01-01T00:00:00.000000Z", "finished_at": None}

_ROW = """async ([job, event]) => {
    const { Row } = await import("/static/row.js");
    const row = new Row(job, {});
    if (event) row.progress(event);
    return { far: row.far.textContent, took: row.took.textContent };
}"""

_REACH = """async (matching) => {
    const { CANCEL, RETRY, reachOfAll, reachWords } = await import("/static/reach.js");
    return [CANCEL, RETRY].map((request) => {
        const reach = reachOfAll(request, matching);
        return reach.off ?? reachWords(request, reach);
    });
}"""

_ANSWERS = """async (answers) => {
    const { answersElement } = await import("/static/answers.js");
    return [...answersElement(answers).querySelectorAll("summary")].map((one) => one.textContent);
}"""


def _answer(number: int, *, ok: bool) -> dict[str, Any]:
    job = f"01h{number:023}"
    error = None if ok else f"job {job}: already completed, nothing to cancel"
    return {"id": job, "ok": ok, "state": "cancelled" if ok else "completed", "error": error}


def test_fifty_are_cancelled_at_once(site: Site, visit: Visit) -> None:
    site.start("--slots", "2")
    site.post("wait", 50)
    page = visit(site).goto("/")
    expect(page.locator("#rows .badge[data-state=running]")).to_have_count(2)
    page.get_by_label("Select all jobs of this page").check()
    page.get_by_role("button", name="Cancel 50 jobs").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("a wrong batch")
    dialog.get_by_role("button", name="Cancel 50 jobs").click()
    expect(dialog.locator(".answers li[data-ok=true]")).to_have_count(50)
    expect(dialog).to_contain_text("Cancel accepted for 50 jobs.")
    dialog.get_by_role("button", name="Close").first.click()
    site.open("undo")
    expect(page.locator("#rows .badge[data-state=cancelled]")).to_have_count(50)
    expect(chip(page, "cancelled")).to_contain_text("50")


def test_all_that_match(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    small_site.post("wait", 55)
    small_site.post("failing", 1)
    page = visit(small_site).goto("/?flow=wait")
    expect(page.locator("#rows tr")).to_have_count(50)
    page.get_by_label("Select all jobs of this page").check()
    page.get_by_role("button", name="Select all 55 jobs that match").click()
    page.get_by_role("button", name="Cancel 55 jobs").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("These are the jobs of flow “wait” that are pending or")
    dialog.get_by_role("button", name="Cancel all 55 jobs").click()
    expect(dialog.locator(".answers li[data-ok=true]")).to_have_count(55)
    dialog.get_by_role("button", name="Close").first.click()
    # Retried: only those that are selected, and what cannot be is not asked for.
    expect(page.locator("#rows .badge[data-state=cancelled]")).to_have_count(50)
    page.locator("#rows input").nth(0).check()
    page.locator("#rows input").nth(3).check()
    expect(page.locator("#selection")).to_contain_text("2 selected")
    cancel = page.locator("#selection").get_by_role("button", name="Cancel")
    expect(cancel).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#why-not")).to_have_text("None of the 2 selected can be cancelled.")
    page.get_by_role("button", name="Retry 2 jobs").click()
    dialog.get_by_role("button", name="Retry 2 jobs").click()
    expect(dialog).to_contain_text("Retry accepted for 2 jobs.")


def test_filters_stand_in_the_address(small_site: Site, visit: Visit) -> None:
    small_site.start()
    [failed] = small_site.post("failing", why="no space left on the disk")
    small_site.post("wait", 3)
    page = visit(small_site).goto("/")
    expect(page.locator("#rows tr")).to_have_count(4)
    chip(page, "failed").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    assert query(page) == {"state": ["failed"]}
    page.reload()
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(chip(page, "failed")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.locator("#rows tr")).to_have_count(4)
    page.get_by_label("Search by id").fill("SPACE LEFT")
    expect(page.locator("#rows tr")).to_have_count(1)
    assert query(page) == {"q": ["SPACE LEFT"]}
    page.get_by_label("Search by id").fill(failed[:18])
    expect(page.locator("#rows tr")).to_have_attribute("data-job", failed)
    page.get_by_label("Search by id").fill("nothing of the kind")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator("#states .chip").first).to_be_focused()
    page.get_by_label("Flow").select_option("wait")
    expect(page.locator("#rows tr")).to_have_count(3)
    assert query(page) == {"flow": ["wait"]}


def test_pages(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    jobs = small_site.post("wait", 60)
    page = visit(small_site).goto("/")
    expect(page.locator("#rows tr").first).to_have_attribute("data-job", jobs[-1])
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#rows tr")).to_have_count(10)
    expect(page.locator("#rows tr").last).to_have_attribute("data-job", jobs[0])
    expect(page.get_by_role("link", name="Older")).to_be_hidden()
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("#rows tr")).to_have_count(50)


def test_who_looks_keeps_the_place(small_site: Site, visit: Visit) -> None:
    """Rows come and change; focus, selection and what is written stay."""
    small_site.serve()
    jobs = small_site.post("wait", 30)
    page = visit(small_site).goto("/")
    row = page.locator(f"tr[data-job='{jobs[5]}']")
    row.get_by_role("checkbox").check()
    row.focus()
    place = row.bounding_box()
    small_site.client.cancel(jobs[6])
    [newest] = small_site.post("wait")
    expect(page.locator("#rows tr").first).to_have_attribute("data-job", newest)
    expect(page.locator(f"tr[data-job='{jobs[6]}'] .badge")).to_have_text("cancelled")
    expect(row).to_be_focused()
    expect(row.get_by_role("checkbox")).to_be_checked()
    moved = row.bounding_box()
    assert place
    assert moved
    assert abs(moved["y"] - place["y"]) < 2 * place["height"]


def test_by_keyboard_only(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    jobs = small_site.post("wait", 3)
    page = visit(small_site).goto("/")
    keys = page.keyboard
    expect(page.locator("#rows tr")).to_have_count(3)
    keys.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    keys.press("/")
    expect(page.get_by_label("Search by id")).to_be_focused()
    keys.press("Escape")
    expect(page.locator(f"tr[data-job='{jobs[2]}']")).to_be_focused()
    keys.press("ArrowDown")
    keys.press("Space")
    keys.press("ArrowDown")
    keys.press("Space")
    expect(page.locator("#selection")).to_contain_text("2 selected")
    for _ in range(20):
        keys.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent") == "Cancel 2 jobs":
            break
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#selection").get_by_role("button", name="Cancel 2 jobs")).to_be_focused()
    keys.press("Enter")
    dialog.get_by_label("Reason").focus()
    keys.type("by hand")
    keys.press("Enter")
    expect(dialog).to_contain_text("Cancel accepted for 2 jobs.")
    keys.press("Escape")
    expect(page.locator("#rows .badge[data-state=cancelled]")).to_have_count(2)
    expect(page.locator("#rows tr[tabindex='0']")).to_be_focused()
    keys.press("/")
    keys.press("Escape")
    keys.press("Enter")
    page.wait_for_url("**/jobs/*")


def test_ten_thousand(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    small_site.post("wait", 10_000)
    page = visit(small_site).goto("/")
    expect(chip(page, "pending")).to_contain_text("10,000")
    page.get_by_label("Select all jobs of this page").check()
    page.get_by_role("button", name="Select all 10,000 jobs that match").click()
    page.get_by_role("button", name="Cancel 10,000 jobs").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel all 10,000 jobs").click()
    expect(dialog).to_contain_text("Cancel accepted for 10,000 jobs.", timeout=60_000)
    dialog.get_by_text("10,000 jobs: cancelled").click()
    expect(dialog.locator(".answers li")).to_have_count(500)
    dialog.get_by_role("button", name="Show 500 more of 9,500").click()
    expect(dialog.locator(".answers li")).to_have_count(1000)
    expect(dialog.locator(".answers li a").nth(500)).to_be_focused()
    page.keyboard.press("Escape")
    expect(chip(page, "cancelled")).to_contain_text("10,000")


def test_a_search_asks_the_server(small_site: Site, visit: Visit) -> None:
    """Also for what a list does not carry, what is old, and what looks like the beginning of an id."""
    small_site.serve()
    [oldest] = small_site.post("wait")
    keyed = small_site.client.post(PostRequest("failing", {"why": "in the arguments only"}, key="0012345"))
    small_site.post("wait", 600)
    page = visit(small_site).goto(f"/?q={oldest}")
    search = page.get_by_label("Search by id")
    expect(page.locator("#rows tr")).to_have_attribute("data-job", oldest)
    for words in ("0012345", "ARGUMENTS only"):
        search.fill(words)
        expect(page.locator("#rows tr")).to_have_attribute("data-job", keyed)
    search.fill("wait")
    expect(page.locator("#rows tr")).to_have_count(50)
    page.get_by_label("Select all jobs of this page").check()
    page.get_by_role("button", name="Select all that match").click()
    page.get_by_role("button", name="Cancel all that match and can be cancelled").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("with “wait”")
    dialog.get_by_role("button", name="Cancel all that match").click()
    expect(dialog).to_contain_text("Cancel accepted for 601 jobs.")


def test_a_search_goes_further(shared_site: Site, visit: Visit) -> None:
    """What was not looked through is not said not to match."""
    pages = [{"jobs": [], "next_cursor": "01h"}, {"jobs": [], "next_cursor": None}]
    visitor = visit(shared_site)
    visitor.page.route("**/api/jobs?*", lambda route: route.fulfill(json=pages["cursor=01h" in route.request.url]))
    page = visitor.goto("/?q=nowhere")
    expect(page.get_by_text("No job matches among the 10,000 newest looked through.")).to_be_visible()
    page.get_by_role("button", name="Look further").click()
    expect(page.get_by_text("No older job matches.")).to_be_visible()
    assert query(page) == {"q": ["nowhere"], "cursor": ["01h"]}


def test_what_is_not_known_is_not_called_empty(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    small_site.post("wait", 1)
    visitor = visit(small_site)
    visitor.allow("500")
    visitor.page.route("**/api/jobs?*", lambda route: route.fulfill(status=500, json={}))
    page = visitor.goto("/")
    expect(page.get_by_role("alert")).to_have_text("The server answered 500. Trying again.")
    expect(chip(page, "pending")).to_contain_text("1")
    expect(page.locator("#empty")).to_be_empty()
    page.unroute("**/api/jobs?*")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.goto("/?cursor=0000")
    expect(page.get_by_text("There are no older jobs.")).to_be_visible()
    expect(page.get_by_text("There are no jobs yet.")).to_be_hidden()


def test_all_that_allow_it(small_site: Site, visit: Visit) -> None:
    """How many of a filter's jobs a request reaches, and which."""
    small_site.serve()
    jobs = small_site.post("gated", 60)
    small_site.client.cancel(jobs[0])
    page = visit(small_site).goto("/?state=pending&state=cancelled&flow=gated")
    selection, dialog = page.locator("#selection"), page.get_by_role("dialog")
    page.get_by_label("Select all jobs of this page").check()
    page.get_by_role("button", name="Select all 60 jobs that match").click()
    expect(selection.get_by_role("button", name="Retry 1 of 60 jobs")).to_be_visible()
    selection.get_by_role("button", name="Cancel 59 of 60 jobs").click()
    expect(dialog).to_contain_text("Nothing has begun, so nothing is to be reverted.")
    expect(dialog).to_contain_text("These are the jobs of flow “gated” that are pending.")
    expect(dialog).to_contain_text("The other one that matches cannot be cancelled, and is left alone.")
    dialog.get_by_role("button", name="Cancel all 59 jobs").click()
    expect(dialog.get_by_role("status")).to_have_text("Cancel accepted for 59 jobs.")
    expect(dialog.get_by_role("status")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#rows tr[tabindex='0']")).to_be_focused()


def test_what_a_cancel_of_some_cannot_undo(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).goto("/")
    jobs = shared_site.post("gated", 2)
    [idle] = shared_site.client.post_many([PostRequest("wait", {"folder": "."}, delay_s=3600)])
    for job in (*jobs, idle.id):
        page.locator(f"tr[data-job='{job}'] input").check()
    shared_site.open("reserve")
    for job in jobs:
        expect(page.locator(f"tr[data-job='{job}'] .far")).to_have_text("33 %")
    page.locator("#selection").get_by_role("button", name="Cancel 3 jobs").click()
    expect(page.get_by_role("dialog")).to_contain_text(
        "2 tasks of 2 jobs will be reverted. 1 job has not begun. “charge” of 2 jobs cannot be undone."
    )


def test_why_not_is_found_by_touch(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    small_site.client.cancel(job)
    small_site.client.cancel(small_site.post("wait")[0])
    page = visit(small_site, has_touch=True, viewport={"width": 390, "height": 740}).goto("/?q=" + job)
    page.locator("#rows input").tap()
    selection = page.locator("#selection")
    expect(selection.locator("#why-not")).to_have_text("It is cancelled already.")
    expect(selection.locator("#why-not")).to_be_visible()
    page.get_by_role("button", name="Clear selection").tap()
    expect(page.locator("#rows tr")).to_be_focused()


def test_a_row_counts_what_is_reverted(shared_site: Site, visit: Visit) -> None:
    """By what the stream says, whoever began it: a failure, too."""
    page = visit(shared_site).goto("/")
    states = ("reverted", "reverted", "reverting", "pending")
    event = {"attempt": 2, "progress": 0.5, "tasks": [{"state": state} for state in states]}
    for state in ("reverting", "cancelling"):
        shown = page.evaluate(_ROW, [_JOB | {"state": state, "attempt": 2}, event])
        assert shown["far"] == "2/3 reverted"


def test_a_row_counts_the_time_of_what_is_at_work(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).goto("/")
    for state, counts in (("running", True), ("reverting", True), ("paused", False), ("pending", False)):
        shown = page.evaluate(_ROW, [_JOB | {"state": state}, None])
        assert bool(shown["took"]) == counts, state
    ended = _JOB | {"state": "completed", "finished_at": "2026-01-01T00:00:02.000000Z"}
    assert page.evaluate(_ROW, [ended, None])["took"] == "2.00 s"


def test_a_narrow_row_says_attempt_and_conductor(shared_site: Site, visit: Visit) -> None:
    shared_site.open("undo")
    [job] = shared_site.post("wait")
    visitor = visit(shared_site, viewport={"width": 390, "height": 740}, has_touch=True)
    page = visitor.goto(f"/?q={job}")
    row = page.locator(f"tr[data-job='{job}']")
    expect(row.locator(".badge")).to_have_text("running")
    shared_site.client.cancel(job)
    expect(row.locator(".badge")).to_have_text("cancelled")
    shared_site.client.retry(job)
    expect(row.locator(".more")).to_have_text("attempt 2, one")
    expect(row.locator(".more")).to_be_visible()
    visitor.fits()
    # What has completed can be neither cancelled nor retried: its button says so to a finger.
    shared_site.open("gate")
    expect(row.locator(".badge")).to_have_text("completed")
    row.get_by_role("button").tap(force=True)
    expect(row.get_by_text("It has completed: nothing is left to cancel.")).to_be_visible()


def test_a_button_says_what_it_reaches(shared_site: Site, visit: Visit) -> None:
    page = visit(shared_site).goto("/")
    counts = {"pending": 70, "completed": 50, "failed": 5}
    for states, cancel, retry in (
        (None, "Cancel 70 of 125 jobs", "Retry 5 of 125 jobs"),
        (["pending", "completed"], "Cancel 70 of 120 jobs", "What is pending or completed cannot be retried."),
        (["failed"], "Cancel up to 5 jobs", "Retry 5 jobs"),
        (["completed"], "What is completed cannot be cancelled.", "What is completed cannot be retried."),
        (["running"], "None of the 0 selected can be cancelled.", "What is running cannot be retried."),
    ):
        matching = {"filter": {"state": states, "flow": None}, "counts": counts}
        assert page.evaluate(_REACH, matching) == [cancel, retry]
    assert page.evaluate(_REACH, {"filter": {"state": None, "flow": None, "q": "x"}, "counts": None}) == [
        "Cancel all that match and can be cancelled",
        "Retry all that match and can be retried",
    ]


def test_answers_are_grouped_by_what_was_said(shared_site: Site, visit: Visit) -> None:
    """Each job has its answer, also where thousands are refused."""
    page = visit(shared_site).goto("/")
    refused = [_answer(number, ok=False) for number in range(700)]
    shown = page.evaluate(_ANSWERS, [*refused, _answer(700, ok=True)])
    assert shown == ["700 jobs: already completed, nothing to cancel", "1 job: cancelled"]


def chip(page: Page, state: str):  # noqa: ANN201, RUF100 - a locator
    return page.locator(f"#states .chip.{state}")


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)
