"""`run_flow` and the moments: what is said to befall a job does, and a test that waits in vain fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conductor.testing.bench import Bench, NotReached
from flows.errors import InvalidArguments, NoSuchFlow
from jobboard.errors import Refused
from tests.flows.notebook import notebook

ROOT = Path(__file__).parents[2]


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().split()


def test_it_completes(run_flow, tmp_path):
    ran = run_flow(notebook, folder=tmp_path)
    assert (ran.state, ran.results, ran.error) == ("completed", {}, None)
    assert notes(tmp_path) == ["write", "finish"]
    assert [line.state for line in ran.history if line.kind == "state"][-1] == "completed"
    assert f"{ran.job.id}: the record is completed" in ran.log


def test_it_fails(run_flow, tmp_path):
    ran = run_flow(notebook, folder=tmp_path, how="fail")
    assert (ran.state, ran.error) == ("failed", "ValueError: as asked")
    assert notes(tmp_path) == ["write", "finish", "unfinish", "unwrite"]


@pytest.mark.parametrize(
    ("task", "at", "done"),
    [
        ("write", "begin", []),
        ("write", 1, ["write", "unwrite"]),
        ("write", 5, ["write", "unwrite"]),
        ("write", "end", ["write", "unwrite"]),
        ("finish", "begin", ["write", "unwrite"]),
        ("finish", "end", ["write", "finish", "unfinish", "unwrite"]),
    ],
)
def test_it_is_cancelled_there(run_flow, cancel_at, tmp_path, task, at, done):
    (tmp_path / "notes").touch()
    ran = run_flow(notebook, cancel_at(task, at), folder=tmp_path)
    assert ran.state == "cancelled"
    assert notes(tmp_path) == done
    assert ran.retry().state == "completed"


@pytest.mark.parametrize(
    ("task", "at", "done"),
    [
        ("write", "begin", ["write", "finish"]),
        ("write", 2, ["write", "write", "finish"]),
        ("write", "end", ["write", "write", "finish"]),
        ("finish", "end", ["write", "finish", "finish"]),
    ],
)
def test_its_conductor_is_killed_there(run_flow, crash_at, tmp_path, task, at, done):
    ran = run_flow(notebook, crash_at(task, at), folder=tmp_path)
    assert ran.state == "completed"
    assert notes(tmp_path) == done


@pytest.mark.parametrize(
    ("at", "done"),
    [("revert", ["unfinish", "unwrite"]), ("reverted", ["unfinish", "unwrite", "unwrite"])],
)
def test_one_moment_after_the_other(run_flow, cancel_at, crash_at, tmp_path, at, done):
    ran = run_flow(notebook, cancel_at("finish", "end"), crash_at("write", at), folder=tmp_path)
    assert ran.state == "cancelled"
    assert notes(tmp_path) == ["write", "finish", *done]


def test_it_is_cancelled_when_something_has_come_true(run_flow, cancel_when, tmp_path):
    def has_begun() -> bool:
        begun = (tmp_path / "notes").exists() and "finish" in notes(tmp_path)
        if begun:
            (tmp_path / "go").touch()
        return begun

    ran = run_flow(notebook, cancel_when(has_begun), folder=tmp_path, how="wait")
    # The cancel comes while the task ends, or before: it does not look.
    assert ran.state == "cancelled"
    assert notes(tmp_path) == ["write", "finish", "unfinish", "unwrite"]


def test_its_conductor_is_killed_when_something_has_come_true(run_flow, crash_when, tmp_path):
    ran = run_flow(notebook, crash_when((tmp_path / "lines").exists), folder=tmp_path, how="wait-not")
    assert ran.state == "completed"


def test_reverts_that_failed_are_tried_again(run_flow, cancel_at, tmp_path):
    ran = run_flow(notebook, cancel_at("finish", "end"), folder=tmp_path, how="stain")
    assert ran.state == "revert_failed"
    assert (tmp_path / "lines").exists()
    (tmp_path / "soap").touch()
    assert ran.retry(cleanup=True).state == "cancelled"
    assert not (tmp_path / "lines").exists()
    with pytest.raises(Refused):
        ran.retry(cleanup=True)


def test_a_moment_that_never_comes_fails_the_test(run_flow, cancel_at, cancel_when, tmp_path):
    with pytest.raises(NotReached, match=r"cancel_at\('write', 99\): the job is completed.*\{'write': \d"):
        run_flow(notebook, cancel_at("write", 99), folder=tmp_path)
    with pytest.raises(NotReached, match=r"cancel_at\('finish', 2\): "):
        run_flow(notebook, cancel_at("finish", 2), folder=tmp_path)
    with pytest.raises(NotReached, match=r"cancel_when\(.*never\): "):
        run_flow(notebook, cancel_when(never), folder=tmp_path)


def never() -> bool:
    return False


def test_what_a_condition_raises_ends_the_conductor(run_flow, cancel_when, tmp_path, request):
    def is_wrong() -> bool:
        raise LookupError("it is wrong")

    with pytest.raises(LookupError, match="it is wrong"):
        run_flow(notebook, cancel_when(is_wrong), folder=tmp_path, how="wait")
    with Bench(
        tmp_path, request.getfixturevalue("_nursery")
    ) as another:  # where conductors come from, the next one can
        assert another.run(notebook, folder=tmp_path).state == "completed"


def test_a_conductor_that_ends_by_itself_fails_the_test(run_flow, tmp_path):
    with pytest.raises(AssertionError, match="the conductor ended with 7"):
        run_flow(notebook, folder=tmp_path, how="exit")


def test_what_cannot_be_posted(run_flow, tmp_path):
    with pytest.raises(InvalidArguments, match="folder"):
        run_flow(notebook)
    with pytest.raises(NoSuchFlow, match="no_such_flow"):
        run_flow("no_such_flow")


def test_a_flow_in_a_file_beside_its_test(tmp_path):
    """As someone has it who has installed Countermand."""
    (tmp_path / "sums.py").write_text(
        "from taskflow.patterns import linear_flow\n"
        "from flows import CancelableTask, flow\n"
        "class Add(CancelableTask):\n"
        "    default_provides = 'sum'\n"
        "    def execute(self, a, b):\n"
        "        return a + b\n"
        "@flow('add')\n"
        "def add(a: int, b: int):\n"
        "    return linear_flow.Flow('add').add(Add())\n"
    )
    (tmp_path / "test_sums.py").write_text(
        "from sums import add\n"
        "def test_it_adds(run_flow, crash_at):\n"
        "    assert run_flow(add, crash_at('add', 'end'), a=2, b=3).results == {'sum': 5}\n"
        "def test_that_fails(run_flow, cancel_at):\n"
        "    run_flow(add, cancel_at('no_such_task'), a=2, b=3)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "cancel_at('no_such_task', 1): there is no such task, but add" in ran.stdout
