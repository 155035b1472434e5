"""What people see of the tasks, for what TaskFlow stores of its atoms."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskflow.types.failure import Failure

from flows.errors import JobCancelled, NotStarted
from jobboard import task_view
from jobboard.models import NotResponding, Task, TaskError
from jobboard.task_view import TaskView

AT, LATER = "2026-01-02T03:04:05.000006+00:00", "2026-01-02T03:04:06.000006+00:00"


def failure(error: Exception) -> dict[str, Any]:
    """As TaskFlow stores it."""
    return Failure.from_exception(error).to_dict()


def view_of(*names: str) -> TaskView:
    return TaskView([Task(name) for name in names])


def the(view: TaskView, name: str) -> Task:
    return next(task for task in view if task.name == name)


def test_tasks_stay_in_flow_order():
    view = view_of("c", "a", "b")
    view.observe("b", "RUNNING", None, AT)
    view.observe("c", "RUNNING", None, AT)
    assert [task.name for task in view] == ["c", "a", "b"]


def test_a_task_that_succeeds():
    view = view_of("a")
    assert view.observe("a", "RUNNING", None, AT) == Task("a", "running", started_at=AT)
    assert view.observe("a", "SUCCESS", None, LATER) == Task("a", "success", 1.0, None, AT, LATER)
    assert view.progress == 1.0


def test_a_task_that_fails_and_is_reverted():
    view = view_of("a")
    view.observe("a", "RUNNING", None, AT)
    view.report("a", 0.4, {"done": 4, "total": 10})
    error = TaskError("a", "ValueError", "boom")
    failed = view.observe("a", "FAILURE", failure(ValueError("boom")), LATER)
    assert failed == Task("a", "failure", 0.4, {"done": 4, "total": 10}, AT, LATER, error)
    reverting = view.observe("a", "REVERTING", failure(ValueError("boom")), LATER)
    assert reverting.state == "reverting"
    assert reverting.finished_at is None
    reverted = view.observe("a", "REVERTED", failure(ValueError("boom")), LATER)
    assert (reverted.state, reverted.progress, reverted.error) == ("reverted", 0.0, error)


def test_a_revert_that_fails_shows_its_own_error():
    view = view_of("a")
    view.observe("a", "RUNNING", None, AT)
    view.observe("a", "SUCCESS", None, AT)
    view.observe("a", "REVERTING", None, AT)
    failed = view.observe("a", "REVERT_FAILURE", failure(OSError("disk gone")), LATER)
    assert failed.error == TaskError("a", "OSError", "disk gone")
    assert failed.finished_at == LATER
    assert failed.progress == 1.0


def test_an_interruption_is_no_error():
    view = view_of("a")
    view.observe("a", "RUNNING", None, AT)
    interrupted = view.observe("a", "FAILURE", failure(JobCancelled("why", "who")), LATER)
    assert (interrupted.state, interrupted.error) == ("failure", None)


def test_a_task_stopped_before_it_did_anything_is_pending_still():
    view = view_of("a", "b")
    view.observe("a", "RUNNING", None, AT)
    view.observe("a", "SUCCESS", None, AT)
    for state in ("FAILURE", "REVERTING", "REVERTED"):
        assert view.observe("b", state, failure(NotStarted()), AT) is None
    assert the(view, "b") == Task("b")
    assert task_view.began(view) == 1


def test_it_is_so_also_when_another_conductor_has_it_reverted():
    view = view_of("a", "b")
    view.observe("a", "RUNNING", None, AT)
    view.observe("b", "RUNNING", None, AT)
    view.observe("b", "FAILURE", failure(NotStarted()), AT)
    taken_over = TaskView(task_view.from_json(task_view.to_json(view)))
    for state in ("REVERTING", "REVERTED"):
        assert taken_over.observe("b", state, failure(NotStarted()), LATER) is None
        assert taken_over.observe("a", state, failure(JobCancelled()), LATER).state == state.lower()
    assert (task_view.reverted(taken_over), task_view.began(taken_over)) == (1, 1)


def test_a_task_that_taskflow_had_called_running_is_pending_again():
    view = view_of("a")
    view.observe("a", "RUNNING", None, AT)
    assert view.observe("a", "FAILURE", failure(NotStarted()), LATER) == Task("a")
    for state in ("REVERTING", "REVERTED"):
        assert view.observe("a", state, failure(NotStarted()), LATER) is None
    assert task_view.began(view) == 0


def test_a_task_that_was_hidden_is_seen_when_it_runs_after_all():
    view = view_of("a")
    view.observe("a", "FAILURE", failure(NotStarted()), AT)
    assert view.observe("a", "RUNNING", None, AT).state == "running"
    assert view.observe("a", "FAILURE", failure(ValueError("x")), AT).state == "failure"


def test_a_retry_within_the_flow_begins_the_task_anew():
    view = TaskView([Task("a", irreversible=True)])
    view.observe("a", "RUNNING", None, AT)
    view.report("a", 0.9, {"done": 9})
    view.observe("a", "FAILURE", failure(ValueError("x")), AT)
    assert view.observe("a", "PENDING", None, LATER) == Task("a", irreversible=True)
    assert view.observe("a", "RUNNING", None, LATER) == Task("a", "running", started_at=LATER, irreversible=True)


def test_what_changes_nothing_is_not_told_twice():
    view = view_of("a")
    assert view.observe("a", None, None, AT) is None  # PENDING, as TaskFlow stores it at first
    assert view.observe("a", "RUNNING", None, AT) is not None
    assert view.observe("a", "RUNNING", None, LATER) is None
    assert view.observe("a", "NO SUCH STATE", None, AT) is None
    assert view.observe(task_view.SEAL, "RUNNING", None, AT) is None


def test_reports_while_it_reverts_leave_the_progress():
    view = view_of("a")
    view.observe("a", "RUNNING", None, AT)
    assert view.report("a", 0.5, {"done": 1, "total": 2})
    assert not view.report("a", 0.5, {"done": 1, "total": 2})
    assert not view.report("nobody", 0.5, None)
    view.observe("a", "REVERTING", None, AT)
    assert view.report("a", 0.1, {"done": 0, "total": 2})
    assert (the(view, "a").progress, the(view, "a").detail) == (0.5, {"done": 0, "total": 2})


def test_the_progress_of_a_job_is_the_mean_of_its_tasks():
    view = view_of("a", "b", "c", "d")
    assert view_of().progress == view.progress == 0.0
    view.observe("a", "SUCCESS", None, AT)
    view.observe("b", "RUNNING", None, AT)
    view.report("b", 0.5, None)
    assert view.progress == 0.375


def test_errors_are_named_for_their_type():
    class Odd(Exception):
        pass

    assert task_view.error_of("a", failure(KeyError("k"))) == TaskError("a", "KeyError", "'k'")
    assert task_view.error_of(None, failure(Odd("x"))).type.endswith("Odd")
    assert task_view.error_of("a", failure(NotStarted())) is None


STATES = ("pending", "running", "success", "failure", "reverting", "reverted", "revert_failure")


def test_counting_what_began_and_what_was_reverted():
    tasks = [Task(state, state) for state in STATES]
    assert task_view.began(tasks) == 6
    assert task_view.reverted(tasks) == 1


@pytest.mark.parametrize("odd", [object(), math.nan, {1}, b"x"])
def test_what_a_task_reports_is_stored_in_words_if_it_is_not_json(odd):
    (stored,) = task_view.to_json([Task("a", detail={"done": odd})])
    assert stored["detail"] == {"done": str(odd)}
    json.dumps(stored, allow_nan=False)


def test_a_task_that_does_not_respond_is_known_until_its_state_changes():
    view = view_of("a", "b")
    view.observe("a", "RUNNING", None, AT)
    assert view.mark_not_responding("a", AT, "here")
    assert the(view, "a").not_responding == NotResponding(AT, "here")
    assert not view.mark_not_responding("a", LATER, "there")
    assert the(view, "a").not_responding == NotResponding(AT, "there")
    view.report("a", 0.5, None)
    assert the(view, "a").not_responding == NotResponding(AT, "there")
    assert view.observe("a", "FAILURE", failure(JobCancelled()), LATER).not_responding is None


@pytest.mark.parametrize("state", [None, "SUCCESS", "FAILURE", "REVERTING", "REVERTED", "REVERT_FAILURE"])
def test_only_a_task_that_runs_can_fail_to_respond(state):
    view = view_of("a")
    view.observe("a", state, None, AT)
    assert not view.mark_not_responding("a", AT, "here")
    assert not view.mark_not_responding("nobody", AT, "here")
    assert the(view, "a").not_responding is None


def test_the_next_conductor_knows_nothing_of_it():
    assert list(TaskView([Task("a", "running", not_responding=NotResponding(AT, "here"))])) == [
        Task("a", "running")
    ]


def test_tasks_that_were_stored_before_are_read():
    stored = task_view.to_json([Task("a")])
    del stored[0]["not_responding"]
    assert task_view.from_json(stored) == (Task("a"),)


texts = st.text(max_size=8)
tasks = st.builds(
    Task,
    texts,
    st.sampled_from(STATES),
    st.floats(0, 1),
    st.none() | st.dictionaries(texts, st.integers() | texts, max_size=3),
    st.none() | texts,
    st.none() | texts,
    st.none() | st.builds(TaskError, st.none() | texts, texts, texts),
    st.booleans(),
    st.none() | st.builds(NotResponding, texts, texts),
)


@given(st.lists(tasks))
def test_what_is_stored_is_read_back_alike(given_tasks):
    assert list(task_view.from_json(task_view.to_json(given_tasks))) == given_tasks


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([None, *task_view._STATES]), st.booleans()), max_size=30
    )
)
def test_whatever_comes_the_view_stays_sound(steps):
    view = view_of("a", "b", "c")
    for name, state, hidden in steps:
        failed = failure(NotStarted() if hidden else ValueError("x")) if state == "FAILURE" else None
        view.observe(name, state, failed, AT)
        assert 0.0 <= view.progress <= 1.0
        for task in view:
            assert (task.started_at is None) or task.state != "pending"
            assert task.finished_at is None or task.state not in ("pending", "running", "reverting")


@pytest.mark.parametrize("state", task_view._STATES.values())
def test_every_state_is_one_that_the_documents_name(state):
    assert state in STATES
