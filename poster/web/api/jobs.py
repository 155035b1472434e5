"""`/api/jobs`: post, list, show, cancel, retry, pause, resume, delete."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response, status
from typing_extensions import TypedDict

from jobboard.errors import NoSuchJob
from jobboard.models import Job
from jobboard.records import Answer
from jobboard.states import ENDED, State
from poster.client import Client
from poster.documents import AnswerDocument, JobDocument, PlanDocument
from poster.job_json import answer_document, job_document, plan_document
from poster.post_request import LONGEST_REASON, from_json
from poster.web.answer import Json
from poster.web.api.asking import Asking, JobId, Limit, NoneIfEmpty, WithoutEmpty, is_id
from poster.web.api.bodies import MOST_PLANNED, CancelBody, CancelMany, Many, NewJob, RetryBody, RetryMany
from poster.web.api.declared import LINKS, problems

router: Final = APIRouter(prefix="/api/jobs", tags=["jobs"], default_response_class=Json)

_OPEN: Final = tuple(state for state in State if state not in ENDED)
_RETRIABLE: Final = (State.FAILED, State.CANCELLED)
_ACCEPTED: Final = status.HTTP_202_ACCEPTED


class _Which(TypedDict):
    states: Sequence[State]
    flow: str | None
    cursor: str | None
    limit: int


class JobsDocument(TypedDict):
    """A page of jobs, and the cursor of the next one; null if there is none."""

    jobs: list[JobDocument]
    next_cursor: str | None


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=JobDocument,
    responses=problems(404, 409, body=True)
    | {
        201: {"links": LINKS},
        200: {
            "model": JobDocument,
            "description": "The key gave back a job that has not ended",
            "links": LINKS,
        },
    },
)
def post_job(client: Asking, new: NewJob) -> Response:
    """Post a job.

    A `key` that a job has which has not ended gives that job back, with 200; 409 if it is another flow's, or has
    other arguments.
    """
    posted = client.post_once(from_json(new.model_dump(exclude_unset=True)))
    code = status.HTTP_200_OK if posted.existed else status.HTTP_201_CREATED
    return Json(job_document(client.show(posted.id)), code, headers={"Location": f"/api/jobs/{posted.id}"})


@router.get("", response_model=JobsDocument, responses=problems(422))
def list_jobs(
    client: Asking,
    state: Annotated[list[State] | None, Query(description="May be repeated."), WithoutEmpty] = None,
    flow: Annotated[str | None, Query(max_length=255), NoneIfEmpty] = None,
    q: Annotated[
        str | None,
        Query(max_length=255, description="Words that they have in id, flow, key, reason, error, arguments…"),
        NoneIfEmpty,
    ] = None,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before.", max_length=26), NoneIfEmpty
    ] = None,
    limit: Limit = 50,
) -> Response:
    """Jobs, newest first.

    With `q` one request looks through the 10,000 newest: a page has a `next_cursor` while there are more, also if
    it is empty itself.
    """
    which: _Which = {"states": state or (), "flow": flow, "cursor": cursor, "limit": limit}
    page = client.page(**which) if q is None else client.search(q, **which)
    jobs = [job_document(job) for job in client.explained(page.jobs)]
    return Json({"jobs": jobs, "next_cursor": page.next})


@router.get("/current", response_model=list[JobDocument], responses=problems())
def current_jobs(client: Asking) -> Response:
    """The jobs that are worked on now: running, pausing, cancelling, reverting; newest first."""
    return Json([job_document(job) for job in client.current()])


@router.post("/cancel", response_model=list[AnswerDocument], responses=problems(body=True))
def cancel_jobs(client: Asking, many: CancelMany) -> Response:
    """Cancel many jobs: an answer for each. One that is refused stops no other.

    A filter without states means all that have not ended.
    """
    ids = [*_named(client, many, _OPEN)]
    known = [job for job in ids if is_id(job)]
    answers = dict(zip(known, client.cancel_many(known, many.reason), strict=True))
    return Json([answer_document(job, answers.get(job, NoSuchJob(job))) for job in ids])


@router.post("/cancel/plan", response_model=list[PlanDocument], responses=problems(body=True))
def plan_cancels(client: Asking, many: Many) -> Response:
    """What a cancel of many jobs would revert in each of them: of the first 500. Changes nothing.

    A filter without states means all that have not ended.
    """
    ids = list(itertools.islice(_named(client, many, _OPEN), MOST_PLANNED))
    known = [job for job in ids if is_id(job)]
    plans = dict(zip(known, client.plan_many(known), strict=True))
    return Json([plan_document(job, plans.get(job, NoSuchJob(job))) for job in ids])


@router.post("/retry", response_model=list[AnswerDocument], responses=problems(body=True))
def retry_jobs(client: Asking, many: RetryMany) -> Response:
    """Retry many jobs: an answer for each. A filter without states means all that failed or were cancelled."""
    ids = [*_named(client, many, _RETRIABLE)]
    known = [job for job in ids if is_id(job)]
    answers: dict[str, Answer] = dict(zip(known, client.retry_many(known), strict=True))
    return Json([answer_document(job, answers.get(job, NoSuchJob(job))) for job in ids])


def _named(client: Client, many: Many, otherwise: tuple[State, ...]) -> Iterable[str]:
    """The ids; those that a filter lets through are read as they are taken."""
    if many.filter is None:
        return many.ids or ()
    asked = many.filter
    return client.matching(states=asked.states(otherwise), flow=asked.flow, words=asked.q)


def _accepted(client: Client, job: Job) -> Response:
    return Json(job_document(client.in_full(job)), _ACCEPTED)


@router.get("/{job}", response_model=JobDocument, responses=problems(404))
def show_job(client: Asking, job: JobId) -> Response:
    """A job, and what it waits for."""
    return Json(job_document(client.show(job)))


@router.delete(
    "/{job}",
    status_code=_ACCEPTED,
    response_model=JobDocument,
    responses=problems(404, 409, 422) | {204: {"description": "It is gone"}},
)
def delete_job(
    client: Asking,
    job: JobId,
    force: Annotated[bool, Query(description="Also one whose revert failed. Wants a reason.")] = False,
    reason: Annotated[str | None, Query(max_length=LONGEST_REASON), NoneIfEmpty] = None,
) -> Response:
    """Remove a job with its history.

    One with something to revert is cancelled first: 202 until it is gone.
    """
    left = client.delete(job, reason, force=force)
    return Response(status_code=204) if left is None else Json(job_document(left), _ACCEPTED)


@router.get("/{job}/cancel", response_model=PlanDocument, responses=problems(404, 409))
def plan_cancel(client: Asking, job: JobId) -> Response:
    """What a cancel now would revert, what cannot be undone, and what has not begun. Changes nothing."""
    return Json(plan_document(job, client.plan_cancel(job)))


@router.post(
    "/{job}/cancel",
    status_code=_ACCEPTED,
    response_model=JobDocument,
    responses=problems(404, 409, body=True),
)
def cancel_job(client: Asking, job: JobId, body: CancelBody | None = None) -> Response:
    """Cancel a job, and revert what it did. Accepted is stored: it ends `cancelled`, or `revert_failed`."""
    return _accepted(client, client.cancel(job, body.reason if body else None))


@router.post(
    "/{job}/retry",
    status_code=_ACCEPTED,
    response_model=JobDocument,
    responses=problems(404, 409, body=True),
)
def retry_job(client: Asking, job: JobId, body: RetryBody | None = None) -> Response:
    """Begin a new attempt of a failed or cancelled job; one that kept its results goes on at the failed task."""
    asked = body or RetryBody()
    if asked.force and asked.reason:
        return _accepted(client, client.force_retry(job, asked.reason))
    if asked.cleanup:
        return _accepted(client, client.cleanup(job))
    return _accepted(client, client.retry(job, asked.arguments))


@router.post(
    "/{job}/pause", status_code=_ACCEPTED, response_model=JobDocument, responses=problems(404, 409, body=True)
)
def pause_job(client: Asking, job: JobId) -> Response:
    """Stop a job between two tasks, and keep its results."""
    return _accepted(client, client.pause(job))


@router.post(
    "/{job}/resume", status_code=_ACCEPTED, response_model=JobDocument, responses=problems(404, 409, body=True)
)
def resume_job(client: Asking, job: JobId) -> Response:
    """Let a paused job go on at its next task."""
    return _accepted(client, client.resume(job))
