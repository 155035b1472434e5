"""The pure parts of `render`, and which arguments it takes."""

from __future__ import annotations

import asyncio
import re
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.errors import Interrupted, InvalidArguments
from flows.library.files.errors import Damaged
from flows.library.remote.asking import ATTEMPTS
from flows.library.remote.errors import Declined, Unavailable
from flows.library.remote.together import together
from flows.library.render import render
from flows.library.render.film import in_listing, joined
from flows.library.render.overview import Overview
from flows.library.render.renderer import Render, Renderer, renderer_at
from flows.library.render.rendering import Rendering, pauses_s
from flows.library.render.scene import Scene, Size
from flows.library.render.service.picture import header, picture
from flows.library.render.workplace import RenderPlace
from flows.registry import REGISTRY

SPEC = REGISTRY.get("render")
GOOD: dict[str, Any] = {"url": "http://127.0.0.1:8002", "scenes": [{"text": "a harbour"}], "target": "/x/film.mp4"}


def test_what_a_job_needs_is_little() -> None:
    assert SPEC.function is render
    stored = SPEC.as_json(GOOD)
    assert stored["scenes"] == [{"text": "a harbour", "seconds": 2.0}]
    assert (stored["at_once"], stored["width"], stored["height"], stored["token"]) == (3, 160, 90, None)


def test_a_relative_target_is_meant_from_where_the_job_is_posted() -> None:
    assert SPEC.as_json(GOOD | {"target": "film.y4m"})["target"] == str(Path.cwd() / "film.y4m")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "ftp://x"}, "url: URL scheme should be 'http' or 'https'"),
        ({"scenes": []}, "scenes: list should have at least 1 item"),
        ({"scenes": [{"text": "x"}] * 501}, "scenes: list should have at most 500 items"),
        ({"scenes": [{"text": ""}]}, "scenes: 0.text: string should have at least 1 character"),
        ({"scenes": [{"text": "x", "seconds": 0}]}, "scenes: 0.seconds: input should be greater than 0"),
        ({"scenes": [{"text": "x"}, {"txt": "x"}]}, "scenes: 1.text: field required"),
        ({"scenes": [{"text": "x", "secs": 1}]}, "scenes: 0.secs: extra inputs are not permitted"),
        ({"scenes": "a harbour"}, "scenes: input should be a valid list"),
        ({"target": "/x/film.avi"}, "target: a film ends in .y4m, or, made by ffmpeg, in .mp4"),
        ({"target": "/x/film"}, "target: a film ends in .y4m"),
        ({"token": "abc"}, "token: a secret is given as env:NAME or file:PATH"),
        ({"width": 14}, "width: input should be greater than or equal to 16"),
        ({"width": 17}, "width: input should be a multiple of 2"),
        ({"height": 1082}, "height: input should be less than or equal to 1080"),
        ({"at_once": 0}, "at_once: input should be greater than or equal to 1"),
        ({"cancel_within": 0}, "cancel_within: input should be greater than 0"),
        ({"max_bytes": 0}, "max_bytes: input should be greater than 0"),
        ({"fps": 25}, "fps: no such parameter"),
    ],
)
def test_bad_input_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArguments) as raised:
        SPEC.as_json(GOOD | wrong)
    assert said in str(raised.value)
    assert len(raised.value.problems) <= 2


def test_looks_come_slower_and_slower_however_many() -> None:
    pauses = list(islice(pauses_s(), 10_000))
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.2, 10.0)


def test_an_overview_tells_what_is_under_way() -> None:
    overview = Overview(4)
    assert (overview.done, overview.progress, overview.now) == (0, 0.0, "")
    overview.note(1, "done", 1.0)
    overview.note(3, "queued", 0.0)
    overview.note(2, "rendering", 0.4)
    assert (overview.done, overview.now) == (1, "scene 2 rendering 40%, scene 3 queued")
    assert overview.progress == pytest.approx(0.35)


def test_an_overview_of_many_is_short() -> None:
    overview = Overview(100)
    for number in range(1, 101):
        overview.note(number, "queued", 0.0)
    assert overview.now.endswith("scene 5 queued, and 95 more")


# What is asked of the service


class Service:
    """Answers what a test says, one after the other, then the last for ever. Nobody waits for long here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: httpx.Response) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        really = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", lambda _seconds: really(0))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def submit(self) -> Render:
        return asyncio.run(self._submit())

    async def _submit(self) -> Render:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self.answer)) as client:
            renderer = Renderer(client, "http://x/renders", asyncio.Semaphore(1))
            return await renderer.submit("a-1", Scene(text="x"), Size(width=16, height=16))


QUEUED = {"state": "queued", "what": "we do not know"}


def test_a_service_that_is_full_is_asked_for_as_long_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    full = httpx.Response(429, headers={"Retry-After": "1"})
    service = Service(monkeypatch, *[full] * 20, httpx.Response(201, json=QUEUED))
    assert service.submit() == Render(state="queued")
    assert service.asked == ["PUT /renders/a-1"] * 21


def test_a_service_that_is_away_is_asked_six_times(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(monkeypatch, httpx.Response(503))
    with pytest.raises(Unavailable, match="503 Service Unavailable"):
        service.submit()
    assert len(service.asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(404), "404: is there a rendering service?"),
        (httpx.Response(422), "422 Unprocessable"),
        (httpx.Response(200, text="<html>"), "it answers what is no render"),
        (httpx.Response(200, json={"state": "melted"}), "it answers what is no render"),
    ],
)
def test_what_is_a_no_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, said: str
) -> None:
    service = Service(monkeypatch, answer)
    with pytest.raises(Declined, match=re.escape(said)):
        service.submit()
    assert len(service.asked) == 1


def test_a_scene_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    work = RenderPlace(tmp_path / "film.y4m", "job")
    work.claim()
    work.scene(3).touch()
    told: list[Any] = []

    def report(*how: Any) -> None:
        told.append(how)

    async def run() -> None:
        async with renderer_at("http://127.0.0.1:1", None) as nobody:
            rendering = Rendering(nobody, work, 3, "a-3", Scene(text="x"), Size(width=16, height=16), 1, report)
            await rendering.run()

    asyncio.run(run())
    assert told == [(3, "done", 1.0)]


# Films


def scene(folder: Path, number: int, width: int = 16, pictures: int = 2) -> Path:
    file = folder / f"scene-{number:04}.y4m"
    file.write_bytes(header(width, 16) + b"".join(picture("x", 0.5, width, 16) for _ in range(pictures)))
    return file


def test_scenes_are_joined_to_one_film(tmp_path: Path) -> None:
    one, two = scene(tmp_path, 1), scene(tmp_path, 2, pictures=3)
    film = b"".join(joined([one, two]))
    assert film == one.read_bytes() + two.read_bytes().removeprefix(header(16, 16))
    assert film.count(b"FRAME\n") == 5
    assert in_listing([one, two]) == "file 'scene-0001.y4m'\nfile 'scene-0002.y4m'\n"


def test_a_scene_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"scene-0002\.y4m does not fit the first scene"):
        list(joined([scene(tmp_path, 1), scene(tmp_path, 2, width=32)]))


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scene-0001.y4m").write_text("<html>")
    with pytest.raises(Damaged, match=r"what the service sent is no y4m: it begins with b'<html>'"):
        list(joined([tmp_path / "scene-0001.y4m"]))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_picture_has_the_size_that_was_asked_for(share: float) -> None:
    assert len(picture("a harbour", share, 160, 90)) == len(b"FRAME\n") + 160 * 90 * 3 // 2


# Together


class Crowd:
    """Work that notes how much of it goes on at once."""

    def __init__(self) -> None:
        self.now = self.most = self.done = 0

    async def work(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0)
        finally:
            self.now -= 1
        self.done += 1

    async def for_ever(self) -> None:
        self.now += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.now -= 1


def test_no_more_go_on_together_than_may() -> None:
    crowd = Crowd()
    asyncio.run(together([crowd.work] * 7, at_once=3))
    assert (crowd.most, crowd.done) == (3, 7)


@pytest.mark.parametrize("error", [ValueError("boom"), Interrupted()])
def test_the_first_error_ends_the_others_and_is_raised_as_it_is(error: BaseException) -> None:
    crowd = Crowd()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)) as raised:
        asyncio.run(together([crowd.for_ever, fails, crowd.for_ever], at_once=3))
    assert (raised.value, crowd.now) == (error, 0)
