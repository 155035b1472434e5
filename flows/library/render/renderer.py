"""What is asked of the rendering service, and what it answers. For another service, this is the file to change.

A render has the name that its customer gives it. So a submission whose answer was lost can be repeated, and what
was submitted before a crash can be found, and cancelled, by who knows nothing but its name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay

from flows.library.remote.asking import check, new_client, patiently, reaching, wait_s
from flows.library.remote.errors import Declined, Unavailable
from flows.library.remote.transfer import Report, Transfer
from flows.library.render.scene import Scene, Size

LOG = logging.getLogger(__name__)

_AT_ONCE: Final = 20  # requests, however many scenes there are


class Render(BaseModel):
    """What the service tells of a render."""

    state: Literal["queued", "rendering", "done", "failed", "cancelling", "cancelled"]
    progress: float = Field(default=0.0, ge=0, le=1)
    error: str | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it may still become something else."""
        return self.state in ("queued", "rendering", "cancelling")


class Full(Unavailable):
    """The service has too much to do, and says when to ask again."""


class UnderWay(Unavailable):
    """The service has taken the cancel, and is not done with it."""


@asynccontextmanager
async def renderer_at(url: str, token: SecretStr | None) -> AsyncIterator[Renderer]:
    """The service, as long as the block runs: then its connections are closed, whatever happened."""
    async with new_client() as client:
        if token is not None:
            client.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        yield Renderer(client, f"{url.rstrip('/')}/renders", asyncio.Semaphore(_AT_ONCE))


@dataclass(frozen=True)
class Renderer:
    """The service. What it declines raises `Declined`; if it stays away, `Unavailable` is raised."""

    client: httpx.AsyncClient
    url: str
    room: asyncio.Semaphore

    async def submit(self, name: str, scene: Scene, size: Size) -> Render:
        """Have it rendered; what it is if it was submitted before. Waits as long as the service is full."""
        render = await self._patiently("PUT", name, json=scene.model_dump() | size.model_dump())
        if render is None:
            raise Declined(f"PUT {self.url}/{name}: 404: is there a rendering service?")
        return render

    async def look(self, name: str) -> Render | None:
        """How far it is; None if the service does not know it."""
        return await self._patiently("GET", name)

    async def fetch(self, name: str, part: Path, max_bytes: int, report: Report) -> None:
        """Fetch its video into `part`, and go on where that ended."""
        await Transfer(self.client, f"{self.url}/{name}/video", part, max_bytes, report).run()

    async def cancel(self, name: str, within_s: float) -> None:
        """Cancel it, and wait until it has ended. One that the service does not know is none.

        Raises `Unavailable` if that is not so within this time.
        """
        asking = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_s,
            stop=stop_before_delay(within_s),
            before_sleep=_say,
            reraise=True,
        )
        async for attempt in asking:
            with attempt:
                render = await self._ask("POST", f"{name}/cancel")
                if render is not None and render.is_under_way:
                    raise UnderWay(f"{self.url}/{name}: the service is not done with its cancel")

    async def _patiently(self, method: str, path: str, **how: Any) -> Render | None:
        while True:
            try:
                async for attempt in patiently():
                    with attempt:
                        return await self._ask(method, path, **how)
            except Full as full:
                LOG.info("%s: asking on", full)  # it is not away: there is no reason to give up

    async def _ask(self, method: str, path: str, **how: Any) -> Render | None:
        async with self.room:
            with reaching(f"{method} {self.url}/{path}"):
                response = await self.client.request(method, f"{self.url}/{path}", **how)
        return None if response.status_code == 404 else _read(response)


def _read(response: httpx.Response) -> Render:
    try:
        check(response)
    except Unavailable as error:
        if response.status_code != 429:
            raise
        raise Full(str(error), error.after_s) from error
    try:
        return Render.model_validate_json(response.content)
    except ValidationError as error:
        raise Declined(f"{response.request.url}: it answers what is no render: {error}") from error


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    LOG.info("%s: asking again in %.1f s", error, state.upcoming_sleep)
