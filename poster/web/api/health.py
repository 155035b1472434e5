"""`/healthz` and `/readyz`: whether this process lives, and whether what it needs answers."""

from __future__ import annotations

from typing import Final, Literal

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from poster.client import Client
from poster.web.answer import Json, answer
from poster.web.api.declared import problems
from poster.web.problems import problem

router: Final = APIRouter(tags=["health"], default_response_class=Json)


class HealthDocument(TypedDict):
    """All is well."""

    status: Literal["ok"]


@router.get("/healthz", response_model=HealthDocument, responses={})
async def healthz() -> Response:
    """Whether this process answers. Asks no one else."""
    return Json({"status": "ok"})


@router.get("/readyz", response_model=HealthDocument, responses={503: problems()[503]})
def readyz(request: Request) -> Response:
    """Whether the database and the board answer."""
    client: Client = request.app.state.client
    wrong = [check.message for check in client.readiness() if not check.ok]
    return answer(problem(503, "; ".join(wrong))) if wrong else Json({"status": "ok"})
