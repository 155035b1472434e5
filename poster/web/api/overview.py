"""`/api/stats`, `/api/stats/day`, `/api/conductors` and `/api/me`."""

from __future__ import annotations

from typing import Final, Literal

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from poster.documents import ConductorDocument, HourDocument, StatsDocument
from poster.job_json import conductor_document, hour_document, stats_document
from poster.web.answer import Json
from poster.web.api.asking import Asking
from poster.web.api.declared import problems
from poster.web.gate.gate import WHO
from poster.web.gate.who import Who

router: Final = APIRouter(prefix="/api", tags=["overview"], default_response_class=Json)


class WhoDocument(TypedDict):
    """Who asks. `token` is the id of theirs; null if they need none."""

    name: str
    role: Literal["read", "post", "admin"]
    token: str | None


@router.get("/stats", response_model=StatsDocument, responses=problems())
def stats(client: Asking) -> Response:
    """Numbers over all jobs and conductors."""
    return Json(stats_document(client.stats()))


@router.get("/stats/day", response_model=list[HourDocument], responses=problems())
def day(client: Asking) -> Response:
    """How many jobs ended, and how many were posted, in each of the last 24 hours of UTC.

    The oldest hour comes first; the last one has begun, and is not over. Counted are the jobs that are stored: not
    those that were removed, and one that was retried only where it ended last.
    """
    return Json([hour_document(hour) for hour in client.day()])


@router.get("/conductors", response_model=list[ConductorDocument], responses=problems())
def conductors(client: Asking) -> Response:
    """Conductors that are there, or were in the last day, by name."""
    return Json([conductor_document(row) for row in client.conductors()])


@router.get("/me", response_model=WhoDocument, responses=problems())
def me(request: Request) -> Response:
    """Who asks, and what they may."""
    who: Who = getattr(request.state, WHO)
    return Json({"name": who.name, "role": str(who.role), "token": who.token})
