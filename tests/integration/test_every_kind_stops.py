"""Every kind of work stops when its job is cancelled: in every shape of flow, engine and retry controller."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from taskflow import retry
from taskflow.patterns import graph_flow, linear_flow, unordered_flow

from flows import JobCancelled
from jobboard.states import State
from tests.integration.house import House
from tests.integration.kinds import KINDS, Quick, Work
from tests.waiting import until

# An interruption may land where the interpreter only prints it, in a `__del__`; then it is sent again.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

S = State
SLOTS = 8


@dataclass
class Case:
    """One job: one kind of work in one shape of flow."""

    kind: type[Work]
    shape: str
    engine: str
    folder: Path
    reverts: list[tuple[str, Any, Any]] = field(default_factory=list)

    def work(self, name: str = "work", **how: Any) -> Work:
        return self.kind(name, self.folder, self.reverts, **how)

    def quick(self, name: str, **how: Any) -> Work:
        return Quick(name, self.folder, self.reverts, **how)

    def make(self) -> Any:
        return SHAPES[self.shape](self)

    @property
    def begun(self) -> set[str]:
        return {file.name for file in self.folder.iterdir()}

    @property
    def is_at_work(self) -> bool:
        """Whether all of its work runs that can run at once."""
        working = self.begun & {"work", "other"}
        return len(working) == (2 if self.engine == "parallel" and self.shape in TWO_AT_ONCE else 1)

    def assert_undone(self) -> None:
        """All that began is reverted, once, in order, with what it had given."""
        names = [name for name, _result, _failures in self.reverts]
        assert set(names) == self.begun
        assert len(names) == len(self.begun)
        assert "last" not in names
        if self.shape != "unordered":
            assert names[-1] == "first"
        for name, result, failures in self.reverts:
            if name in ("first", "second"):
                assert result == [1, 2, 3]
            else:
                assert result.check(JobCancelled)
            # Of two that fail at once TaskFlow names the one that it hears of first; in an unordered flow that may
            # be one that had not begun.
            assert failures
            assert set(failures) <= {"work", "other"} | ({"first"} if self.shape == "unordered" else set())
            assert all(failure.check(JobCancelled) for failure in failures.values())


def linear(case: Case) -> Any:
    return linear_flow.Flow("f").add(case.quick("first"), case.work(), case.quick("last"))


def unordered(case: Case) -> Any:
    return unordered_flow.Flow("f").add(case.quick("first"), case.work(), case.work("other"))


def graph(case: Case) -> Any:
    return graph_flow.Flow("f").add(
        case.quick("last", requires=["work", "other"]),
        case.work(requires=["first"]),
        case.work("other", requires=["first"]),
        case.quick("first"),
    )


def nested(case: Case, **inner: Any) -> Any:
    deep = unordered_flow.Flow("deep").add(case.work(), case.work("other"))
    middle = linear_flow.Flow("middle", **inner).add(case.quick("second"), deep, case.quick("last"))
    return linear_flow.Flow("f").add(case.quick("first"), middle)


def under(controller: Callable[[], Any]) -> Callable[[Case], Any]:
    return lambda case: nested(case, retry=controller())


SHAPES: dict[str, Callable[[Case], Any]] = {
    "linear": linear,
    "unordered": unordered,
    "graph": graph,
    "nested": nested,
    "Times": under(lambda: retry.Times(3, "tries")),
    "AlwaysRevert": under(lambda: retry.AlwaysRevert("tries")),
    "AlwaysRevertAll": under(lambda: retry.AlwaysRevertAll("tries")),
    "ForEach": under(lambda: retry.ForEach([1, 2, 3], "tries", provides="value")),
    "ParameterizedForEach": under(
        lambda: retry.ParameterizedForEach("tries", rebind={"values": "first"}, provides="value")
    ),
}
TWO_AT_ONCE = set(SHAPES) - {"linear"}
ENGINES = ("serial", "parallel")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_stops_in_every_flow_and_engine(
    house: House, kind: type[Work], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cancel_all(house, [(kind, shape, engine) for shape in SHAPES for engine in ENGINES], tmp_path, caplog)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_it_stops_on_postgresql(house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shapes = itertools.cycle(SHAPES)
    cases = [(kind, next(shapes), engine) for engine in ENGINES for kind in KINDS]
    cancel_all(house, cases, tmp_path, caplog)


def cancel_all(
    house: House, kinds: list[tuple[type[Work], str, str]], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Post a job for each, cancel each as soon as it is at work, and see what became of it."""
    caplog.set_level(logging.WARNING)
    cases: dict[str, Case] = {}
    for kind, shape, engine in kinds:
        case = Case(kind, shape, engine, folder / f"{kind.__name__}-{shape}-{engine}")
        case.folder.mkdir()
        house.flow(case.make, case.folder.name, engine=engine)
        cases[house.post(case.folder.name)] = case
    waiting = dict(cases)

    def cancel_those_at_work() -> bool:
        for job in [job for job, case in waiting.items() if case.is_at_work]:
            house.records.cancel(job, by="bob", reason=waiting.pop(job).shape)
        return not waiting

    with house.running(slots=SLOTS):
        until(cancel_those_at_work, 60, "the work")
        for job, case in cases.items():
            done = house.comes_to(job, S.CANCELLED)
            assert (done.error, done.reason) == (None, f"cancelled by bob: {case.shape}")
            assert (done.cancel.reverted, done.cancel.total) == (len(case.begun), len(case.begun)), done.tasks
            case.assert_undone()
            house.assert_at_rest(job)
    assert [record.getMessage() for record in caplog.records] == []
