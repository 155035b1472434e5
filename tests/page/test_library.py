"""The flows that come along, as their users see them: posted by the form, cancelled by the button, retried."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from playwright.sync_api import expect

from tests.flows.price_source import Site as PriceSource
from tests.flows.site import Site as FileServer
from tests.flows.site import says
from tests.page.conftest import Visit
from tests.page.site import Site
from tests.servers import RenderingService
from tests.servers.rendering_service import TOKEN
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page


def post(page: Page, flow: str, **fields: object) -> str:
    """Fill the form in and send it; the new job's id, whose page is there then."""
    page.goto(f"/post/{flow}")
    for name, value in fields.items():
        page.locator(f"#field-{name}").fill(str(value))
    page.get_by_role("button", name=f"Post {flow}").click()
    page.wait_for_url("**/jobs/*")
    return page.url.rpartition("/")[2]


def cancel(page: Page) -> None:
    page.get_by_role("button", name="Cancel job").click()


def retry_with(page: Page, **fields: str) -> None:
    page.get_by_role("button", name="Retry with other arguments").click()
    dialog = page.get_by_role("dialog")
    for name, value in fields.items():
        dialog.get_by_label(name).fill(value)
    dialog.get_by_role("button", name="Retry with these").click()


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#state")).to_have_text(state)


def stored(site: Site, path: str) -> object:
    """The same, as a program is told it."""
    return httpx.get(f"{site.url}/api/jobs/{path}").raise_for_status().json()


def test_files_in_every_state(small_site: Site, visit: Visit, tmp_path: Path) -> None:
    (source := tmp_path / "data").mkdir()
    (source / "large.bin").write_bytes(os.urandom(40_000_000))
    (source / "small.txt").write_text("small\n")
    (target := tmp_path / "backup/data.tar.gz").parent.mkdir()
    small_site.serve()
    page = visit(small_site).page
    job = post(page, "process_files", source=source, target=target, level=9)
    expect_state(page, "pending")
    expect(page.get_by_text("waits: no conductor is alive")).to_be_visible()
    small_site.conduct()
    expect_state(page, "running")
    until((target.parent / f".data.tar.gz.{job}.work/archive.tar.gz").exists, what="it to pack")
    with small_site.frozen():  # so that what comes next does not come and go unseen
        cancel(page)
        expect_state(page, "cancelling")
        assert stored(small_site, job)["state"] == "cancelling"
    expect_state(page, "cancelled")
    expect(page.locator("#receipt .step").last).to_have_text(re.compile(r"Cancelled\s*after \d"))
    finished = page.locator("#facts").get_by_role("time").last
    expect(finished).to_have_attribute("datetime", stored(small_site, job)["finished_at"])
    assert [*target.parent.iterdir()] == []
    retry_with(page, pattern="*.txt")
    expect_state(page, "completed")
    assert target.exists()
    post(page, "process_files", source=tmp_path / "nowhere", target=target)
    expect_state(page, "failed")
    expect(page.locator("#error")).to_contain_text("nowhere")


def test_one_collection_at_a_time(small_site: Site, visit: Visit, tmp_path: Path) -> None:
    asked = {"since": "2026-01-01", "until": "2026-01-31", "database": f"sqlite:///{tmp_path}/prices.db"}
    small_site.start("--slots", "2")
    with PriceSource() as source:
        page = visit(small_site).page
        job = post(page, "collect", url=source.url, symbols="ALPHA, BETA", requests_per_s=0.01, **asked)
        expect(page.locator("tr[data-task=collect]")).to_contain_text("1 / 2")
        other = visit(small_site).page
        post(other, "collect", url=source.url, symbols="GAMMA", **asked)
        expect(other.get_by_text(f"waits for {job}: flow collect runs 1 at a time")).to_be_visible()
        assert [one["id"] for one in stored(small_site, "current")] == [job]
        cancel(page)
        expect_state(page, "cancelled")
        expect_state(other, "completed")
        expect(other.locator("#results")).to_contain_text("22")


def test_a_film_of_scenes(shared_site: Site, visit: Visit, tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text(TOKEN)
    target = tmp_path / "film.y4m"
    with RenderingService(pace=1) as service:
        page = visit(shared_site).page
        long = scenes(("a harbour", 60), ("at night", 60))
        job = post(page, "render", url=service.url, scenes=long, target=target, token=f"file:{token}")
        until(lambda: service.states(job) == ["rendering"] * 2, what="both scenes")
        cancel(page)
        expect_state(page, "cancelled")
        expect(page.locator("#error")).to_be_empty()
        assert service.states(job) == ["cancelled"] * 2
        assert not target.exists()
        retry_with(page, scenes=scenes(("a harbour", 0.5)))
        expect_state(page, "completed")
        assert target.exists()


def scenes(*wanted: tuple[str, float]) -> str:
    return json.dumps([{"text": text, "seconds": seconds} for text, seconds in wanted])


def test_a_download_that_waits_for_its_server(shared_site: Site, visit: Visit, tmp_path: Path) -> None:
    with FileServer({"/file": b"content"}) as server:
        server.next_answers["/file"] = [says(503, Retry_After="3000")]
        page = visit(shared_site).page
        (folder := tmp_path / "fetched").mkdir()
        post(page, "download", url=f"{server.url}/file", target=folder / "file")
        until(lambda: server.ranges["/file"], what="it to ask")
        cancel(page)
        expect_state(page, "cancelled")
        assert [*folder.iterdir()] == []
        page.get_by_role("button", name="Retry", exact=True).click()
        expect_state(page, "completed")
        assert (folder / "file").read_bytes() == b"content"
