"""What is asked of a job by its page: what is off says why, what is refused stays told, the focus is not lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.site import Site
from tests.page.visitor import look_away_and_back
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route


def test_a_cancel_of_which_no_answer_comes(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    visitor = visit(small_site)
    visitor.allow("ERR_FAILED")
    page = visitor.goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("pending")
    page.route(f"**/api/jobs/{job}*", lambda route: route.abort())
    page.route(f"**/api/jobs/{job}/cancel", lambda route: route.abort())
    page.get_by_role("button", name="Cancel job").click()
    expect(page.get_by_role("alert")).to_have_text("The server cannot be reached")
    expect(page.locator("#receipt")).to_be_hidden()


def test_a_refusal_stays_until_something_else_happens(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    visitor = visit(small_site)
    visitor.allow("409")

    def too_late(route: Route) -> None:
        small_site.client.cancel(job)
        route.continue_()

    page = visitor.goto(f"/jobs/{job}")
    page.route(f"**/api/jobs/{job}/pause", too_late)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("cancelled")
    expect(page.get_by_role("alert")).to_contain_text("it is cancelled")
    with page.expect_response(lambda response: response.url.endswith(job)):
        look_away_and_back(page)
    expect(page.get_by_role("alert")).to_contain_text("it is cancelled")
    small_site.client.retry(job)
    expect(page.locator("#state")).to_have_text("pending")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_was_read_before_an_answer_is_old(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    page = visit(small_site).goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("pending")
    expect(page.locator("#plan")).not_to_be_empty()
    held: list[Route] = []
    answered: list[bool] = []
    page.route(f"**/api/jobs/{job}", lambda route: route.continue_() if answered else held.append(route))
    before = page.request.get(f"/api/jobs/{job}").json()
    with page.expect_request(lambda request: request.url.endswith(job)):
        look_away_and_back(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    answered.append(True)
    with page.expect_request(lambda request: request.url.endswith(job)):  # the next one, so these were heard
        for route in held:
            route.fulfill(json=before)
    expect(page.locator("#state")).to_have_text("paused")
    expect(page.locator("#said")).not_to_contain_text("pending")


def test_nothing_can_be_asked_before_the_job_is_there(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    page = visit(small_site).page
    held: list[Any] = []
    is_open = False

    def hold(route: Any) -> None:
        if is_open:
            route.continue_()
        else:
            held.append(route)

    page.route(f"**/api/jobs/{job}", hold)
    page.goto(f"/jobs/{job}")
    page.wait_for_selector("html[data-live=yes]", state="attached")
    expect(page.locator("#requests button").first).to_be_attached()
    expect(page.locator("#requests button:visible")).to_have_count(0)
    until(lambda: page.wait_for_timeout(10) or held, what="it to ask for the job")
    is_open = True
    for route in held:
        route.continue_()
    page.get_by_role("button", name="Pause", exact=True).press("Enter")
    expect(page.locator("#state")).to_have_text("paused")


def test_the_focus_goes_to_what_is_next(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    page = visit(small_site).goto(f"/jobs/{job}")

    def button(name: str) -> Any:
        return page.get_by_role("button", name=name, exact=True)

    button("Pause").press("Enter")
    expect(button("Resume")).to_be_focused()
    page.get_by_label("Reason for the cancel").press("Enter")
    expect(page.locator("#state")).to_have_text("cancelling")
    expect(page.locator("#requests button:focus")).to_have_count(1)
    small_site.conduct()
    small_site.open("undo")
    expect(page.locator("#state")).to_have_text("cancelled")
    button("Retry with other arguments…").press("Enter")
    page.get_by_role("dialog").get_by_label("folder").press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#requests button:focus")).to_have_count(1)


def test_a_retry_that_goes_on(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("keeping")
    page = visit(shared_site).goto(f"/jobs/{job}")
    expect(page.get_by_role("button", name="Go on at the failed task")).to_be_visible()
    _is_off(page, "Retry with other arguments", "its results are kept")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_reverts_of_a_flow_that_has_changed(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("dirty")
    shared_site.client.wait([job])
    error = {"task": None, "type": "FlowChanged", "message": "its structure is another"}
    visitor = visit(shared_site)
    visitor.page.route(f"**/api/jobs/{job}", _changed(error=error))
    page = visitor.goto(f"/jobs/{job}")
    expect(page.locator("#error")).to_contain_text("FlowChanged")
    _is_off(page, "Run the failed reverts again", "clean up by hand")


def test_a_job_that_is_going_to_be_deleted(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("gated")
    visitor = visit(shared_site)
    visitor.allow("404")  # it may ask for the job before it is told
    page = visitor.goto(f"/jobs/{job}")
    expect(page.locator("tr[data-task=reserve] .badge")).to_have_text("running")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel and delete").click()
    expect(page.locator("#how-far")).to_contain_text("It is going to be deleted when its effects are reverted.")
    _is_off(page, "Delete", "going to be deleted")
    expect(page.locator("#receipt")).to_contain_text("Accepted")
    shared_site.open("undo")
    expect(page.get_by_text("This job was deleted.")).to_be_visible()


def test_the_plan_describes_the_cancel(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    page = visit(small_site).goto(f"/jobs/{job}")
    cancel = page.get_by_role("button", name="Cancel job")
    expect(cancel).to_have_accessible_description("Nothing has begun, so nothing is to be reverted.")
    page.route(f"**/api/jobs/{job}", _changed(reason="nothing that moves it"))
    look_away_and_back(page)
    expect(page.locator("#how-far")).to_contain_text("nothing that moves it")
    expect(cancel).to_have_attribute("aria-describedby", "plan")


def test_a_drag_out_of_a_dialog_does_not_close_it(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    [job] = small_site.post("wait")
    page = visit(small_site).goto(f"/jobs/{job}")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").hover()
    page.mouse.down()
    page.mouse.move(5, 5)
    page.mouse.up()
    expect(dialog).to_be_visible()
    page.mouse.click(5, 5)
    expect(dialog).to_have_count(0)


def test_the_same_problem_is_said_once(small_site: Site, visit: Visit) -> None:
    small_site.serve()
    page = visit(small_site).goto("/")
    same = page.evaluate(
        """async () => {
            const { showProblem } = await import("/static/said.js");
            const place = document.getElementById("problem");
            showProblem(place, new Error("no room"));
            const first = place.firstChild;
            showProblem(place, new Error("no room"));
            return first === place.firstChild;
        }"""
    )
    assert same


def _is_off(page: Page, name: str, why: str) -> None:
    """A button is off, and says why to who presses it."""
    button = page.get_by_role("button", name=name)
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)
    expect(page.locator(".why-off:popover-open")).to_contain_text(why, ignore_case=True)
    page.keyboard.press("Escape")


def _changed(**changes: Any) -> Callable[[Route], None]:
    """Answers what the server does, but for some of it."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=json.dumps(response.json() | changes))

    return answer
