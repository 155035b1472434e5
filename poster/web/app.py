"""The application: the gate, the routes, and what an error is answered with."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from flows.errors import FlowsError
from jobboard.errors import JobboardError
from jobboard.metrics import new_registry
from jobboard.version import __version__
from poster.client import Client
from poster.errors import PosterError
from poster.web import docs
from poster.web.answer import answer_to
from poster.web.api import flows, health, jobs, live, one_job, overview
from poster.web.gate.doorkeeper import Doorkeeper
from poster.web.gate.gate import Gate
from poster.web.gate.refusal import Refusal
from poster.web.live.feed import Feed
from poster.web.live.readers import Readers
from poster.web.metrics import route as metrics
from poster.web.metrics.gauges import Gauges
from poster.web.metrics.job_counter import JobCounter
from poster.web.metrics.request_meter import RequestMeter, Requests
from poster.web.openapi import described
from poster.web.page import login, pages, static
from poster.web.problems import FieldError, problem, problem_of

LOG = logging.getLogger(__name__)

_REQUESTS_AT_ONCE: Final = 4  # in threads, which share one interpreter: more of them only wait for each other
_ROOM_BESIDE_ARGUMENTS: Final = 100_000  # bytes of a body
_ROUTERS: Final = (flows, jobs, one_job, live, overview, health, metrics, docs, pages, login, static)


def create_app(client: Client, *, token_needed: bool, hosts: Collection[str] = ()) -> FastAPI:
    """The application for one event loop. `client` is closed by who made it.

    `token_needed`: else who shows no token may do everything. `hosts`: names by which we are called.
    """
    app = FastAPI(
        title="Countermand",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: str(route.name),
        lifespan=_lifespan,
    )
    app.state.client = client
    app.state.registry = new_registry()
    app.state.feed = Feed(client, [JobCounter(client, app.state.registry)])
    app.state.registry.register(Gauges(client, app.state.feed))
    app.state.readers = Readers()
    app.state.doorkeeper = Doorkeeper(client, token_needed=token_needed)
    for room in _ROUTERS:
        app.include_router(room.router)
    most_bytes = client.settings.max_arguments_bytes + _ROOM_BESIDE_ARGUMENTS
    app.add_middleware(Gate, doorkeeper=app.state.doorkeeper, hosts=frozenset(hosts), most_bytes=most_bytes)
    app.add_middleware(RequestMeter, requests=Requests(app.state.registry))
    for kind in (JobboardError, FlowsError, PosterError, Exception):
        app.add_exception_handler(kind, _on_error)
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    described(app, client.registry)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = _REQUESTS_AT_ONCE
    feed: Feed = app.state.feed
    feed.start()
    yield
    await feed.close()


async def _on_error(request: Request, error: Exception) -> Response:
    told = problem_of(error)
    if told is None:
        LOG.error("%s %s", request.method, request.url.path, exc_info=error)
        told = problem(500, "this is a fault of the server, whose log says more")
    return answer_to(request.scope, told)


async def _on_refusal(request: Request, refused: Any) -> Response:
    return answer_to(request.scope, refused.problem, refused.headers)


async def _on_http(request: Request, error: Any) -> Response:
    return answer_to(request.scope, problem(error.status_code, str(error.detail)), error.headers)


async def _on_invalid(request: Request, error: Any) -> Response:
    fields = [FieldError(field=_field(one["loc"]), message=_message(one)) for one in error.errors()]
    said = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in fields)
    return answer_to(request.scope, problem(422, said, errors=fields))


def _message(error: Mapping[str, Any]) -> str:
    """What is wrong, in our own words where they are."""
    return str(error["ctx"]["error"]) if error["type"] == "value_error" else str(error["msg"])


def _field(place: Collection[Any]) -> str:
    """A field as who sent it calls it, without what it was in: body, query, path."""
    return ".".join(str(part) for part in list(place)[1:])
