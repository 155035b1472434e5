"""What is answered over HTTP for each error."""

from __future__ import annotations

import pytest

from flows.errors import ArgumentProblem, GraphNotKnown, InvalidArguments, NoSuchFlow
from jobboard import errors as jobboard_errors
from jobboard.errors import (
    AmbiguousJob,
    DatabaseTooNew,
    Fenced,
    InvalidPost,
    KeyInUse,
    MalformedRecord,
    NoSuchJob,
    NoSuchToken,
    Refused,
    Unreachable,
)
from poster.errors import InvalidJson, InvalidRequest, NoSuchFlowOrJob
from poster.web.problems import problem_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoSuchJob("x"), 404),
        (NoSuchToken("x"), 404),
        (NoSuchFlow("x", ["y"]), 404),
        (NoSuchFlowOrJob("x"), 404),
        (Refused("x", "completed", "already completed, nothing to cancel"), 409),
        (KeyInUse("x", "running", "the key is taken"), 409),
        (MalformedRecord("x", None, "state"), 409),
        (AmbiguousJob("x", ["xa", "xb"]), 422),
        (InvalidArguments("f", [ArgumentProblem("a", "is required")]), 422),
        (InvalidRequest([("priority", "wants one of …")]), 422),
        (InvalidJson("line 1"), 422),
        (InvalidPost("too large"), 422),
        (GraphNotKnown("why"), 422),
        (Unreachable("database"), 503),
        (DatabaseTooNew("schema"), 503),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_a_status(error, status):
    told = problem_of(error)
    assert told is not None
    assert (told.status, told.detail) == (status, str(error))
    assert told.title


def test_a_refusal_names_the_job_and_its_state():
    told = problem_of(Refused("01hx5", "completed", "already completed, nothing to cancel"))
    assert (told.job, told.state) == ("01hx5", "completed")
    assert told.title == "Conflict"


def test_every_field_that_does_not_fit_is_named():
    wrong = InvalidArguments("f", [ArgumentProblem("a", "is required"), ArgumentProblem("b", "wants a number")])
    named = [(one.field, one.message) for one in problem_of(wrong).errors]
    assert named == [("arguments.a", "is required"), ("arguments.b", "wants a number")]
    told = problem_of(InvalidRequest([("priority", "wants one of …")]))
    assert [one.field for one in told.errors] == ["priority"]


@pytest.mark.parametrize("error", [ValueError("x"), Fenced("x"), jobboard_errors.SettingError("x")])
def test_an_error_that_is_ours_has_none(error):
    assert problem_of(error) is None
