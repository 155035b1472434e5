"""`render`, against its own service: what is submitted is once, and nothing of it goes on, here or there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.library.render import render
from flows.registry import REGISTRY
from jobboard.database import open_database
from jobboard.models import Job
from jobboard.states import AT_REST, State
from tests.integration.house import House, settings_for
from tests.servers import RenderingService
from tests.servers.rendering_service import TOKEN, most_at_once
from tests.servers.required import require_program
from tests.waiting import until

TASKS = ("prepare", "render_scenes", "assemble", "publish")
SCENES = [{"text": f"scene {number}", "seconds": 1} for number in (1, 2, 3)]
PICTURE = len(b"FRAME\n") + 160 * 90 * 3 // 2
MIDWAY = 6  # looks of render_scenes: the first two scenes have been submitted
ENDED = {"done", "failed", "cancelled"}
NOISE = (
    "Traceback",
    "Event loop is closed",
    "Task was destroyed",
    "never awaited",
    "never retrieved",
    "Unclosed",
    "unhandled errors",
    "while it was being cancelled",
)


@pytest.fixture(scope="module")
def service() -> Iterator[RenderingService]:
    with RenderingService(room=3) as running:
        yield running


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENDER_TOKEN", TOKEN)


@pytest.fixture
def film(service: RenderingService, tmp_path: Path) -> dict[str, Any]:
    """Arguments of a job."""
    (tmp_path / "out").mkdir()
    return {
        "url": service.url,
        "scenes": SCENES,
        "target": tmp_path / "out/film.y4m",
        "token": "env:RENDER_TOKEN",
        "at_once": 2,
    }


def with_scene(film: dict[str, Any], text: str) -> dict[str, Any]:
    """The same film; of its second scene something is asked."""
    return film | {"scenes": [SCENES[0], {"text": text, "seconds": 1}, SCENES[2]]}


def assert_whole(film: dict[str, Any]) -> None:
    """The film is there, with every picture, and nothing else."""
    header, _, pictures = film["target"].read_bytes().partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 W160 H90 ")
    assert len(pictures) == PICTURE * 12 * len(SCENES)
    assert [*film["target"].parent.iterdir()] == [film["target"]]


def assert_nothing_left(film: dict[str, Any], service: RenderingService, job: str, log: str) -> None:
    """Neither here nor there, and nobody was told of an error."""
    assert [*film["target"].parent.iterdir()] == []
    assert set(service.states(job)) <= ENDED
    assert not [noise for noise in NOISE if noise in log], log


# In a process of its own, which dies where the test says


@pytest.mark.parametrize(
    ("task", "at"),
    [*((task, at) for task in TASKS for at in ("begin", "end")), ("render_scenes", MIDWAY), ("assemble", 3)],
)
def test_a_cancel_leaves_nothing_here_or_there(run_flow, cancel_at, service, film, task, at):
    film["target"].write_text("what was there before")
    ran = run_flow(render, cancel_at(task, at), **film)
    assert ran.state == "cancelled", ran.error
    assert film["target"].read_text() == "what was there before"
    film["target"].unlink()
    assert_nothing_left(film, service, ran.job.id, ran.log)


@pytest.mark.parametrize(
    ("task", "at"), [*((task, "end") for task in TASKS), ("render_scenes", MIDWAY), ("assemble", 3)]
)
def test_a_crash_costs_no_scene(run_flow, crash_at, service, film, task, at):
    ran = run_flow(render, crash_at(task, at), **film)
    assert ran.state == "completed", ran.error
    assert_whole(film)
    renders = service.renders(ran.job.id)
    assert [render["state"] for render in renders] == ["done"] * len(SCENES)
    assert most_at_once(renders) <= 2


@pytest.mark.parametrize("at", ["revert", "reverted"])
def test_a_crash_in_the_revert(run_flow, cancel_at, crash_at, service, film, at):
    ran = run_flow(render, cancel_at("render_scenes", MIDWAY), crash_at("render_scenes", at), **film)
    assert ran.state == "cancelled", ran.error
    assert_nothing_left(film, service, ran.job.id, ran.log)


def test_what_was_submitted_before_a_crash_without_an_answer_is_cancelled_too(
    run_flow, cancel_at, crash_at, service, film
):
    moments = (crash_at("render_scenes", MIDWAY), cancel_at("render_scenes", "begin"))
    ran = run_flow(render, *moments, **with_scene(film, "its answer is lost"))
    assert ran.state == "cancelled", ran.error
    assert len(service.renders(ran.job.id)) == 2
    assert_nothing_left(film, service, ran.job.id, ran.log)


def test_the_token_is_in_nothing_that_is_stored_or_shown(run_flow, film, tmp_path_factory):
    ran = run_flow(render, **with_scene(film, "it fails"))
    assert ran.state == "failed"
    folders = [*tmp_path_factory.getbasetemp().glob("countermand*")]
    stored = [file.read_bytes() for folder in folders for file in folder.glob("jobs.db*")]
    assert any(ran.job.id.encode() in content for content in stored)
    assert not any(TOKEN.encode() in content for content in [*stored, ran.log.encode()])


# In this process, where the test can look, cancel and break things meanwhile


@pytest.fixture
def house(sqlite_url: str) -> Iterator[House]:
    with closing(open_database(sqlite_url)) as database:
        yield House(database, settings_for(sqlite_url), registry=REGISTRY)


@pytest.fixture
def slow_service() -> Iterator[RenderingService]:
    """Where all is under way for as long as a test takes."""
    with RenderingService(pace=60, cancel_takes=0.5) as running:
        yield running


@pytest.fixture
def fake_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script in its place."""

    def put(script: str) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin/ffmpeg").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")

    return put


def posted(house: House, film: dict[str, Any]) -> str:
    return house.post("render", arguments=REGISTRY.get("render").as_json(film))


def ended(house: House, film: dict[str, Any]) -> Job:
    job = posted(house, film)
    house.drain()
    return house.get(job)


def await_two_scenes(house: House, service: RenderingService, job: str) -> str:
    """Wait until two scenes are under way; what the order is called on the service."""

    def are_there() -> bool:
        assert house.get(job).state not in AT_REST, house.get(job).error
        return service.states(job) == ["rendering"] * 2

    until(are_there, what="two scenes")
    return str(service.renders(job)[0]["name"].rpartition("-")[0])


def connections_to(service: RenderingService) -> list[Any]:
    open_ones = psutil.Process().net_connections("tcp")
    return [one for one in open_ones if one.raddr and one.raddr.port == service.port]


def test_a_film(house, service, film):
    job = ended(house, film)
    assert (job.state, job.results["path"]) == ("completed", str(film["target"])), job.error
    assert_whole(film)
    assert service.states(job.id) == ["done"] * len(SCENES)
    assert most_at_once(service.renders(job.id)) == 2
    assert job.tasks[1].detail == {"done": 3, "total": 3, "now": None}


def test_a_film_by_ffmpeg(house, film):
    require_program("ffmpeg")
    require_program("ffprobe")
    film["target"] = film["target"].with_suffix(".mp4")
    job = ended(house, film)
    assert job.state == "completed", job.error
    ask = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=width,height,nb_read_frames"]
    asked = subprocess.run([*ask, "-of", "csv=p=0", film["target"]], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == f"160,90,{12 * len(SCENES)}"
    assert [*film["target"].parent.iterdir()] == [film["target"]]


def test_without_ffmpeg_it_says_so_before_anything_is_submitted(house, service, film, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    job = ended(house, film | {"target": film["target"].with_suffix(".mp4")})
    assert job.state == "failed"
    assert "there is no ffmpeg on this conductor's host" in job.error.message
    assert service.renders(job.id) == []
    assert [*film["target"].parent.iterdir()] == []


def test_a_cancel_of_what_waits_leaves_nothing_pending(house, slow_service, film, caplog):
    caplog.set_level("INFO")
    with house.running():
        job = posted(house, film | {"url": slow_service.url})
        await_two_scenes(house, slow_service, job)
        assert connections_to(slow_service)
        house.records.cancel(job, by="bob")
        done = house.comes_to(job, State.CANCELLED)
    assert slow_service.states(job) == ["cancelled"] * 2
    assert connections_to(slow_service) == []
    assert "the service is not done with its cancel: asking again" in caplog.text
    assert done.error is None
    assert_nothing_left(film, slow_service, job, caplog.text)


def test_a_retry_is_not_given_what_was_cancelled(house, service, film):
    slow = film | {"scenes": [{"text": f"scene {number}", "seconds": 15} for number in (1, 2)]}
    with house.running():
        job = posted(house, slow)
        first = await_two_scenes(house, service, job)
        house.records.cancel(job, by="bob")
        house.comes_to(job, State.CANCELLED)
        house.records.retry(job, by="bob")
        done = house.comes_to(job, State.COMPLETED)
    assert done.results["order"] != first
    assert service.states(job) == ["cancelled", "cancelled", "done", "done"]
    assert [*film["target"].parent.iterdir()] == [film["target"]]


@pytest.mark.parametrize("trouble", ["away", "slow"])
def test_what_cannot_be_cancelled_is_named_and_cleaned_up_later(house, film, trouble):
    with RenderingService(pace=60, cancel_takes=60) as service, house.running():
        job = posted(house, film | {"url": service.url, "cancel_within": 1})
        order = await_two_scenes(house, service, job)
        if trouble == "away":
            service.kill()
        house.records.cancel(job, by="bob")
        left = house.comes_to(job, State.REVERT_FAILED)
        error = next(task.error for task in left.tasks if task.name == "render_scenes")
        assert error.message.startswith(f"may still be under way on the service: {order}-1 (")
        assert ("ConnectError" if trouble == "away" else "is not done with its cancel") in error.message
        service.restart()  # it has forgotten everything
        house.records.cleanup(job, by="bob")
        house.comes_to(job, State.CANCELLED)
    assert [*film["target"].parent.iterdir()] == []


def test_a_submission_whose_answer_is_lost_is_made_once(house, service, film):
    job = ended(house, with_scene(film, "its answer is lost"))
    assert job.state == "completed", job.error
    assert service.states(job.id) == ["done"] * len(SCENES)


def test_a_service_that_is_full_is_waited_for(house, service, film):
    job = ended(house, film | {"at_once": 5, "scenes": [*SCENES, *SCENES]})
    assert job.state == "completed", job.error
    assert most_at_once(service.renders(job.id)) == 3


def test_a_forgotten_scene_is_submitted_again(house, service, film, caplog):
    job = ended(house, with_scene(film, "it is forgotten"))
    assert job.state == "completed", job.error
    assert "has forgotten it: submitting it again" in caplog.text
    assert_whole(film)


@pytest.mark.parametrize(
    ("text", "said"),
    [("it fails", "failed: there is no such colour"), ("it is always forgotten", "it was submitted 3 times")],
)
def test_a_scene_that_is_not_rendered_fails_the_job(house, service, film, caplog, text, said):
    job = ended(house, with_scene(film, text))
    order = service.renders(job.id)[0]["name"].rpartition("-")[0]
    assert (job.state, job.error.type.rpartition(".")[2]) == ("failed", "NotRendered")
    assert job.error.message.startswith(f"scene 2, {order}-2 on the service: {said}")
    assert_nothing_left(film, service, job.id, "")


def test_an_ffmpeg_that_fails_fails_the_job(house, service, film, fake_ffmpeg):
    fake_ffmpeg("echo there is no such codec; exit 3")
    job = ended(house, film | {"target": film["target"].with_suffix(".mp4")})
    assert (job.state, job.error.task) == ("failed", "assemble")
    assert job.error.message == "ffmpeg: exit code 3: there is no such codec"
    assert_nothing_left(film, service, job.id, "")


def test_an_ffmpeg_that_runs_is_stopped_by_a_cancel(house, service, film, fake_ffmpeg, tmp_path):
    fake_ffmpeg(f"echo $$ > {tmp_path}/pid; mv {tmp_path}/pid {tmp_path}/runs; exec sleep 600")
    with house.running():
        job = posted(house, film | {"target": film["target"].with_suffix(".mp4")})
        until((tmp_path / "runs").exists, what="ffmpeg")
        house.records.cancel(job, by="bob")
        house.comes_to(job, State.CANCELLED)
    assert not psutil.pid_exists(int((tmp_path / "runs").read_text()))
    assert_nothing_left(film, service, job, "")


def test_a_film_that_someone_else_makes_meanwhile_stays(house, service, film):
    slow = film | {"scenes": [{"text": "scene 1", "seconds": 15}]}
    with house.running():
        job = posted(house, slow)
        until(lambda: service.states(job) == ["rendering"], what="the scene")
        film["target"].write_text("someone else's")
        failed = house.comes_to(job, State.FAILED)
    assert (failed.error.task, failed.error.type.rpartition(".")[2]) == ("publish", "Changed")
    assert film["target"].read_text() == "someone else's"
    film["target"].unlink()
    assert_nothing_left(film, service, job, "")


def test_a_wrong_token_is_told_before_anything_is_submitted(house, service, film, monkeypatch):
    monkeypatch.setenv("RENDER_TOKEN", "of someone else")
    job = ended(house, film)
    assert (job.state, job.error.type.rpartition(".")[2]) == ("failed", "Declined")
    assert "401 Unauthorized" in job.error.message
    assert_nothing_left(film, service, job.id, "")


def test_what_is_no_rendering_service_is_told(house, service, film):
    job = ended(house, film | {"url": f"{service.url}/docs"})
    assert (job.state, job.error.type.rpartition(".")[2]) == ("failed", "Declined")
    assert job.error.message.endswith("404: is there a rendering service?")
    assert [*film["target"].parent.iterdir()] == []


# The service


WANTED = {"text": "x", "seconds": 0.5, "width": 16, "height": 16}


def test_the_service_begins_a_render_once(service):
    assert service.asked("PUT", "/once", json=WANTED).status_code == 201
    assert service.asked("PUT", "/once", json=WANTED).status_code == 200
    assert service.asked("PUT", "/once", json=WANTED | {"text": "y"}).status_code == 409
    assert [render["name"] for render in service.renders("once")] == ["once"]
    until(lambda: service.states("once") == ["done"], what="the render")
    whole = service.asked("GET", "/once/video")
    part = service.asked("GET", "/once/video", headers={"Range": "bytes=10-19"})
    past = service.asked("GET", "/once/video", headers={"Range": f"bytes={len(whole.content)}-"})
    assert (whole.status_code, part.status_code, part.content) == (200, 206, whole.content[10:20])
    assert (past.status_code, past.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")


def test_a_cancel_that_overtakes_its_submission_counts(service):
    assert service.asked("POST", "/late/cancel").status_code == 404
    assert service.asked("PUT", "/late", json=WANTED).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("GET", "", {"headers": {"Authorization": "Bearer x"}}, 401),
        ("GET", "/nobody", {}, 404),
        ("GET", "/nobody/video", {}, 404),
        ("PUT", "/a.b", {"json": WANTED}, 422),
        ("PUT", "/a", {"json": WANTED | {"width": 15}}, 422),
    ],
)
def test_the_service_refuses(service, method, path, how, status):
    assert service.asked(method, path, **how).status_code == status
