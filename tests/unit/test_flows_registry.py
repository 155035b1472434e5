"""Flows by name: their options, how they are built for a run, and how their structure is told apart."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from taskflow import retry
from taskflow import task as taskflow_task
from taskflow.patterns import graph_flow, linear_flow, unordered_flow

from flows import CancelableTask, flow
from flows.errors import FlowsError, InvalidArguments, InvalidFlow, NoSuchFlow
from flows.registry import FlowSpec, Registry
from flows.structure import Structure, structure_of


class A(CancelableTask):
    default_provides = "a"

    def execute(self) -> int:
        return 1


class B(CancelableTask):
    irreversible = True

    def execute(self, a: int) -> None:
        pass


class Plain(taskflow_task.Task):
    def execute(self) -> None:
        pass


def linear(*items: Any, **options: Any) -> linear_flow.Flow:
    return linear_flow.Flow("x", **options).add(*items)


def registered(make: Callable[..., Any], **options: Any) -> FlowSpec:
    registry = Registry()
    assert flow("demo", registry=registry, **options)(make) is make
    return registry.get("demo")


def empty() -> linear_flow.Flow:
    """Does nothing.

    Twice.
    """
    return linear()


def another() -> linear_flow.Flow:
    return linear()


# Options


def test_defaults_leave_the_choice_to_the_settings() -> None:
    spec = registered(empty)
    assert (spec.timeout_s, spec.max_retries, spec.retry_interval_s, spec.max_running) == (None,) * 4
    assert (spec.engine, spec.on_failure) == ("serial", "revert")


def test_the_description_is_the_docstring() -> None:
    assert registered(empty).description == "Does nothing.\n\nTwice."
    assert registered(another).description == ""


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(90, 90), (0.5, 0.5), ("90", 90), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25)],
)
def test_durations(given: str | float, seconds: float) -> None:
    spec = registered(empty, timeout=given, retry_interval=given)
    assert spec.timeout_s == spec.retry_interval_s == pytest.approx(seconds)


def test_a_retry_may_follow_at_once() -> None:
    assert registered(empty, retry_interval=0).retry_interval_s == 0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("timeout", 0, "no attempt would have time to run"),
        ("timeout", "0s", "no attempt would have time to run"),
        ("timeout", -1, "from 0 to ten years"),
        ("timeout", "-5s", "from 0 to ten years"),
        ("timeout", "100y", "from 0 to ten years"),
        ("timeout", "9" * 30 + "h", "use 90, 30s, 5m or 1h30m"),
        ("timeout", 1e300, "from 0 to ten years"),
        ("timeout", "", "use 90, 30s, 5m or 1h30m"),
        ("timeout", "soon", "use 90, 30s, 5m or 1h30m"),
        ("timeout", "5 m", "use 90, 30s, 5m or 1h30m"),
        ("timeout", True, "use 90, 30s, 5m or 1h30m"),
        ("timeout", float("nan"), "use 90, 30s, 5m or 1h30m"),
        ("timeout", float("inf"), "use 90, 30s, 5m or 1h30m"),
        ("timeout", timedelta(minutes=5), "use 90, 30s, 5m or 1h30m"),
        ("retry_interval", "x", "use 90, 30s, 5m or 1h30m"),
        ("max_retries", -1, "a whole number from 0 to 1,000,000"),
        ("max_retries", 1.0, "a whole number from 0"),
        ("max_retries", "3", "a whole number from 0"),
        ("max_retries", True, "a whole number from 0"),
        ("max_retries", 10**12, "a whole number from 0"),
        ("max_running", 0, "a whole number from 1"),
        ("engine", "worker", "use serial or parallel"),
        ("engine", None, "use serial or parallel"),
        ("on_failure", "ignore", "use revert or keep"),
        ("on_failure", ["keep"], "use revert or keep"),
    ],
)
def test_a_wrong_option_is_named_with_what_to_use(option: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidFlow) as caught:
        registered(empty, **{option: value})
    assert str(caught.value).startswith(f"flow demo: {option}=")
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256, None, 5, empty])
def test_a_wrong_name_is_refused(name: Any) -> None:
    # Also `@flow` without a name, which would silently register nothing.
    with pytest.raises(InvalidFlow, match="give it a name"):
        flow(name, registry=Registry())


# Registering


def test_flows_are_found_by_name_and_listed_by_it() -> None:
    registry = Registry()
    for name in ("b", "c", "a"):
        flow(name, registry=registry)(empty)
    assert [spec.name for spec in registry] == ["a", "b", "c"]
    assert len(registry) == 3
    assert "a" in registry
    assert "d" not in registry
    assert registry.get("b").function is empty


def test_another_flow_of_the_same_name_is_refused() -> None:
    registry = Registry()
    flow("demo", registry=registry)(empty)
    with pytest.raises(InvalidFlow, match=r"flow demo: registered twice, by .*test_flows_registry.py:\d+ and .*"):
        flow("demo", registry=registry)(another)
    assert registry.get("demo").function is empty


def test_the_same_function_may_come_twice() -> None:
    def imported() -> Callable[[], linear_flow.Flow]:
        def build() -> linear_flow.Flow:
            return linear()

        return build

    def decorated(function: Callable[[], linear_flow.Flow]) -> Callable[[], linear_flow.Flow]:
        @functools.wraps(function)
        def build() -> linear_flow.Flow:
            return function()

        return build

    registry = Registry()
    for function in (imported(), imported(), decorated(imported())):
        flow("demo", registry=registry)(function)
        assert registry.get("demo").function is function


@pytest.mark.parametrize("thing", [functools.partial(linear), A, linear(), None])
def test_only_a_function_can_be_registered(thing: Any) -> None:
    with pytest.raises(InvalidFlow, match=r"flow demo: .* is not a function"):
        registered(thing)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("downlaod", "no such flow: downlaod (did you mean download?)"),
        ("zzz", "no such flow: zzz (known are: download, upload)"),
    ],
)
def test_the_nearest_name_is_suggested(asked: str, said: str) -> None:
    registry = Registry()
    flow("upload", registry=registry)(empty)
    flow("download", registry=registry)(empty)
    with pytest.raises(NoSuchFlow) as caught:
        registry.get(asked)
    assert str(caught.value) == said
    assert isinstance(caught.value, FlowsError)
    assert caught.value.nearest == ("download" if "mean" in said else None)


def test_an_empty_registry_says_so() -> None:
    with pytest.raises(NoSuchFlow, match="known are: none"):
        Registry().get("x")


# Building


def test_a_flow_is_built_from_what_was_stored() -> None:
    got: list[Any] = []

    def build(target: Path, level: int = 3) -> linear_flow.Flow:
        got.append((target, level))
        return linear(A())

    spec = registered(build)
    built = spec.build({"target": "/a"})
    assert got == [(Path("/a"), 3)]
    assert built.values == {"target": Path("/a"), "level": 3}
    assert built.structure.tasks[0].name == "a"


def test_a_single_task_is_a_flow_too() -> None:
    def single() -> A:
        return A()

    assert [task.name for task in registered(single).build({}).structure.tasks] == ["a"]


def test_what_does_not_fit_is_refused_before_the_function_runs() -> None:
    def build(level: int) -> linear_flow.Flow:
        raise AssertionError

    with pytest.raises(InvalidArguments, match="level"):
        registered(build).build({"level": "x"})


@pytest.mark.parametrize("made", [None, [A()], A, "flow"], ids=repr)
def test_anything_but_a_flow_is_refused(made: Any) -> None:
    with pytest.raises(InvalidFlow, match=r"flow demo: its function returned .*: return a TaskFlow flow"):
        registered(lambda: made).build({})


def test_what_the_function_raises_goes_to_the_caller() -> None:
    def build() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        registered(build).build({})


@pytest.mark.parametrize(
    "make",
    [
        lambda: linear(A()),
        lambda: linear(linear_flow.Flow("inner").add(A())),
        lambda: linear(B(), retry=retry.Times(2, provides="a")),
        A,
    ],
)
def test_a_task_that_provides_what_is_a_parameter_is_refused(make: Callable[[], Any]) -> None:
    def build(a: int, b: int = 0) -> Any:
        return make()

    with pytest.raises(InvalidFlow, match="flow demo: a task provides a, which is a parameter too"):
        registered(build).build({"a": 1})


SHARED_TASK, SHARED_PLAIN, SHARED_RETRY, SHARED_FLOW = (
    A(),
    Plain(name="plain"),
    retry.Times(2, name="again"),
    linear(A()),
)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: linear(SHARED_TASK), "a"),
        (lambda: linear(Plain("other"), linear_flow.Flow("inner").add(SHARED_PLAIN)), "plain"),
        (lambda: linear(A(), retry=SHARED_RETRY), "again"),
        (lambda: SHARED_FLOW, "a"),
    ],
)
def test_what_another_run_has_got_is_not_given_to_a_second(make: Callable[[], Any], named: str) -> None:
    spec = registered(make)
    spec.build({})
    with pytest.raises(InvalidFlow, match=f"flow demo: another run has got {named} already: make tasks"):
        spec.build({})


def test_each_build_makes_tasks_anew() -> None:
    spec = registered(lambda: linear(A(), B(), retry=retry.Times(2)))
    assert spec.build({}).structure == spec.build({}).structure


# Structure


def fingerprint(*items: Any, **options: Any) -> str:
    return structure_of(linear(*items, **options)).fingerprint


def test_tasks_are_in_flow_order_without_retry_controllers() -> None:
    inner = unordered_flow.Flow("inner", retry=retry.Times(2)).add(Plain("p"), Plain("o"))
    structure = structure_of(linear(A(), inner, B(), retry=retry.AlwaysRevert()))
    assert [task.name for task in structure.tasks] == ["a", "p", "o", "b"]
    assert [task.irreversible for task in structure.tasks] == [False, False, False, True]


def test_a_graph_flow_is_in_the_order_of_its_dependencies() -> None:
    structure = structure_of(graph_flow.Flow("x").add(B(), A()))
    assert [task.name for task in structure.tasks] == ["a", "b"]
    assert ("a", "b") in structure.edges


def test_a_flow_without_tasks_has_a_structure() -> None:
    assert structure_of(linear()).tasks == ()


def test_the_fingerprint_is_the_same_in_every_process_and_release() -> None:
    inner = unordered_flow.Flow("inner", retry=retry.Times(2)).add(Plain("p"), Plain("o"))
    assert fingerprint(A(), inner, B()) == "19d7dc09fdfdeae1ef4486b5bf866d6a2c207f308d188265ff6c870897ebe4f7"


def same(one: Structure, other: Structure) -> bool:
    return one.fingerprint == other.fingerprint


def test_the_fingerprint_does_not_look_at_what_tasks_do() -> None:
    assert fingerprint(A(), B()) == fingerprint(Plain("a"), A("b", provides="other"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: linear(A(), B(), Plain("c")),
        lambda: linear(A()),
        lambda: linear(A("renamed"), B()),
        lambda: linear(B(), A()),
        lambda: linear(A(), linear_flow.Flow("inner").add(B())),
        lambda: linear(A(), B(), retry=retry.Times(2)),
        lambda: unordered_flow.Flow("x").add(A(), Plain("b")),
        lambda: linear_flow.Flow("y").add(A(), B()),
    ],
    ids=["added", "removed", "renamed", "reordered", "nested", "retried", "unordered", "flow renamed"],
)
def test_the_fingerprint_changes_with_the_structure(make: Callable[[], Any]) -> None:
    assert structure_of(make()).fingerprint != fingerprint(A(), B())


def test_a_retry_controller_is_not_taken_for_a_task() -> None:
    with_task = linear(Plain("c"), A())
    with_retry = linear(A(), retry=retry.Times(2, name="c"))
    assert not same(structure_of(with_task), structure_of(with_retry))


def test_the_order_of_an_unordered_flow_does_not_matter() -> None:
    one = unordered_flow.Flow("x").add(Plain("a"), Plain("b"))
    other = unordered_flow.Flow("x").add(Plain("b"), Plain("a"))
    assert same(structure_of(one), structure_of(other))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: linear(A(), A()), "a"),
        (lambda: linear(A(), B(), linear_flow.Flow("inner").add(Plain("b"), Plain("a"))), "a, b"),
        (lambda: linear(A(), retry=retry.Times(2, name="a")), "a"),
        (lambda: linear(SHARED_TASK, linear_flow.Flow("inner").add(SHARED_TASK)), "a"),
    ],
)
def test_two_tasks_of_one_name_are_refused_and_named(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(InvalidFlow, match=f"flow x: two tasks are named {named}: give each a name of its own"):
        structure_of(make())
