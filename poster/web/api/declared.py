"""What the routes declare in the OpenAPI document: their error answers, with an example for each. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from poster.web.problems import MEDIA_TYPE, Problem, problem

_JOB: Final = "01hx5c4v7e8q9r0s1t2v3w4x5y"

_EXAMPLES: Final[dict[int, Problem]] = {
    400: problem(400, "the body broke off"),
    401: problem(401, "wants a token: `poster token create` makes one"),
    403: problem(403, "wants a token of role post, scraper's is of role read"),
    404: problem(404, f"no such job: {_JOB} (`poster list` shows the newest)", job=_JOB),
    405: problem(405, "PUT is not allowed here: GET is"),
    408: problem(408, "the body did not come within 30 s"),
    409: problem(409, f"job {_JOB}: already completed, nothing to cancel", job=_JOB, state="completed"),
    413: problem(413, "the body is larger than 1,100,000 bytes"),
    415: problem(415, "wants Content-Type: application/json, not text/plain"),
    422: problem(
        422,
        "limit: Input should be less than or equal to 1000",
        errors=[{"field": "limit", "message": "Input should be less than or equal to 1000"}],
    ),
    429: problem(429, "250 streams are open already: close one first"),
    503: problem(503, "database localhost: the server does not answer"),
}

LINKS: Final = {
    name: {"operationId": name, "parameters": {"job": "$response.body#/id"}}
    for name in (
        *("show_job", "delete_job", "plan_cancel", "cancel_job", "retry_job", "pause_job", "resume_job"),
        *("job_result", "job_history", "job_logs", "job_graph"),
    )
}
"""What there is to do with the job of an answer, by the names of the operations."""

_ALWAYS: Final = (401, 403, 503)
_OF_A_BODY: Final = (400, 408, 413, 415, 422)


def problems(*statuses: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, beside those that every route has. `body`: it takes one."""
    all_of_them = sorted({*_ALWAYS, *(_OF_A_BODY if body else ()), *statuses})
    return {status: _declared(status) for status in all_of_them}


def _declared(status: int) -> dict[str, Any]:
    example = _EXAMPLES[status].model_dump(exclude_none=True)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": HTTPStatus(status).phrase, "content": content}
