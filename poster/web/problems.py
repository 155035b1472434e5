"""What an error means over HTTP: problem details as RFC 9457 has them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from flows import errors as flows_errors
from jobboard import errors as jobboard_errors
from poster import errors as poster_errors

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 2
"""What a server that is away is given, before it is asked again."""


class FieldError(BaseModel):
    """One field of a request that does not fit."""

    field: str = Field(examples=["arguments.source"])
    message: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """Why a request was not done: RFC 9457, with what a program may want to know."""

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["job 01hx5…: already completed, nothing to cancel"])
    job: str | None = Field(None, description="The job, if it is about one.")
    state: str | None = Field(None, description="The state that the job is in, and that does not allow it.")
    errors: list[FieldError] | None = Field(None, description="All fields that do not fit.")


def problem(status: int, detail: str, **more: Any) -> Problem:
    """A problem with the usual title of its status."""
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, **more)


def problem_of(error: Exception) -> Problem | None:
    """What is answered for an error that is the client's or a server's; None for one that is ours."""
    for kind, tell in _PROBLEMS:
        if isinstance(error, kind):
            return tell(error)
    return None


def _told(status: HTTPStatus) -> Callable[[Any], Problem]:
    return lambda error: problem(status, str(error))


def _of_job(status: HTTPStatus) -> Callable[[Any], Problem]:
    return lambda error: problem(status, str(error), job=error.job)


def _refused(error: jobboard_errors.Refused) -> Problem:
    return problem(HTTPStatus.CONFLICT, str(error), job=error.job, state=error.state)


def _arguments(error: flows_errors.InvalidArguments) -> Problem:
    fields = [FieldError(field=f"arguments.{one.parameter}", message=one.message) for one in error.problems]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), errors=fields)


def _fields(error: poster_errors.InvalidRequest) -> Problem:
    fields = [FieldError(field=field, message=message) for field, message in error.problems]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), errors=fields)


_PROBLEMS: Final[tuple[tuple[type[Exception], Callable[[Any], Problem]], ...]] = (
    (jobboard_errors.NoSuchJob, _of_job(HTTPStatus.NOT_FOUND)),
    (jobboard_errors.NoSuchToken, _told(HTTPStatus.NOT_FOUND)),
    (flows_errors.NoSuchFlow, _told(HTTPStatus.NOT_FOUND)),
    (poster_errors.NoSuchFlowOrJob, _told(HTTPStatus.NOT_FOUND)),
    (jobboard_errors.Refused, _refused),
    (jobboard_errors.AmbiguousJob, _told(HTTPStatus.UNPROCESSABLE_ENTITY)),
    (flows_errors.InvalidArguments, _arguments),
    (flows_errors.GraphNotKnown, _told(HTTPStatus.UNPROCESSABLE_ENTITY)),
    (poster_errors.InvalidRequest, _fields),
    (poster_errors.PosterError, _told(HTTPStatus.UNPROCESSABLE_ENTITY)),
    (jobboard_errors.InvalidPost, _told(HTTPStatus.UNPROCESSABLE_ENTITY)),
    (jobboard_errors.Unreachable, _told(HTTPStatus.SERVICE_UNAVAILABLE)),
    (jobboard_errors.DatabaseTooNew, _told(HTTPStatus.SERVICE_UNAVAILABLE)),
)
"""The first that fits counts."""
