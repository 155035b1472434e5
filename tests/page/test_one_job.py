"""One job: posted by a form, watched, cancelled by the button, retried; and jobs that end badly."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.page.conftest import Visit
from tests.page.site import Site


def test_from_the_form_to_the_end(site: Site, visit: Visit) -> None:
    site.start()
    ann, bob, eve = visit(site), visit(site), visit(site)
    # Posted by the form, and watched by two others: on the job's page, and on the list.
    page = ann.goto("/post/gated")
    page.get_by_label("folder").fill(str(site.gates))
    page.get_by_role("button", name="Post gated").click()
    page.wait_for_url("**/jobs/*")
    watching = bob.goto(page.url)
    listing = eve.goto("/")
    row = listing.locator("#rows tr")
    site.open("reserve")
    for one in (page, watching):
        expect(one.locator("tr[data-task=charge] .badge")).to_have_text("running")
    expect(row.locator(".badge")).to_have_text("running")
    expect(page.locator("#plan")).to_have_text("1 task will be reverted, “charge” cannot be undone.")
    expect(page.locator(".picture [data-task=charge]")).to_have_class("node running")
    expect(page.locator(".log-lines")).to_contain_text("charge waits for <b>its gate</b>")
    # The cancel, with its receipt as it comes.
    page.get_by_label("Reason for the cancel").fill("the wrong <i>customer</i>")
    page.get_by_role("button", name="Cancel job").click()
    for one in (page, watching):
        receipt = one.locator("#receipt")
        expect(receipt).to_contain_text("Accepted")
        expect(receipt).to_contain_text("the wrong <i>customer</i>")
        expect(receipt).to_contain_text("Delivered")
        expect(receipt).to_contain_text("Stopped")
        expect(receipt).to_contain_text(re.compile(r"Reverting \d/\d"))
        expect(one.locator("#state")).to_have_text("cancelling")
    expect(row.locator(".badge")).to_have_text("cancelling")
    site.open("undo")
    for one in (page, watching):
        expect(one.locator("#state")).to_have_text("cancelled")
        expect(one.locator("#receipt .step").last).to_have_text(re.compile("Cancelled"))
        expect(one.locator("#receipt")).to_contain_text("“charge” had begun and cannot be undone.")
        expect(one.locator("tr[data-task=reserve] .part.revert.reverted")).to_have_count(1)
        expect(one.locator("tr[data-task=reserve] .mark.cancel")).to_have_count(1)
    expect(row.locator(".badge")).to_have_text("cancelled")
    # Each step is said aloud once.
    for one in (page, watching):
        for step in ("accepted", "delivered", "stopped"):
            expect(one.locator("#said").get_by_text(f"Cancel: {step}.")).to_have_count(1)
    # The retry, seen by all.
    site.open("charge", "ship")
    page.get_by_role("button", name="Retry", exact=True).click()
    for one in (page, watching):
        expect(one.locator("#state")).to_have_text("completed")
        expect(one.locator("#results")).to_contain_text("reserve done")
        expect(one.locator("details.attempt")).to_have_count(2)
        expect(one.locator("#receipt")).to_be_hidden()
    expect(row.locator(".badge")).to_have_text("completed")
    expect(row.locator(".attempt")).to_have_text("2")


def test_a_pause(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("gated")
    page = visit(shared_site).goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("running")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("pausing")
    shared_site.open("reserve")
    expect(page.locator("#state")).to_have_text("paused")
    expect(page.locator(".far")).not_to_contain_text("runs for")
    shared_site.open("charge", "ship")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text("completed")
    expect(page.get_by_role("button", name="Cancel job")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#plan")).to_have_text("It has completed: nothing is left to cancel.")


def test_a_retry_with_other_arguments(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("failing", why="<script>alert(1)</script> no space left")
    page = visit(shared_site).goto(f"/jobs/{job}")
    expect(page.locator("#error")).to_contain_text("OSError: <script>alert(1)</script> no space left")
    page.get_by_role("button", name="Retry with other arguments").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("why")).to_have_value("<script>alert(1)</script> no space left")
    dialog.get_by_label("why").fill("the disk is gone")
    dialog.get_by_role("button", name="Retry with these").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#error")).to_contain_text("the disk is gone")
    expect(page.locator("#arguments")).to_contain_text("the disk is gone")


def test_a_revert_that_failed(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("dirty")
    page = visit(shared_site).goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("revert failed")
    expect(page.locator("#error")).to_contain_text("network: RuntimeError: the network is still in use")
    page.get_by_role("button", name="Run the failed reverts again").click()
    expect(page.locator("tr[data-task=network] .part.revert")).to_have_count(2)
    expect(page.locator("#state")).to_have_text("revert failed")
    # Deleted only with a word about what is left, and after a question.
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(dialog.get_by_role("alert")).to_have_text("Wants a reason.")
    dialog.get_by_label("What became of the effects").fill("removed by hand")
    dialog.get_by_role("button", name="Delete for good").click()
    page.wait_for_url(lambda url: url.endswith("/"))
    assert job not in {found.id for found in shared_site.client.list()}


def test_a_task_that_does_not_respond(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("deaf")
    page = visit(shared_site).goto(f"/jobs/{job}")
    expect(page.locator("#state")).to_have_text("running")
    page.get_by_role("button", name="Cancel job").click()
    expect(page.locator("tr[data-task=grind] .badge")).to_have_text("not responding")
    expect(page.locator("#tasks .stack")).to_contain_text("time.sleep(0.01)")
    expect(page.locator("#receipt .step.now")).to_contain_text("grind does not respond")
    shared_site.open("gate", "undo")
    expect(page.locator("#state")).to_have_text("cancelled")


def test_a_job_that_is_deleted_elsewhere(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("wait")
    visitor = visit(shared_site)
    visitor.allow("404")  # it may ask for the job before it is told
    page = visitor.goto(f"/jobs/{job}")
    shared_site.open("undo")
    expect(page.locator("#state")).to_have_text("running")
    shared_site.client.delete(job)
    expect(page.get_by_text("This job was deleted.")).to_be_visible()


def test_the_beginning_of_an_id_leads_to_its_job(shared_site: Site, visit: Visit) -> None:
    [job] = shared_site.post("wait")
    visitor = visit(shared_site)
    page = visitor.goto(f"/jobs/{job[:20]}")
    assert page.url.endswith(f"/jobs/{job}")
    visitor.allow("404")
    page.goto("/jobs/01nothing")
    expect(page.get_by_role("heading", level=1)).to_have_text("No job has the id 01nothing")


def test_the_log_is_searched_and_taken_away(shared_site: Site, visit: Visit) -> None:
    shared_site.open("reserve", "charge", "ship")
    [job] = shared_site.post("gated")
    page = visit(shared_site).goto(f"/jobs/{job}")
    expect(page.locator(".log-lines li")).to_have_count(3)
    page.get_by_label("Search the log").fill("CHARGE")
    expect(page.locator(".log-lines li:visible")).to_have_count(1)
    expect(page.locator("#log").get_by_text("1 of 3 lines")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    text = download.value.path().read_text()
    assert len(text.splitlines()) == 3
    assert "ship waits for <b>its gate</b>" in text
