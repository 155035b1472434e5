"""`/api/stats` and `/api/conductors`."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from poster.job_json import ConductorDocument, StatsDocument, conductor_document, stats_document
from poster.web.answer import Json
from poster.web.api.asking import Asking
from poster.web.api.declared import problems

router: Final = APIRouter(prefix="/api", tags=["overview"], default_response_class=Json)


@router.get("/stats", response_model=StatsDocument, responses=problems())
def stats(client: Asking) -> Response:
    """Numbers over all jobs and conductors."""
    return Json(stats_document(client.stats()))


@router.get("/conductors", response_model=list[ConductorDocument], responses=problems())
def conductors(client: Asking) -> Response:
    """Conductors that are there, or were in the last day, by name."""
    return Json([conductor_document(row) for row in client.conductors()])
