"""The pages. Each is a frame that its script fills from the API; only what never changes is written here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from starlette.responses import RedirectResponse

from flows.errors import FlowsError
from jobboard.errors import AmbiguousJob, NoSuchJob
from jobboard.version import __version__
from poster.web.api.asking import Asking, is_id
from poster.web.page.next_place import next_place
from poster.web.page.picture import Direction, picture_of

if TYPE_CHECKING:
    from jinja2 import Environment

router: Final = APIRouter(include_in_schema=False)

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@router.get("/")
def jobs() -> Response:
    """All jobs."""
    return _page("jobs.html")


@router.get("/jobs/{job}")
def job(client: Asking, job: str) -> Response:
    """One job. The beginning of an id leads to the job that has it, if it is the only one."""
    try:
        found = job if is_id(job) and client.get(job) else client.resolve(job)
    except NoSuchJob:
        return _missing(f"No job has the id {job}", "It may have been deleted, or purged.")
    except AmbiguousJob:
        return RedirectResponse(f"/?{urlencode({'q': job})}", 303)
    return _page("job.html", job=job) if found == job else RedirectResponse(f"/jobs/{found}", 303)


@router.get("/jobs/{job}/picture")
def picture(client: Asking, job: str, direction: Direction = "right") -> Response:
    """The graph of a job as SVG, coloured by the page's style sheet."""
    return Response(picture_of(client.graph_of_job(job), direction), media_type="image/svg+xml")


@router.get("/post")
def flows() -> Response:
    """All flows, to choose one."""
    return _page("flows.html")


@router.get("/post/{name}")
def post(client: Asking, name: str) -> Response:
    """The form of a flow."""
    try:
        client.flow(name)
    except FlowsError as error:
        return _missing(f"No flow is called {name}", str(error))
    return _page("post.html", flow=name)


@router.get("/conductors")
def conductors() -> Response:
    """Who runs jobs."""
    return _page("conductors.html")


@router.get("/statistics")
def statistics() -> Response:
    """Numbers, and the last day."""
    return _page("statistics.html")


@router.get("/login")
def login(next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Where a token is asked for."""
    return _page("login.html", next=next_place(next))


def _missing(what: str, why: str) -> Response:
    return _page("missing.html", 404, what=what, why=why)


def _page(template: str, status: int = 200, **values: Any) -> Response:
    text = _templates().get_template(template).render(version=__version__, **values)
    return Response(text, status, headers={"Content-Security-Policy": _POLICY}, media_type="text/html")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("poster.web.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
