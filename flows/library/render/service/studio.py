"""Renders scenes, some at a time, and cancels them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from flows.library.render.service.picture import PER_SECOND, header, picture
from flows.library.render.service.trouble import Trouble

State = Literal["queued", "rendering", "done", "failed", "cancelling", "cancelled"]


class NoRoom(Exception):
    """Too many are under way."""


class NotTheSame(Exception):
    """There is one of this name, and it is of another scene."""


@dataclass(frozen=True)
class Wanted:
    """What is to be rendered."""

    text: str
    seconds: float
    width: int
    height: int


@dataclass(frozen=True)
class Manners:
    """How it works."""

    at_once: int  # so many are rendered at a time, the others are queued
    room: int  # so many may be under way
    pace: float  # seconds of work for a second of film
    cancel_takes_s: float


@dataclass
class Render:
    """A scene, and what became of it."""

    name: str
    wanted: Wanted
    state: State = "queued"
    progress: float = 0.0
    error: str | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it may still become something else."""
        return self.ended_at is None

    def end(self, state: State, error: str | None = None) -> None:
        """It stays so."""
        self.state, self.error, self.ended_at = state, error, datetime.now(UTC)


class Studio:
    """Knows each render by its customer's name for it. To be used in one event loop."""

    def __init__(self, folder: Path, manners: Manners) -> None:
        self.renders: dict[str, Render] = {}
        self._folder = folder
        self._manners = manners
        self._slots = asyncio.Semaphore(manners.at_once)
        self._work: dict[str, asyncio.Task[None]] = {}  # of each render, what goes on with it
        self._refused: set[str] = set()  # cancelled before they came
        self._troubled: set[tuple[str, Trouble]] = set()

    def video(self, name: str) -> Path:
        """Where the video of a render is that is done."""
        return self._folder / f"{name}.y4m"

    def submit(self, name: str, wanted: Wanted) -> Render:
        """Begin it, if it is not known. One that was cancelled before it came is cancelled at once."""
        known = self.renders.get(name)
        if known is not None:
            if known.wanted != wanted:
                raise NotTheSame(name)
            return known
        if sum(render.is_under_way for render in self.renders.values()) >= self._manners.room:
            raise NoRoom(name)
        render = self.renders[name] = Render(name, wanted)
        if name in self._refused:
            render.end("cancelled")
        else:
            self._go_on(name, self._render(render))
        return render

    def cancel(self, name: str) -> Render | None:
        """Begin to cancel it. What is not known will not be begun any more."""
        render = self.renders.get(name)
        if render is None:
            self._refused.add(name)
        elif render.is_under_way and render.state != "cancelling":
            render.state = "cancelling"
            self._work[name].cancel()
            self._go_on(name, self._wind_down(render))
        return render

    def is_first_time(self, name: str, trouble: Trouble) -> bool:
        """Whether this one asks for this trouble, and has not had it."""
        is_new = trouble in self.renders[name].wanted.text and (name, trouble) not in self._troubled
        self._troubled.add((name, trouble))
        return is_new

    def _go_on(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._work[name] = asyncio.create_task(work)

    async def _render(self, render: Render) -> None:
        async with self._slots:
            render.state = "rendering"
            with self.video(render.name).open("wb") as file:
                is_whole = await self._draw(render, file)
        if is_whole:
            render.end("done")

    async def _draw(self, render: Render, file: IO[bytes]) -> bool:
        """Draw it; whether that came to its end."""
        wanted = render.wanted
        file.write(header(wanted.width, wanted.height))
        pictures = max(1, round(wanted.seconds * PER_SECOND))
        for number in range(pictures):
            if number == pictures // 2 and self._befalls(render):
                return False
            file.write(picture(wanted.text, number / pictures, wanted.width, wanted.height))
            await asyncio.sleep(self._manners.pace / PER_SECOND)
            render.progress = (number + 1) / pictures
        return True

    def _befalls(self, render: Render) -> bool:
        """Whether something befalls it, half way."""
        text = render.wanted.text
        if Trouble.FAILS in text:
            render.end("failed", "there is no such colour")
        elif Trouble.ALWAYS_FORGOTTEN in text or self.is_first_time(render.name, Trouble.FORGOTTEN):
            del self.renders[render.name]
        else:
            return False
        return True

    async def _wind_down(self, render: Render) -> None:
        await asyncio.sleep(self._manners.cancel_takes_s)
        render.end("cancelled")
