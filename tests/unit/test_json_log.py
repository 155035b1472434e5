"""Log lines as JSON: what is in them, and what is not."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest

from conductor.job_log import WhereFilter, about, where
from flows import CancelableTask
from flows.run_context import RunContext, running
from flows.secrets import Secrets, without_secrets
from jobboard.claims import Claim
from jobboard.json_log import JsonFormatter
from jobboard.states import State

SECRET = 'hunter2 says "no"'


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info: Any = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("some.logger", logging.WARNING, "file.py", 7, message, arguments, info)


def told(line: logging.LogRecord, formatter: JsonFormatter | None = None) -> dict[str, Any]:
    """The object, after a check that it is one line of ASCII."""
    text = (formatter or JsonFormatter()).format(line)
    assert "\n" not in text
    assert text.isascii()
    found: dict[str, Any] = json.loads(text)
    return found


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception:
        return sys.exc_info()[1]  # type: ignore[return-value]


def a_claim() -> Claim:
    given = dict.fromkeys(Claim.__dataclass_fields__)
    return Claim(**{**given, "job": "01j", "flow": "hello", "attempt": 2, "state": State.RUNNING})


def test_a_line():
    line = record("%d jobs of %s", 3, "Zoë")
    found = told(line)
    at = found.pop("at")
    assert found == {"level": "warning", "logger": "some.logger", "message": "3 jobs of Zoë"}
    assert at.endswith("Z")
    assert len(at) == len("2026-01-31T12:00:00.000000Z")
    moment = datetime.fromisoformat(at)
    assert abs(moment.timestamp() - line.created) < timedelta(milliseconds=1).total_seconds()


def test_a_traceback_is_in_the_line():
    found = told(record("it broke", error=raised(ValueError("two\nlines"))))
    assert found["exc"].startswith("Traceback (most recent call last):\n")
    assert found["exc"].endswith("ValueError: two\nlines")


def test_a_traceback_that_another_handler_wrote_out_is_masked_too():
    secrets = Secrets([SECRET])
    line = record("it broke", error=raised(ValueError(SECRET)))
    logging.Formatter().format(line)
    assert line.exc_text
    assert SECRET in line.exc_text
    found = told(line, JsonFormatter(masked=secrets.text))
    assert "hunter2" not in found["exc"]


def test_no_secret_is_in_it_and_none_spoils_it():
    secrets = Secrets([SECRET, "message", "warning", "some", "2026"])
    formatter = JsonFormatter(masked=without_secrets, where=lambda: {"job": "01j", "task": f"task {SECRET}"})
    found = told(record(f"it is {SECRET} or %s", SECRET), formatter)
    assert found["message"] == "it is ******** or ********"
    assert found["task"] == "task ********"
    assert found["level"] == "warning"
    assert secrets  # known until here


def test_what_cannot_be_written_elsewhere_can_be_here():
    assert told(record("\ud800 and \x00"))["message"] == "\ud800 and \x00"


class Named(CancelableTask):
    """A task."""

    def execute(self) -> None:
        """Do nothing."""


def test_a_line_of_a_task_says_where_it_comes_from():
    assert where() == {}
    with running(Named("write"), RunContext(job="01j", flow="hello", attempt=2), reverting=False):
        assert where() == {"job": "01j", "flow": "hello", "attempt": 2, "task": "write"}
    with running(Named("write"), RunContext(), reverting=False):
        assert where() == {"task": "write"}


def test_a_line_about_a_job_says_so():
    with about(a_claim()):
        assert where() == {"job": "01j", "flow": "hello", "attempt": 2}
        with about(a_claim(), "write"):
            assert where()["task"] == "write"
        assert "task" not in where()
    assert where() == {}


@pytest.mark.parametrize(("task", "said"), [(None, "[01j hello #2] "), ("write", "[01j hello #2 write] ")])
def test_as_text(task: str | None, said: str):
    line = record("x")
    with about(a_claim(), task):
        assert WhereFilter().filter(line)
    assert line.where == said
    assert WhereFilter().filter(line)
    assert line.where == ""
