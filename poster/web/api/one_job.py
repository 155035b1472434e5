"""`/api/jobs/{job}/…`: what there is to know of one job beyond its record."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from poster.documents import GraphDocument, HistoryDocument, LogDocument
from poster.job_json import graph_document, history_document, log_document
from poster.web.answer import Json
from poster.web.api.asking import Asking, JobId, Limit, NoneIfEmpty
from poster.web.api.declared import problems

router: Final = APIRouter(prefix="/api/jobs/{job}", tags=["jobs"], default_response_class=Json)

_LARGEST: Final = 2**63 - 1

After = Annotated[int, Query(ge=0, le=_LARGEST, description="Only lines after the one with this `seq`.")]
Before = Annotated[
    int | None,
    Query(ge=0, le=_LARGEST, description="The last lines before the one with this `seq`; `after` does not count."),
    NoneIfEmpty,
]


@router.get("/result", response_model=dict[str, Any], responses=problems(404, 409))
def job_result(client: Asking, job: JobId) -> Response:
    """What the tasks of a completed job provide, by name."""
    return Json(client.result(job))


@router.get("/history", response_model=list[HistoryDocument], responses=problems(404, 422))
def job_history(
    client: Asking, job: JobId, after: After = 0, before: Before = None, limit: Limit = 1000
) -> Response:
    """What happened to a job, oldest first: transitions and tasks."""
    client.get(job)
    lines = client.history(job, after=after, before=before, limit=limit)
    return Json([history_document(line) for line in lines])


@router.get("/logs", response_model=list[LogDocument], responses=problems(404, 422))
def job_logs(client: Asking, job: JobId, after: After = 0, before: Before = None, limit: Limit = 1000) -> Response:
    """What a job's tasks logged, oldest first."""
    client.get(job)
    lines = client.logs(job, after=after, before=before, limit=limit)
    return Json([log_document(line) for line in lines])


@router.get("/graph", response_model=GraphDocument, responses=problems(404))
def job_graph(client: Asking, job: JobId) -> Response:
    """The graph of a job's flow, with the states of its tasks."""
    return Json(graph_document(client.graph_of_job(job)))
