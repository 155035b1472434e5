"""`/api/events`, `/api/jobs/{job}/events`, `/api/ws`: what happens, as it happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response, WebSocket
from starlette.requests import HTTPConnection
from starlette.responses import StreamingResponse

from jobboard.errors import JobboardError, NoSuchJob
from jobboard.position import Position
from poster.client import Client
from poster.errors import InvalidRequest
from poster.web.answer import answer
from poster.web.api.asking import JobId, is_id
from poster.web.api.declared import problems
from poster.web.gate.doorkeeper import Doorkeeper
from poster.web.gate.gate import WHO
from poster.web.gate.refusal import Refusal, refusal
from poster.web.gate.who import Credentials, Who
from poster.web.live.event import KINDS, Event
from poster.web.live.feed import Feed
from poster.web.live.readers import Readers, TooManyStreams
from poster.web.live.stream import stream
from poster.web.problems import problem_of

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

LOG = logging.getLogger(__name__)

router: Final = APIRouter(tags=["live"])

_SLOWEST_S: Final = 10.0
"""A reader that takes nothing for so long is dropped: it can go on by the id of the last event it had."""

_TOLD: Final = """
Kinds: `state`, `task` and `log` are lines of the history, with an `id` to go on after; `progress` comes 4 times a
second at most, and `gone` when a job was deleted. A stream begins with `begin`, and says `heartbeat` every 15
seconds. A reader that is too slow is dropped.
"""
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The events",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: begin\ndata: {"at":"2025-01-31T12:00:00.000000Z"}\nid: 4711\n\n',
            }
        },
    }
}

_GOING_AWAY: Final = 1001  # RFC 6455, 7.4.1

Kinds = Annotated[list[str] | None, Query(description=f"Only these, of {', '.join(KINDS)}. May be repeated.")]
After = Annotated[
    str | None, Query(description="The id of an event: begin after it. 0 is before all.", max_length=2000)
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The same; it counts, if both are given.")
]


class EventStream(StreamingResponse):
    """Sends events as they come; ends when its reader takes none any more.

    FastAPI's own response runs three tasks for a stream, and does not end a slow one; of it is the encoding.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[list[Event]], leave: Callable[[], None]) -> None:
        """`leave` is called at the end."""
        super().__init__(_encoded(events), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()

    async def stream_response(self, send: Send) -> None:
        """Send what comes."""

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(_SLOWEST_S):
                await send(message)

        try:
            await super().stream_response(in_time)
        except TimeoutError:
            LOG.warning("a reader of live events is too slow, and is dropped")


async def _encoded(events: AsyncIterator[list[Event]]) -> AsyncIterator[bytes]:
    async with aclosing(events):  # type: ignore[type-var]
        async for some in events:
            if some:
                yield b"".join(event.sent for event in some)


@router.get(
    "/api/events",
    response_class=EventStream,
    status_code=200,
    responses=_STREAM | problems(422, 429),
    description=_TOLD,
)
async def all_events(
    request: Request, after: After = None, kind: Kinds = None, last: LastEventId = None
) -> Response:
    """What happens to all jobs."""
    return EventStream(*await _opened(request, None, last or after, kind))


@router.get(
    "/api/jobs/{job}/events",
    response_class=EventStream,
    status_code=200,
    responses=_STREAM | problems(404, 422, 429),
    description=_TOLD,
)
async def job_events(
    request: Request, job: JobId, after: After = None, kind: Kinds = None, last: LastEventId = None
) -> Response:
    """What happens to one job. The stream does not end with it: it may be retried."""
    return EventStream(*await _opened(request, job, last or after, kind))


@router.websocket("/api/ws")
async def socket(websocket: WebSocket, job: str | None = None, after: str | None = None) -> None:
    """The same events as messages: `{"event", "id", "data"}`."""
    try:
        events, leave = await _opened(websocket, job, after, websocket.query_params.getlist("kind"))
    except (Refusal, JobboardError, InvalidRequest) as error:
        told = error.problem if isinstance(error, Refusal) else problem_of(error)
        if told is None:
            raise
        await websocket.send_denial_response(answer(told))
        return
    try:
        await websocket.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(_until_it_leaves, websocket, group.cancel_scope)
            await _tell(websocket, events)
            group.cancel_scope.cancel()
    finally:
        leave()


async def _tell(websocket: WebSocket, events: AsyncIterator[list[Event]]) -> None:
    """Send events until there are no more, or the reader is too slow."""
    async with aclosing(events):  # type: ignore[type-var]
        try:
            async for some in events:
                for event in some:
                    async with asyncio.timeout(_SLOWEST_S):
                        await websocket.send_text(event.message)
            await websocket.close(_GOING_AWAY)
        except TimeoutError:
            LOG.warning("a reader of live events is too slow, and is dropped")


async def _until_it_leaves(websocket: WebSocket, scope: anyio.CancelScope) -> None:
    """Take what it says, which means nothing, until it says good-bye."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()


async def _opened(
    connection: HTTPConnection, job: str | None, after: str | None, kinds: Sequence[str] | None
) -> tuple[AsyncIterator[list[Event]], Callable[[], None]]:
    """The events that a reader asked for, and what is to be called when they are not read any more.

    Raises `InvalidRequest`, `NoSuchJob`, `Unreachable`, and `Refusal` for one stream too many.
    """
    position, wanted = _position(after), _wanted(kinds or ())
    state = connection.app.state
    client: Client = state.client
    feed: Feed = state.feed
    readers: Readers = state.readers
    if job is not None:
        if not is_id(job):
            raise NoSuchJob(job)
        await to_thread.run_sync(client.get, job)
    await feed.begun()
    who: Who = getattr(connection.state, WHO)
    reader = who.token or (connection.client.host if connection.client else "")
    try:
        readers.enter(reader)
    except TooManyStreams as error:
        raise refusal(429, str(error)) from error
    events = stream(
        feed,
        client.database,
        job=job,
        kinds=wanted,
        after=position,
        still_allowed=partial(_is_still, who, state.doorkeeper, Credentials.of(connection.headers)),
    )
    return events, partial(readers.leave, reader)


async def _is_still(who: Who, doorkeeper: Doorkeeper, credentials: Credentials | None) -> bool:
    """Whether who asked is still the same, and may still do the same."""
    try:
        return await doorkeeper.who(credentials) == who
    except Refusal as refused:
        return refused.problem.status == 503  # nobody knows just now


def _position(after: str | None) -> Position | None:
    try:
        return Position.parse(after) if after else None
    except ValueError as error:
        raise InvalidRequest([("after", str(error))]) from None


def _wanted(kinds: Sequence[str]) -> Sequence[str]:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InvalidRequest([("kind", f"wants some of {', '.join(KINDS)}")])
    return kinds or KINDS
