"""One scene, from its submission to its file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from flows.library.render.errors import NotRendered
from flows.library.render.renderer import Render, Renderer
from flows.library.render.scene import Scene, Size
from flows.library.render.workplace import RenderPlace

LOG = logging.getLogger(__name__)

MOST_SUBMISSIONS: Final = 3  # of one that the service forgets

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
_SLOWER: Final = 1.5


@dataclass(frozen=True)
class Rendering:
    """One scene. `number` is the scene's in the film, `name` its name on the service."""

    renderer: Renderer
    work: RenderPlace
    number: int
    name: str
    scene: Scene
    size: Size
    max_bytes: int
    report: Callable[[int, str, float], None]  # number, state, and how much of it is done, 0 to 1

    async def run(self) -> None:
        """Have it in its file. Raises `NotRendered`, `Declined`, `Unavailable`, `TooLarge`."""
        file = self.work.scene(self.number)
        if not file.exists():  # a conductor that died may have had it
            self.report(self.number, "submitting", 0.0)
            await self._rendered()
            part = self.work.part(self.number)
            await self.renderer.fetch(self.name, part, self.max_bytes, self._fetching)
            part.replace(file)
        self.report(self.number, "done", 1.0)

    async def _rendered(self) -> None:
        render = await self._submitted()
        submissions = 1
        for pause_s in pauses_s():
            if not render.is_under_way:
                break
            self.report(self.number, render.state, render.progress)
            await asyncio.sleep(pause_s)
            found = await self.renderer.look(self.name)
            if found is None:
                submissions += 1
                self._refuse_too_many(submissions)
            render = found or await self._submitted()
        if render.state != "done":
            raise NotRendered(f"scene {self.number}, {self.name} on the service: {_said(render)}")

    async def _submitted(self) -> Render:
        LOG.info("scene %d is %s on the service", self.number, self.name)
        return await self.renderer.submit(self.name, self.scene, self.size)

    def _refuse_too_many(self, submissions: int) -> None:
        where = f"scene {self.number}, {self.name} on the service"
        if submissions > MOST_SUBMISSIONS:
            raise NotRendered(f"{where}: it was submitted {MOST_SUBMISSIONS} times, and forgotten each time")
        LOG.warning("%s: the service has forgotten it: submitting it again", where)

    def _fetching(self, _done: int, _total: int | None) -> None:
        self.report(self.number, "fetching", 1.0)


def pauses_s() -> Iterator[float]:
    """How long to wait between two looks: longer and longer, up to 10 seconds."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(pause_s * _SLOWER, _LONGEST_PAUSE_S)


def _said(render: Render) -> str:
    return f"{render.state}: {render.error}" if render.error else render.state
