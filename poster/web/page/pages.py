"""The pages. Each is a frame that its script fills from the API; only what never changes is written here."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from starlette.responses import RedirectResponse

from flows.errors import FlowsError
from jobboard.errors import AmbiguousJob, NoSuchJob
from poster.web.api.asking import Asking, is_id
from poster.web.page.next_place import next_place
from poster.web.page.picture import Direction, picture_of
from poster.web.page.rendering import page

router: Final = APIRouter(include_in_schema=False)


@router.get("/")
def jobs() -> Response:
    """All jobs."""
    return page("jobs.html")


@router.get("/jobs/{job}")
def job(client: Asking, job: str) -> Response:
    """One job. The beginning of an id leads to the job that has it, if it is the only one."""
    try:
        found = job if is_id(job) and client.get(job) else client.resolve(job)
    except NoSuchJob:
        return _missing(f"No job has the id {job}", "It may have been deleted, or purged.")
    except AmbiguousJob:
        return RedirectResponse(f"/?{urlencode({'q': job})}", 303)
    return page("job.html", job=job) if found == job else RedirectResponse(f"/jobs/{found}", 303)


@router.get("/jobs/{job}/picture")
def picture(client: Asking, job: str, direction: Direction = "right") -> Response:
    """The graph of a job as SVG, coloured by the page's style sheet."""
    return Response(picture_of(client.graph_of_job(job), direction), media_type="image/svg+xml")


@router.get("/post")
def flows() -> Response:
    """All flows, to choose one."""
    return page("flows.html")


@router.get("/post/{name}")
def post(client: Asking, name: str) -> Response:
    """The form of a flow."""
    try:
        client.flow(name)
    except FlowsError as error:
        return _missing(f"No flow is called {name}", str(error))
    return page("post.html", flow=name)


@router.get("/conductors")
def conductors() -> Response:
    """Who runs jobs."""
    return page("conductors.html")


@router.get("/statistics")
def statistics() -> Response:
    """Numbers, and the last day."""
    return page("statistics.html")


@router.get("/login")
def login(next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Where a token is asked for."""
    return page("login.html", next=next_place(next))


def _missing(what: str, why: str) -> Response:
    return page("problem.html", 404, what=what, why=why)
