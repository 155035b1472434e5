"""What stands in a conductor's log, and what does not."""

from __future__ import annotations

import logging
import sys

import pytest
from taskflow.exceptions import StorageFailure

from conductor.job_log import SaidOnce, set_up_logging
from jobboard.errors import Fenced, Unreachable


def line(error: Exception | None, message: str = "Engine execution has failed") -> logging.LogRecord:
    try:
        raise error or ValueError
    except Exception:
        info = sys.exc_info() if error else None
    return logging.LogRecord("taskflow", logging.ERROR, "engine.py", 1, message, (), info)


@pytest.mark.parametrize("error", [Fenced("j", 1), Unreachable("database"), StorageFailure("atom")])
def test_what_the_conductor_says_in_a_line_is_not_said_again(error: Exception) -> None:
    wrapped = RuntimeError("engine")
    wrapped.__cause__ = error
    assert not SaidOnce().filter(line(error))
    assert not SaidOnce().filter(line(wrapped))


def test_what_the_engine_could_not_store_is_not_told_twice() -> None:
    assert not SaidOnce().filter(line(None, "Original exception being dropped: %s"))


def test_other_errors_stay() -> None:
    assert SaidOnce().filter(line(ValueError("a bug")))
    assert SaidOnce().filter(line(None, "something else"))


@pytest.mark.parametrize("library", ["taskflow", "sqlalchemy", "httpx"])
def test_of_what_the_libraries_beneath_tell_only_warnings_stay(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for quiet in ("taskflow", "kazoo", "alembic", "sqlalchemy", "httpx"):
        monkeypatch.setattr(logging.getLogger(quiet), "level", logging.NOTSET)
    set_up_logging("info")
    assert logging.getLogger(library).getEffectiveLevel() == logging.WARNING
