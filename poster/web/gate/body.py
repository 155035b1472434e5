"""What a request carries: JSON, of a size that one can bear, and without traps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from poster.errors import InvalidJson
from poster.strict_json import loads
from poster.web.gate.refusal import Refusal, refusal

if TYPE_CHECKING:
    from starlette.types import Message, Receive

LONGEST_WAIT_S: Final = 30.0  # for the whole of a body


async def read_json(headers: Headers, receive: Receive, most_bytes: int) -> bytes:
    """The whole body, which is JSON or empty. Raises `Refusal`."""
    told = headers.get("content-length", "")
    if told.isdecimal() and int(told) > most_bytes:
        raise _too_large(most_bytes)
    try:
        async with asyncio.timeout(LONGEST_WAIT_S):
            body = await _read(receive, most_bytes)
    except TimeoutError:
        why = f"the body did not come within {LONGEST_WAIT_S:g} s"
        raise refusal(408, why) from None
    if body:
        _check(headers, body)
    return body


async def _read(receive: Receive, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise refusal(400, "the body broke off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most_bytes:
            raise _too_large(most_bytes)
        if not message.get("more_body"):
            return b"".join(parts)


def _check(headers: Headers, body: bytes) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        why = f"wants Content-Type: application/json, not {kind or 'none'}"
        raise refusal(415, why)
    try:
        loads(body.decode())
    except UnicodeDecodeError:
        raise refusal(422, "the body is not UTF-8") from None
    except InvalidJson as error:
        raise refusal(422, f"the body is {error}") from None


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already; then what comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def _too_large(most_bytes: int) -> Refusal:
    return refusal(413, f"the body is larger than {most_bytes:,} bytes")
