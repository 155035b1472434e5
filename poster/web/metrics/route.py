"""`/metrics`."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from poster.web.api.declared import problems

router: Final = APIRouter(tags=["health"])

_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Metrics in Prometheus' text format",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": 'countermand_jobs{flow="process_files",state="running"} 3.0\n',
            }
        },
    }
}


@router.get("/metrics", response_class=PlainTextResponse, responses=_TEXT | problems())
def metrics(request: Request) -> Response:
    """Numbers over this server, all jobs and all conductors, for Prometheus.

    Gauges of jobs and conductors are read from the database when they are asked for. Counters begin with 0 when
    the server starts.
    """
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
