"""`/api/flows`."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from poster.documents import FlowDocument, GraphDocument
from poster.job_json import flow_document, graph_document
from poster.web.answer import Json
from poster.web.api.asking import Asking
from poster.web.api.declared import problems

router: Final = APIRouter(prefix="/api/flows", tags=["flows"], default_response_class=Json)

FlowName = Annotated[str, Path(description="A flow's name.", examples=["process_files"])]


@router.get("", response_model=list[FlowDocument], responses=problems())
def list_flows(client: Asking) -> Response:
    """All flows that are known here, by name; each with the JSON schema of its arguments."""
    return Json([flow_document(spec) for spec in client.flows()])


@router.get("/{name}", response_model=FlowDocument, responses=problems(404))
def show_flow(client: Asking, name: FlowName) -> Response:
    """One flow."""
    return Json(flow_document(client.flow(name)))


@router.get("/{name}/graph", response_model=GraphDocument, responses=problems(404, 422))
def flow_graph(client: Asking, name: FlowName) -> Response:
    """The graph of a flow. 422 if it depends on arguments, which only a job has."""
    return Json(graph_document(client.graph_of_flow(name)))
