"""`CancelableTask` beside an unwrapped twin, and what its helpers do inside and outside of `execute`."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from taskflow import engines, states
from taskflow import task as taskflow_task
from taskflow.patterns import linear_flow
from taskflow.types.failure import Failure

from flows import CancelableTask, CancelCause, CancelKind, CancelToken, JobCancelled, RunContext
from flows.cancelable import bind
from flows.errors import Interrupted, InvalidFlow, NotStarted, TaskError, Unstorable
from flows.run_context import TaskReport, running_task

CAUSE = CancelCause(CancelKind.USER, by="ann", reason="enough")


def up() -> CancelToken:
    token = CancelToken()
    token.set(CAUSE)
    return token


def run(*tasks: Any, **store: Any) -> Any:
    """Run `tasks` in a row in a plain TaskFlow engine; its storage."""
    engine = engines.load(linear_flow.Flow("x").add(*tasks), store=store)
    engine.compile()
    engine.prepare()
    with contextlib.suppress(Exception):  # TaskFlow raises a task's error again when all is done
        engine.run()
    assert engine.storage.get_flow_state() != states.RUNNING
    return engine.storage


class Fail(taskflow_task.Task):
    def execute(self) -> None:
        raise ValueError("on purpose")


# The same to TaskFlow as an unwrapped task. Each shape is a class made on a base: ours, or TaskFlow's own.

Base = Any
Make = Callable[[Base], Any]
SHAPES: dict[str, Make] = {}


def shape(make: Make) -> Make:
    SHAPES[make.__name__] = make
    return make


@shape
def plain(base: Base) -> Any:
    class Shape(base):
        def execute(self) -> int:
            return 1

    return Shape(name="shape")


@shape
def requires(base: Base) -> Any:
    class Shape(base):
        default_provides = "sum"

        def execute(self, a: int, b: int) -> int:
            return a + b

        def revert(self, a: int, result: Any, **_: Any) -> list[Any]:
            return [a, result]

    return Shape(name="shape")


@shape
def optional(base: Base) -> Any:
    class Shape(base):
        def execute(self, a: int, b: int = 7, missing: int = 9, *, c: int, d: int = 5) -> list[int]:
            return [a, b, missing, c, d]

        def revert(self, a: int, missing: int = 9, **_: Any) -> list[int]:
            return [a, missing]

    return Shape(name="shape")


@shape
def keyword_arguments(base: Base) -> Any:
    class Shape(base):
        def execute(self, **values: Any) -> Any:
            return values

        def revert(self, *args: Any, **values: Any) -> Any:
            return [len(args), sorted(values)]

    return Shape(name="shape", requires=["a", "b"])


@shape
def rebound(base: Base) -> Any:
    class Shape(base):
        def execute(self, x: int, y: int = 3) -> list[int]:
            return [x, y]

        def revert(self, x: int, **_: Any) -> int:
            return x

    return Shape(name="shape", rebind={"x": "a", "y": "b"})


@shape
def rebound_by_position(base: Base) -> Any:
    class Shape(base):
        def execute(self, x: int, y: int) -> list[int]:
            return [x, y]

    return Shape(name="shape", rebind=["b", "a"])


@shape
def revert_rebound(base: Base) -> Any:
    class Shape(base):
        def execute(self, a: int) -> int:
            return a

        def revert(self, x: int, flow_failures: Any, **_: Any) -> list[Any]:
            return [x, len(flow_failures)]

    return Shape(name="shape", revert_rebind={"x": "b"})


@shape
def revert_requires(base: Base) -> Any:
    class Shape(base):
        def execute(self, a: int) -> int:
            return a

        def revert(self, **values: Any) -> list[str]:
            return sorted(values)

    return Shape(name="shape", revert_requires=["c"])


@shape
def provides_many(base: Base) -> Any:
    class Shape(base):
        version = (2, 1)
        default_provides = ("first", "second")
        priority = 3

        def execute(self) -> list[int]:
            return [1, 2]

    return Shape(name="shape")


@shape
def provides_a_set(base: Base) -> Any:
    class Shape(base):
        def execute(self) -> dict[str, int]:
            return {"first": 1, "second": 2}

    return Shape(name="shape", provides={"first", "second"})


@shape
def injected(base: Base) -> Any:
    class Shape(base):
        def execute(self, a: int, inner: int) -> list[int]:
            return [a, inner]

        def revert(self, inner: int, **_: Any) -> int:
            return inner

    return Shape(name="shape", inject={"inner": 42})


@shape
def not_inferred(base: Base) -> Any:
    class Shape(base):
        def execute(self, **values: Any) -> Any:
            return values

    return Shape(name="shape", auto_extract=False, requires="a")


@shape
def static(base: Base) -> Any:
    class Shape(base):
        @staticmethod
        def execute(a: int, b: int = 3) -> list[int]:
            return [a, b]

        @staticmethod
        def revert(a: int, result: Any, **_: Any) -> list[Any]:
            return [a, result]

    return Shape(name="shape")


@shape
def of_the_class(base: Base) -> Any:
    class Shape(base):
        factor = 10

        @classmethod
        def execute(cls, a: int) -> int:
            return a * cls.factor

        @classmethod
        def revert(cls, a: int, **_: Any) -> int:
            return a * cls.factor

    return Shape(name="shape")


@shape
def decorated(base: Base) -> Any:
    def doubling(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def method(*args: Any, **kwargs: Any) -> int:
            return 2 * function(*args, **kwargs)

        return method

    class Shape(base):
        @doubling
        def execute(self, a: int) -> int:
            return a

    return Shape(name="shape")


@shape
def inherited(base: Base) -> Any:
    class Parent(base):
        def execute(self, a: int) -> int:
            return a

        def revert(self, a: int, **_: Any) -> int:
            return -a

    class Shape(Parent):
        pass

    return Shape(name="shape")


@shape
def calling_super(base: Base) -> Any:
    class Parent(base):
        def execute(self, a: int) -> Any:
            return (a, 2)  # a tuple stays one inside: only what leaves is made plain

        def revert(self, a: int, **_: Any) -> Any:
            return (a,)

    class Shape(Parent):
        def execute(self, a: int, b: int) -> Any:
            return [*super().execute(a), b]

        def revert(self, a: int, **kwargs: Any) -> Any:
            return [*super().revert(a, **kwargs), 0]

    return Shape(name="shape")


@shape
def from_a_mixin(base: Base) -> Any:
    class Mixin:
        def execute(self, a: int) -> int:
            return a

        def revert(self, a: int, **_: Any) -> int:
            return -a

    class Shape(Mixin, base):
        pass

    return Shape(name="shape")


@shape
def diamond(base: Base) -> Any:
    class Top(base):
        def execute(self, a: int) -> list[Any]:
            return ["top", a]

    class Left(Top):
        def execute(self, a: int) -> list[Any]:
            return ["left", *super().execute(a)]

    class Right(Top):
        def execute(self, a: int) -> list[Any]:
            return ["right", *super().execute(a)]

    class Shape(Left, Right):
        pass

    return Shape(name="shape")


@shape
def abstract_between(base: Base) -> Any:
    class Between(base):
        @abc.abstractmethod
        def execute(self, a: int) -> int:
            return a

    class Shape(Between):
        def execute(self, a: int, b: int) -> int:
            return super().execute(a) + b

    return Shape(name="shape")


@shape
def own_init(base: Base) -> Any:
    class Shape(base):
        def __init__(self, name: str, factor: int, **kwargs: Any) -> None:
            super().__init__(name, **kwargs)
            self.factor = factor

        def execute(self, a: int) -> int:
            return a * self.factor

    return Shape("shape", 3, provides="product")


@shape
def slots(base: Base) -> Any:
    class Shape(base):
        __slots__ = ("factor",)

        def execute(self, a: int) -> int:
            self.factor = a
            return self.factor

    return Shape(name="shape")


@shape
def keyword_of_another_base(base: Base) -> Any:
    class Flagged:
        def __init_subclass__(cls, flag: int, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            cls.flag = flag

    class Shape(Flagged, base, flag=5):
        def execute(self, a: int) -> int:
            return a + self.flag

    return Shape(name="shape")


@shape
def base_that_keeps_init_subclass_to_itself(base: Base) -> Any:
    class Selfish:
        def __init_subclass__(cls) -> None:
            pass

    class Shape(Selfish, base):
        def execute(self, a: int) -> int:
            return a

    return Shape(name="shape")


@shape
def functor(base: Base) -> Any:
    def work(a: int, b: int = 3) -> int:
        return a + b

    def undo(a: int, **_: Any) -> int:
        return -a

    if base is taskflow_task.Task:
        return taskflow_task.FunctorTask(work, name="shape", revert=undo)

    class Shape(base, taskflow_task.FunctorTask):
        pass

    return Shape(work, name="shape", revert=undo)


@shape
def mapped(base: Base) -> Any:
    if base is taskflow_task.Task:
        return taskflow_task.MapFunctorTask(lambda x: x + 1, name="shape", requires=["a", "b"])

    class Shape(base, taskflow_task.MapFunctorTask):
        pass

    return Shape(lambda x: x + 1, name="shape", requires=["a", "b"])


ATTRIBUTES = (
    "name",
    "version",
    "priority",
    "inject",
    "requires",
    "optional",
    "rebind",
    "provides",
    "save_as",
    "revert_requires",
    "revert_optional",
    "revert_rebind",
)
all_shapes = pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES.keys())


@all_shapes
def test_taskflow_sees_the_same_task(make: Make) -> None:
    ours, twin = make(CancelableTask), make(taskflow_task.Task)
    for attribute in ATTRIBUTES:
        assert repr(getattr(ours, attribute, None)) == repr(getattr(twin, attribute, None)), attribute


@all_shapes
def test_taskflow_runs_and_reverts_it_the_same_way(make: Make) -> None:
    def outcome(task: Any) -> list[Any]:
        storage = run(task, a=1, b=2, c=3)
        reverted = run(task, Fail(), a=1, b=2, c=3)
        return [
            storage.get_flow_state(),
            storage.get("shape"),
            reverted.get_flow_state(),
            reverted.get_atom_state("shape"),
            reverted.get_revert_result("shape"),
        ]

    expected = outcome(make(taskflow_task.Task))
    assert expected[0] == states.SUCCESS
    assert outcome(make(CancelableTask)) == expected
    bound = make(taskflow_task.Task)
    bind(bound, RunContext())
    assert outcome(bound) == expected


@all_shapes
def test_it_stops_before_it_began_and_is_not_reverted(make: Make) -> None:
    for base in (CancelableTask, taskflow_task.Task):
        task = make(base)
        bind(task, RunContext(up()))
        storage = run(task, a=1, b=2, c=3)
        assert storage.get_flow_state() == states.REVERTED
        assert storage.get_execute_failures()["shape"].check(NotStarted)
        assert storage.get_revert_result("shape") is None


def test_super_is_checked_once() -> None:
    """A nested check would find the flag that the outer `execute` has raised, and hide the result."""
    seen: list[Any] = []

    class Parent(CancelableTask):
        def execute(self) -> Any:
            seen.append((self.phase, running_task().owner is self))
            return {"not", "plain"}

    class Child(Parent):
        def execute(self) -> list[str]:
            token.set(CAUSE)
            return sorted(super().execute())

    token = CancelToken()
    task = Child()
    bind(task, RunContext(token, sealed=True))
    assert task.execute() == ["not", "plain"]
    assert seen == [("execute", True)]


def test_a_decorator_round_a_wrapped_execute_is_wrapped_too() -> None:
    class Parent(CancelableTask):
        def execute(self) -> int:
            return 1

    @functools.wraps(Parent.execute)
    def exits(self: Any) -> int:
        raise SystemExit(3)

    class Child(Parent):
        execute = exits

    with pytest.raises(TaskError, match="SystemExit: 3"):
        Child().execute()


def test_execute_set_on_the_class_later_is_wrapped_when_a_task_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(CancelableTask):
        def execute(self) -> int:
            return 1

    def exits(self: Any) -> int:
        raise SystemExit(3)

    monkeypatch.setattr(Late, "execute", exits)
    with pytest.raises(TaskError, match="SystemExit: 3"):
        Late().execute()


# Refused when the class is made


def refused(**methods: Any) -> str:
    with pytest.raises(InvalidFlow) as caught:
        type("Shape", (CancelableTask,), methods)
    return str(caught.value)


def generator(self: Any) -> Iterator[int]:
    yield 1


async def coroutine(self: Any) -> None: ...


async def async_generator(self: Any) -> Any:
    yield 1


def takes_what_it_needs(self: Any, a: int) -> None: ...


def fine(self: Any, **_: Any) -> None: ...


class CallableObject:
    def __call__(self) -> None: ...


@pytest.mark.parametrize("name", ["execute", "revert"])
@pytest.mark.parametrize(
    ("method", "said"),
    [
        (generator, "is a generator: return a value"),
        (async_generator, "is a generator: return a value"),
        (functools.partialmethod(fine, a=1), "is a partialmethod: write it as a plain method"),
        (functools.partial(fine), "is a partial: write it as a plain method"),
        (functools.lru_cache(fine), "is a _lru_cache_wrapper: write it as a plain method"),
        (property(fine), "is a property: write it as a plain method"),
        (CallableObject(), "is a CallableObject: write it as a plain method"),
        (None, "is a NoneType: write it as a plain method"),
    ],
)
def test_a_method_that_hides_its_result_is_refused(name: str, method: Any, said: str) -> None:
    methods = {"execute": fine, name: method}
    assert refused(**methods) == f"Shape.{name} {said}" + (" instead of yielding" if "generator" in said else "")


def test_a_coroutine_function_is_refused_as_a_hook() -> None:
    assert "Shape.post_execute is a coroutine function" in refused(execute=fine, post_execute=coroutine)


@pytest.mark.parametrize(
    "revert",
    [
        takes_what_it_needs,
        staticmethod(lambda a: None),
        classmethod(lambda cls, result: None),
        lambda self, result: None,
    ],
)
def test_a_revert_that_cannot_take_what_taskflow_hands_it_is_refused(revert: Any) -> None:
    # TaskFlow would find out when it is too late: the revert would fail.
    assert refused(execute=fine, revert=revert).startswith("Shape.revert must take `result` and `flow_failures`")


def test_a_revert_may_name_both() -> None:
    class Shape(CancelableTask):
        def execute(self) -> int:
            return 5

        def revert(self, result: Any, flow_failures: Any) -> Any:
            return [result, list(flow_failures)]

    assert run(Shape(), Fail(name="fail")).get_revert_result("shape") == [5, ["fail"]]


def test_an_unknown_keyword_of_the_class_is_refused_as_always() -> None:
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        type("Shape", (CancelableTask,), {"execute": fine}, something=1)


def test_an_abstract_class_cannot_be_made_into_a_task() -> None:
    class Between(CancelableTask):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Between()


# Helpers


class Work(CancelableTask):
    """Does what it is given, in `execute` and in `revert`."""

    def __init__(self, work: Callable[[Work], Any], undo: Callable[[Work], Any] = fine, **options: Any) -> None:
        super().__init__(**options)
        self.work, self.undo = work, undo

    def execute(self) -> Any:
        return self.work(self)

    def revert(self, **_: Any) -> Any:
        return self.undo(self)


def bound(
    work: Callable[[Work], Any], undo: Callable[[Work], Any] = fine, **context: Any
) -> tuple[Work, CancelToken]:
    task, token = Work(work, undo), CancelToken()
    task.bind(RunContext(token, **context))
    return task, token


HELPERS: dict[str, Callable[[Work], Any]] = {
    "checkpoint": lambda task: task.checkpoint(),
    "sleep": lambda task: task.sleep(60),
    "track": lambda task: list(task.track([1])),
    "update_progress": lambda task: task.update_progress(0.5),
}
helpers = pytest.mark.parametrize("helper", HELPERS.values(), ids=HELPERS.keys())
quick_helpers = pytest.mark.parametrize(
    "helper",
    [HELPERS["checkpoint"], lambda task: task.sleep(0.001), HELPERS["track"], HELPERS["update_progress"]],
    ids=HELPERS.keys(),
)


@helpers
def test_a_helper_stops_execute_once_the_flag_is_up(helper: Callable[[Work], Any]) -> None:
    seen: list[BaseException] = []

    def work(task: Work) -> None:
        token.set(CAUSE)
        try:
            helper(task)
        except Exception:
            pytest.fail("`except Exception` must not see it")
        except BaseException as error:
            seen.append(error)
            raise

    task, token = bound(work)
    with pytest.raises(JobCancelled) as caught:
        task.execute()
    assert isinstance(seen[0], Interrupted)
    assert type(caught.value) is JobCancelled
    assert (caught.value.reason, caught.value.by) == ("enough", "ann")
    assert str(caught.value) == "cancelled by ann: enough"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@quick_helpers
def test_a_helper_does_nothing_with_the_flag_down(helper: Callable[[Work], Any]) -> None:
    task, _ = bound(lambda task: [helper(task), "done"][1])
    assert task.execute() == "done"


@quick_helpers
def test_a_helper_does_nothing_outside_of_execute(helper: Callable[[Work], Any]) -> None:
    task, token = bound(fine)
    helper(task)
    token.set(CAUSE)
    helper(task)
    assert not task.interrupted


@quick_helpers
def test_a_helper_is_shielded_in_revert(helper: Callable[[Work], Any]) -> None:
    task, token = bound(fine, lambda task: [helper(task), task.phase][1])
    token.set(CAUSE)
    assert task.revert(result=None) == "revert"
    assert task.phase is None


@helpers
def test_a_helper_stops_a_helper_thread_too(helper: Callable[[Work], Any]) -> None:
    def work(task: Work) -> Any:
        token.set(CAUSE)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(helper, task).result(timeout=10)

    task, token = bound(work)
    with pytest.raises(JobCancelled):
        task.execute()
    assert task.interrupted


def test_a_sleep_ends_when_the_flag_goes_up() -> None:
    sleeping = threading.Event()

    def work(task: Work) -> None:
        sleeping.set()
        task.sleep(600)

    task, token = bound(work)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(task.execute)
        assert sleeping.wait(10)
        token.set(CAUSE)
        with pytest.raises(JobCancelled):
            running.result(timeout=10)


def test_a_task_that_no_one_bound_is_never_interrupted() -> None:
    task = Work(lambda task: [HELPERS["checkpoint"](task), task.job, task.cancel_token.is_set])
    assert task.execute() == [None, "", False]


def test_a_task_knows_its_job_and_its_token() -> None:
    task, token = bound(lambda task: task.job, job="j1")
    assert task.execute() == "j1"
    assert task.cancel_token is token


def test_a_task_may_be_bound_again_for_the_next_run() -> None:
    task, token = bound(lambda task: task.job, job="j1")
    token.set(CAUSE)
    with pytest.raises(NotStarted):
        task.execute()
    task.bind(RunContext(job="j2"))
    assert task.execute() == "j2"


def test_a_copy_of_a_task_is_interrupted_too() -> None:
    task, token = bound(HELPERS["sleep"])
    token.set(CAUSE)
    with pytest.raises(JobCancelled):
        task.copy().execute()


def test_code_that_asyncio_runs_inside_of_execute_belongs_to_the_task() -> None:
    async def work(task: Work) -> bool:
        token.set(CAUSE)
        try:
            await asyncio.to_thread(task.checkpoint)
        except Interrupted:
            return running_task().owner is task
        return False

    task, token = bound(lambda task: seen.append(asyncio.run(work(task))))
    seen: list[bool] = []
    with pytest.raises(JobCancelled):
        task.execute()
    assert seen == [True]


# Progress


def reports(work: Callable[[Work], Any]) -> list[TaskReport]:
    told: list[TaskReport] = []
    task, _ = bound(work, report=told.append)
    task.execute()
    return told


def test_track_reports_how_many_are_done() -> None:
    told = reports(lambda task: list(task.track("abcd")))
    assert told[0] == TaskReport("work", 0.0, {"done": 0, "total": 4})
    assert told[-1] == TaskReport("work", 1.0, {"done": 4, "total": 4})


def test_track_reports_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cancelable._EVERY_S", 0.0)
    told = reports(lambda task: list(task.track("abcd")))
    assert [report.progress for report in told] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_track_yields_the_items() -> None:
    assert Work(lambda task: list(task.track(iter("abc")))).execute() == ["a", "b", "c"]


def test_a_total_that_is_not_known_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cancelable._EVERY_S", 0.0)
    told = reports(lambda task: list(task.track(letter for letter in "ab")))
    assert [(report.progress, report.detail) for report in told] == [
        (0.0, {"done": 0, "total": None}),
        (0.0, {"done": 1, "total": None}),
        (0.0, {"done": 2, "total": None}),
        (1.0, {"done": 2, "total": 2}),
    ]


@pytest.mark.parametrize(("total", "last"), [(8, (0.5, 8)), (2, (1.0, 4)), (0, (1.0, 4)), (-1, (1.0, 4))])
def test_a_total_that_is_given_counts(total: int, last: tuple[float, int]) -> None:
    report = reports(lambda task: list(task.track("abcd", total)))[-1]
    assert (report.progress, report.detail) == (last[0], {"done": 4, "total": last[1]})


def test_nothing_to_do_is_no_division_by_zero() -> None:
    assert [report.progress for report in reports(lambda task: list(task.track([])))] == [0.0, 0.0]


def test_a_loop_that_is_left_early_reports_no_end() -> None:
    def work(task: Work) -> None:
        for item in task.track("abcd"):
            if item == "b":
                break

    assert reports(work)[-1].progress == 0.0


@pytest.mark.parametrize(
    ("given", "told"), [(0.3, 0.3), (-1, 0.0), (2, 1.0), (float("nan"), 0.0), (float("inf"), 1.0), (1, 1.0)]
)
def test_progress_is_between_0_and_1(given: float, told: float) -> None:
    assert reports(lambda task: task.update_progress(given)) == [TaskReport("work", told, None)]


def test_a_detail_is_plain() -> None:
    assert reports(lambda task: task.update_progress(0.5, file="a", left={1, 2})) == [
        TaskReport("work", 0.5, {"file": "a", "left": "{1, 2}"})
    ]


def test_a_revert_reports_too_and_taskflows_own_calls_do_not() -> None:
    told: list[TaskReport] = []
    task, _ = bound(fine, lambda task: task.update_progress(0.5), report=told.append)
    run(task, Fail())
    assert told == [TaskReport("work", 0.5, None)]


def test_without_a_conductor_progress_goes_to_taskflows_storage() -> None:
    seen: list[Any] = []

    def work(task: Work) -> None:
        task.update_progress(0.25, done=1, what={3})
        seen.append((engine.storage.get_task_progress("work"), engine.storage.get_task_progress_details("work")))

    engine = engines.load(linear_flow.Flow("x").add(Work(work)))
    engine.run()
    assert seen == [(0.25, {"at_progress": 0.25, "details": {"done": 1, "what": "{3}"}})]
    assert engine.storage.get_task_progress("work") == 1.0


def test_taskflow_may_set_the_progress_while_the_flag_is_up() -> None:
    task, token = bound(fine)
    token.set(CAUSE)
    task.update_progress(0.0)
    assert run(task).get_flow_state() == states.REVERTED


# Irreversible


def test_a_task_is_reversible_unless_it_says_otherwise() -> None:
    class Send(Work):
        irreversible = True

    assert not Work(fine).irreversible
    assert Send(fine).irreversible


# The border from inside


def test_a_cleanup_that_execute_calls_is_shielded_and_execute_goes_on_unshielded() -> None:
    phases: list[Any] = []

    def undo(task: Work) -> str:
        task.checkpoint()
        phases.append(task.phase)
        return "undone"

    def work(task: Work) -> None:
        token.set(CAUSE)
        phases.append(task.revert(result=None))
        phases.append(task.phase)
        task.checkpoint()
        phases.append("not reached")

    task, token = bound(work, undo)
    with pytest.raises(JobCancelled):
        task.execute()
    assert phases == ["revert", "undone", "execute"]


def test_a_revert_that_calls_execute_is_shielded() -> None:
    def work(task: Work) -> str:
        task.checkpoint()
        return task.phase

    for task in (Work(work, lambda task: task.execute()), Work(work, lambda task: task.execute())):
        task.bind(RunContext(up()))
        assert task.revert(result=None) == "revert"


def test_a_task_that_calls_another_ones_execute_has_begun() -> None:
    """The other's `NotStarted` is not its own: it would not be reverted."""
    inner = Work(fine, name="inner")

    def work(task: Work) -> None:
        token.set(CAUSE)
        inner.execute()

    task, token = bound(work)
    inner.bind(RunContext(token))
    with pytest.raises(JobCancelled) as caught:
        task.execute()
    assert type(caught.value) is JobCancelled


def test_a_task_goes_on_after_another_ones_execute() -> None:
    def work(task: Work) -> None:
        assert inner.execute() == "inner"
        token.set(CAUSE)
        task.checkpoint()

    inner = Work(lambda inner: [task.checkpoint(), "inner"][1], name="inner")
    task, token = bound(work)
    with pytest.raises(JobCancelled):
        task.execute()


def test_a_not_started_that_a_task_raises_itself_does_not_keep_it_from_its_revert() -> None:
    def work(task: Work) -> None:
        raise NotStarted("mine")

    storage = run(Work(work, lambda _: "undone"))
    assert storage.get_revert_result("work") == "undone"


@pytest.mark.parametrize("reason", ["x" * 20_000, "a\0b", "a\udcffb", b"bytes"])
def test_a_strange_reason_does_not_make_a_task_begun(reason: Any) -> None:
    token = CancelToken()
    token.set(CancelCause(CancelKind.USER, "ann", reason))
    task = Work(fine, lambda _: "undone")
    task.bind(RunContext(token))
    with pytest.raises(NotStarted):
        task.execute()
    assert run(task).get_revert_result("work") is None


def test_a_token_without_a_cause_will_do() -> None:
    task, token = bound(fine)
    token.is_set = True
    with pytest.raises(NotStarted, match=r"^cancelled$"):
        task.execute()


def test_a_task_in_flight_has_begun() -> None:
    task = Work(fine, lambda _: "undone")
    task.bind(RunContext(up(), in_flight=frozenset({"work"})))
    assert run(task).get_revert_result("work") == "undone"


def test_a_task_that_finished_in_time_keeps_its_result_if_a_seal_follows() -> None:
    def work(task: Work) -> int:
        token.set(CAUSE)
        return 1

    task, token = bound(work, sealed=True)
    assert task.execute() == 1
    task, token = bound(work)
    with pytest.raises(JobCancelled):
        task.execute()


def test_who_was_not_told_of_a_swallowed_interruption_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    def work(task: Work) -> None:
        token.set(CAUSE)
        with pytest.raises(Interrupted):
            task.checkpoint()

    def told(name: str) -> None:
        raise OSError("no one is there")

    task, token = bound(work, swallowed=told)
    with pytest.raises(JobCancelled):
        task.execute()
    assert "no one is there" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
def test_a_base_exception_of_the_users_own_is_an_error_of_the_task(error: BaseException) -> None:
    def work(task: Work) -> None:
        raise error

    task, _ = bound(work, work)
    for call in (task.execute, functools.partial(task.revert, result=None)):
        with pytest.raises(TaskError, match=type(error).__name__) as caught:
            call()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert task.phase is None


def test_an_error_keeps_its_type_cause_and_traceback() -> None:
    def work(task: Work) -> None:
        try:
            raise KeyError("a")
        except KeyError as error:
            raise ValueError("b") from error

    with pytest.raises(ValueError, match="b") as caught:
        Work(work).execute()
    assert isinstance(caught.value.__cause__, KeyError)
    assert any(entry.name == "work" for entry in caught.traceback)


def test_no_error_holds_the_engines_frames_alive_from_a_handler() -> None:
    """A flow that is run while a BaseException is handled, as in a clean-up, reverts like any other."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        storage = run(Work(lambda _: 1 / 0))
    assert storage.get_flow_state() == states.REVERTED
    assert storage.get_execute_failures()["work"].causes == ()


def test_a_result_that_is_not_json_is_an_error_of_the_task() -> None:
    with pytest.raises(Unstorable, match="task work: its result is a object"):
        Work(lambda _: object()).execute()
    task, _ = bound(lambda _: "x" * 100, max_result_bytes=100)
    with pytest.raises(Unstorable, match="more than the 100 bytes"):
        task.execute()


def test_a_revert_that_returns_something_strange_has_reverted(caplog: pytest.LogCaptureFixture) -> None:
    storage = run(Work(fine, lambda _: object()), Fail())
    assert storage.get_atom_state("work") == states.REVERTED
    assert storage.get_revert_result("work") is None
    assert "is a object" in caplog.text


# Hooks


HOOKS = ["pre_execute", "post_execute", "pre_revert", "post_revert"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_works_is_called(hook: str) -> None:
    calls: list[str] = []

    class Shape(CancelableTask):
        def execute(self) -> None: ...

    setattr(Shape, hook, lambda self: calls.append(self.name))
    for task in (type("Shape", (Shape,), {})(), bound_stock(hook, lambda: calls.append("shape"))):
        run(task, Fail())
    assert calls == ["shape", "shape"]


def bound_stock(hook: str, call: Callable[[], Any]) -> Any:
    class Stock(taskflow_task.Task):
        def execute(self) -> None: ...

    task = Stock(name="shape")
    setattr(task, hook, call)
    bind(task, RunContext())
    return task


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), Interrupted(), Unspeakable()], ids=repr)
def test_a_hook_that_fails_leaves_nothing_half_done(
    hook: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> None:
        raise error

    ours = type("Shape", (CancelableTask,), {"execute": fine, hook: fails})()
    for task in (ours, bound_stock(hook, fails)):
        storage = run(task, Fail())
        expected = states.REVERT_FAILURE if hook == "pre_revert" else states.REVERTED
        assert storage.get_atom_state("shape") == expected
        assert ("shape" in storage.get_execute_failures()) == (hook == "pre_execute")
        if hook.startswith("post"):
            assert f"task shape: {hook} failed, and was ignored" in caplog.text
        caplog.clear()


# Tasks that are none of ours


def test_a_stock_task_keeps_its_own_attributes() -> None:
    class Stock(taskflow_task.Task):
        phase = "mine"
        interrupted = "mine"
        _context = "mine"

        def execute(self) -> list[str]:
            return [self.phase, self.interrupted, self._context]

    task = Stock()
    bind(task, RunContext())
    assert task.execute() == ["mine"] * 3


def test_a_stock_task_may_be_bound_again() -> None:
    class Stock(taskflow_task.Task):
        def execute(self) -> str:
            return running_task().context.job

        def revert(self, **_: Any) -> str:
            return running_task().context.job

    task = Stock()
    bind(task, RunContext(up(), job="first"))
    with pytest.raises(NotStarted):
        task.execute()
    bind(task, RunContext(job="second"))
    assert task.execute() == task.revert(result=None) == "second"


def test_a_stock_task_passes_the_same_border() -> None:
    class Stock(taskflow_task.Task):
        def execute(self) -> None:
            raise SystemExit(3)

        def revert(self, result: Any, **_: Any) -> str:
            assert isinstance(result, Failure)
            return "undone"

    task = Stock(name="stock")
    bind(task, RunContext())
    storage = run(task)
    assert storage.get_execute_failures()["stock"].check(TaskError)
    assert storage.get_revert_result("stock") == "undone"
