"""The service over HTTP."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from flows.library.render.service.studio import Manners, NoRoom, NotTheSame, Render, State, Studio, Wanted
from flows.library.render.service.trouble import Trouble


class Asked(BaseModel):
    """A scene to render."""

    text: str = Field(min_length=1, max_length=500)
    seconds: float = Field(gt=0, le=60)
    width: int = Field(ge=16, le=1920, multiple_of=2)
    height: int = Field(ge=16, le=1080, multiple_of=2)


class Told(BaseModel):
    """How far it is."""

    name: str
    text: str
    state: State
    progress: float
    error: str | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, render: Render) -> Told:
        """What is told of it."""
        return cls(
            text=render.wanted.text, **{name: value for name, value in vars(render).items() if name != "wanted"}
        )


def api_of(manners: Manners, token: str | None) -> FastAPI:
    """The service; with a token, for who shows it. Its videos are gone when it ends."""

    @asynccontextmanager
    async def opened(api: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="renders-") as folder:
            api.state.studio = Studio(Path(folder), manners)
            yield

    def check_token(request: Request) -> None:
        shown = request.headers.get("authorization", "")
        if token is not None and not secrets.compare_digest(shown.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "show the token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})

    api = FastAPI(title="A rendering service to try things against", lifespan=opened)
    api.include_router(renders, dependencies=[Depends(check_token)])
    return api


renders = APIRouter(prefix="/renders")


def the_studio(request: Request) -> Studio:
    """Where it is done."""
    studio: Studio = request.app.state.studio
    return studio


There = Annotated[Studio, Depends(the_studio)]
Name = Annotated[str, fastapi.Path(pattern=r"^[A-Za-z0-9_-]{1,200}$")]


def known(name: Name, studio: There) -> Render:
    """The render of this name."""
    render = studio.renders.get(name)
    if render is None:
        raise HTTPException(404, f"no render is called {name}")
    return render


Known = Annotated[Render, Depends(known)]


@renders.get("")
async def all_of_them(studio: There) -> list[Told]:
    """All that were begun."""
    return [Told.of(render) for render in studio.renders.values()]


@renders.put("/{name}", status_code=201)
async def submit(name: Name, asked: Asked, studio: There, response: Response) -> Told:
    """Begin it. The same once more, 200, gives what became of it: that its answer was lost is no harm."""
    if name in studio.renders:
        response.status_code = 200
    try:
        render = studio.submit(name, Wanted(**asked.model_dump()))
    except NotTheSame:
        raise HTTPException(409, f"{name} is another scene") from None
    except NoRoom:
        raise HTTPException(429, "too many are under way", {"Retry-After": "1"}) from None
    if studio.is_first_time(name, Trouble.ANSWER_LOST):
        raise HTTPException(503, "it was begun, but nobody hears of it")
    return Told.of(render)


@renders.get("/{name}")
async def look(render: Known) -> Told:
    """How far it is."""
    return Told.of(render)


@renders.get("/{name}/video")
async def video(render: Known, studio: There) -> FileResponse:
    """The film, or a range of it."""
    if render.state != "done":
        raise HTTPException(409, f"{render.name} is {render.state}")
    return FileResponse(studio.video(render.name), media_type="video/x-yuv4mpeg")


@renders.post("/{name}/cancel")
async def cancel(name: Name, studio: There, response: Response) -> Told:
    """Cancel it. 202: that takes a while. 404: it is not known, and will not be begun any more."""
    render = studio.cancel(name)
    if render is None:
        raise HTTPException(404, f"no render is called {name}, and none will be begun")
    response.status_code = 202 if render.is_under_way else 200
    return Told.of(render)
