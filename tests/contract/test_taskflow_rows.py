"""What TaskFlow does that Countermand answers, each beside what stock TaskFlow makes of it.

Every test runs real engines, serial and parallel, and looks at what is stored in SQLite by TaskFlow's own
backend. Where a stock task is shown to go wrong, a new TaskFlow that mends it is noticed here: then our answer
can go. The rows are numbered as in the design notes on TaskFlow.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import math
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from taskflow import engines, exceptions, retry, states, storage
from taskflow import task as taskflow_task
from taskflow.conductors.backends import impl_executor
from taskflow.patterns import linear_flow, unordered_flow
from taskflow.persistence import models
from taskflow.persistence.backends import impl_sqlalchemy
from taskflow.types.failure import Failure

from flows import CancelableTask, CancelCause, CancelKind, CancelToken, JobCancelled, RunContext
from flows.cancelable import bind
from flows.errors import Interrupted, NotStarted, TaskError, Unstorable
from flows.retry_guard import guard_retry
from flows.structure import atoms_of, is_retry

CAUSE = CancelCause(CancelKind.USER, by="ann", reason="enough")
STOCK, OURS = taskflow_task.Task, CancelableTask


class Kept(impl_sqlalchemy.SQLAlchemyBackend):
    """TaskFlow's own backend, but for its habit of making a connection with new tables for each call."""

    def __init__(self, url: str) -> None:
        engine = sa.create_engine(url)
        sa.event.listen(engine, "connect", _in_a_hurry)
        super().__init__({"connection": url}, engine=engine)
        self._kept = super().get_connection()

    def get_connection(self) -> Any:
        return self._kept

    def close(self) -> None:
        self._engine.dispose()


def _in_a_hurry(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=MEMORY")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = Kept(f"sqlite:///{tmp_path_factory.mktemp('rows') / 'taskflow.db'}")
    made.get_connection().upgrade()
    yield made
    made.close()


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock TaskFlow waits 5 s, twice, before it gives up to store what cannot be stored."""
    monkeypatch.setattr(storage.Storage._save_atom_detail.retry, "sleep", lambda _seconds: None)


@dataclass
class Lab:
    """Runs flows in one kind of engine."""

    kind: str
    backend: Any
    threads: ThreadPoolExecutor
    token: CancelToken = field(default_factory=CancelToken)
    swallowed: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def run(self, flow: Any, **options: Any) -> Ended:
        """Run `flow` as a conductor would: its tasks bound, its retry controllers guarded."""

        def prepare(engine: Any) -> None:
            for atom in atoms_of(engine.compilation.execution_graph):
                if is_retry(atom):
                    guard_retry(atom, RunContext(token=self.token))
                else:
                    bind(atom, RunContext(self.token, swallowed=self.swallowed.append))

        return self._run(flow, prepare, {"defer_reverts": True} | options)

    def run_stock(self, flow: Any, **options: Any) -> Ended:
        """Run `flow` as TaskFlow does."""
        return self._run(flow, lambda _engine: None, options)

    def resume(self, detail_uuid: str, flow: Any) -> Ended:
        """Go on with what is stored, as another process would."""
        return self._drive(self._load(flow, self.stored(detail_uuid)), lambda _engine: None)

    def stored(self, detail_uuid: str) -> Any:
        return self.backend.get_connection().get_flow_details(detail_uuid)

    def engine(self, flow: Any, **options: Any) -> Any:
        book, detail = models.LogBook("rows"), models.FlowDetail(flow.name, str(uuid.uuid4()))
        book.add(detail)
        self.backend.get_connection().save_logbook(book)
        return self._load(flow, detail, **options)

    def _load(self, flow: Any, detail: Any, **options: Any) -> Any:
        executor = {"executor": self.threads} if self.kind == "parallel" else {}
        return engines.load(
            flow, flow_detail=detail, backend=self.backend, engine=self.kind, **executor, **options
        )

    def _run(self, flow: Any, prepare: Callable[[Any], None], options: dict[str, Any]) -> Ended:
        return self._drive(self.engine(flow, **options), prepare)

    def _drive(self, engine: Any, prepare: Callable[[Any], None]) -> Ended:
        engine.compile()
        prepare(engine)
        raised: BaseException | None = None
        try:
            engine.run()
        except BaseException as error:
            raised = error
        return Ended(raised, self.stored(engine.storage.flow_uuid))

    # Tasks that write down when they are called.

    def task(self, base: Any, name: str, work: Callable[[Any], Any] = lambda _task: None, **options: Any) -> Any:
        """A task on `base`, stock or ours, that does `work`."""
        calls = self.calls

        class Task(base):
            def execute(self, **_: Any) -> Any:
                calls.append(f"+{name}")
                return work(self)

            def revert(self, result: Any, **_: Any) -> None:
                calls.append(f"-{name}")
                self.reverted_with = result

        return Task(name=name, **options)

    def linear(self, *items: Any, name: str = "flow", **options: Any) -> Any:
        return linear_flow.Flow(name, **options).add(*items)

    def cancels_itself(self, task: Any) -> None:
        """The work of a task that is cancelled in its midst."""
        self.token.set(CAUSE)
        task.checkpoint()


@dataclass
class Ended:
    """What a run came to, as it is stored."""

    raised: BaseException | None
    detail: Any

    @property
    def state(self) -> str:
        return self.detail.state

    @property
    def atoms(self) -> dict[str, str]:
        return {atom.name: atom.state for atom in self.detail if atom.name != storage.Storage.injector_name}

    def atom(self, name: str) -> Any:
        return next(atom for atom in self.detail if atom.name == name)

    def failure(self, name: str) -> Any:
        return self.atom(name).failure

    @property
    def is_undone(self) -> bool:
        return self.state == states.REVERTED and set(self.atoms.values()) == {states.REVERTED}


@pytest.fixture(params=["serial", "parallel"])
def lab(request: pytest.FixtureRequest, backend: Any, threads: ThreadPoolExecutor) -> Lab:
    return Lab(request.param, backend, threads)


def raiser(error: BaseException) -> Callable[[Any], Any]:
    def work(_task: Any) -> Any:
        raise error

    return work


# T1: a wrapper of `execute` that hides its signature, or wraps twice


def counting(function: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append("checked")
        return function(self, *args, **kwargs)

    return execute


def test_t1_a_wrapper_without_wraps_loses_the_inputs(lab: Lab) -> None:
    class Work(taskflow_task.Task):
        def execute(self, url: str) -> str:
            return url

    class Wrapped(Work):
        execute = counting(Work.execute, lab.calls)

    ended = lab.run_stock(lab.linear(Wrapped(name="a")), store={"url": "there"})
    assert isinstance(ended.raised, TypeError)
    assert "missing 1 required positional argument: 'url'" in str(ended.raised)

    class Ours(CancelableTask):
        def execute(self, url: str) -> str:
            return url

    ended = lab.run(lab.linear(Ours(name="a")), store={"url": "there"})
    assert (ended.state, ended.atom("a").results) == (states.SUCCESS, "there")


def test_t1_a_wrapper_on_every_class_checks_twice(lab: Lab) -> None:
    calls = lab.calls

    class Naive(taskflow_task.Task):
        def __init_subclass__(cls) -> None:
            cls.execute = functools.wraps(cls.execute)(counting(cls.execute, calls))

    class Parent(Naive):
        def execute(self) -> None: ...

    class Child(Parent):
        pass

    lab.run_stock(lab.linear(Child(name="a")))
    assert calls == ["checked"] * 2

    class OurParent(CancelableTask):
        def execute(self) -> str:
            lab.token.set(CAUSE)
            return "a second check would have stopped it here"

    class OurChild(OurParent):
        def execute(self) -> None:
            calls.append(super().execute())

    ended = lab.run(lab.linear(OurChild(name="a")))
    assert calls[2:] == ["a second check would have stopped it here"]
    assert ended.is_undone
    assert lab.swallowed == []


# T2: a BaseException out of `execute`

BASE_EXCEPTIONS = [SystemExit, asyncio.CancelledError, Interrupted]


@pytest.mark.parametrize("kind", BASE_EXCEPTIONS)
def test_t2_a_base_exception_leaves_the_flow_running(lab: Lab, kind: type[BaseException]) -> None:
    ended = lab.run_stock(lab.linear(lab.task(STOCK, "a"), lab.task(STOCK, "b", raiser(kind()))))
    assert isinstance(ended.raised, kind)
    assert ended.state == states.RUNNING
    assert ended.atoms == {"a": states.SUCCESS, "b": states.RUNNING}
    assert lab.calls == ["+a", "+b"]

    ended = lab.run(lab.linear(lab.task(OURS, "a"), lab.task(OURS, "b", raiser(kind()))))
    assert isinstance(ended.raised, TaskError)
    assert not ended.failure("b").check(JobCancelled)
    assert ended.is_undone
    assert lab.calls[2:] == ["+a", "+b", "-b", "-a"]


def test_t2_in_revert_too(lab: Lab) -> None:
    class Stock(taskflow_task.Task):
        def execute(self) -> None: ...

        def revert(self, **_: Any) -> None:
            raise SystemExit(3)

    class Ours(CancelableTask):
        execute, revert = Stock.execute, Stock.revert

    ended = lab.run_stock(lab.linear(Stock(name="a"), lab.task(STOCK, "b", raiser(ValueError()))))
    assert isinstance(ended.raised, SystemExit)
    assert (ended.state, ended.atoms["a"]) == (states.RUNNING, states.REVERTING)

    ended = lab.run(lab.linear(Ours(name="a"), lab.task(OURS, "b", raiser(ValueError()))))
    assert (ended.state, ended.atoms["a"]) == (states.FAILURE, states.REVERT_FAILURE)
    assert ended.atom("a").revert_failure.check(TaskError)


# T3: hooks that raise, errors that cannot be shown


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_t3_an_error_whose_str_raises_is_not_reverted(lab: Lab) -> None:
    ended = lab.run_stock(lab.linear(lab.task(STOCK, "a"), lab.task(STOCK, "b", raiser(Unspeakable()))))
    assert ended.state == states.FAILURE
    assert ended.atoms == {"a": states.SUCCESS, "b": states.RUNNING}

    ended = lab.run(lab.linear(lab.task(OURS, "a"), lab.task(OURS, "b", raiser(Unspeakable()))))
    assert ended.is_undone
    assert ended.failure("b").exception_str == "Unspeakable (its message cannot be read)"


@pytest.mark.parametrize("base", [STOCK, OURS])
def test_t3_a_hook_that_raises_is_not_reverted(lab: Lab, base: Any) -> None:
    def flow(base: Any) -> Any:
        kind = type(lab.task(base, "b"))
        noisy = type("Noisy", (kind,), {"post_execute": raiser(ValueError("hook"))})
        return lab.linear(lab.task(base, "a"), noisy(name="b"), lab.task(base, "c", raiser(ValueError())))

    ended = lab.run_stock(flow(STOCK))
    assert ended.state == states.FAILURE
    assert ended.atoms == {"a": states.SUCCESS, "b": states.RUNNING, "c": states.PENDING}

    ended = lab.run(flow(base))
    assert ended.is_undone


# T4: TaskFlow's own errors, raised by a task


@pytest.mark.parametrize("kind", [exceptions.ExecutionFailure, exceptions.StorageFailure])
def test_t4_a_tasks_error_is_taken_for_one_of_the_storage(lab: Lab, kind: type[Exception]) -> None:
    abandons = impl_executor.ExecutorConductor.NO_CONSUME_EXCEPTIONS
    ended = lab.run_stock(lab.linear(lab.task(STOCK, "a", raiser(kind("mine")))))
    assert isinstance(ended.raised, abandons)  # the stock conductor puts the job back on the board, for ever

    ended = lab.run(lab.linear(lab.task(OURS, "a", raiser(kind("mine")))))
    assert not isinstance(ended.raised, abandons)
    assert isinstance(ended.raised, TaskError)
    assert str(ended.raised) == f"{kind.__name__}: mine"
    assert ended.is_undone


# T5, T6: retry controllers and a cancel

CONTROLLERS: dict[str, Callable[[], Any]] = {
    "Times": lambda: retry.Times(4, name="controller"),
    "Times that reverts all": lambda: retry.Times(4, name="controller", revert_all=True),
    "ForEach": lambda: retry.ForEach([1, 2, 3], name="controller", provides="value"),
    "ParameterizedForEach": lambda: retry.ParameterizedForEach(
        name="controller", rebind={"values": "choices"}, provides="value"
    ),
    "AlwaysRevert": lambda: retry.AlwaysRevert(name="controller"),
    "AlwaysRevertAll": lambda: retry.AlwaysRevertAll(name="controller"),
}
TRIES = {"Times": 4, "ForEach": 3, "ParameterizedForEach": 3}
STORE = {"choices": [7, 8, 9]}


def retried(lab: Lab, base: Any, controller: Callable[[], Any], work: Callable[[Any], Any]) -> Any:
    inner = lab.linear(lab.task(base, "b"), lab.task(base, "c", work), name="inner", retry=controller())
    return lab.linear(lab.task(base, "a"), inner, lab.task(base, "d"))


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_t5_a_retry_controller_swallows_a_cancel(lab: Lab, controller: str) -> None:
    make = CONTROLLERS[controller]
    if controller in TRIES:
        lab.run_stock(retried(lab, STOCK, make, raiser(JobCancelled("enough", "ann"))), store=STORE)
        assert lab.calls.count("+b") == lab.calls.count("+c") == TRIES[controller]

    lab.calls.clear()
    ended = lab.run(retried(lab, OURS, make, lab.cancels_itself), store=STORE)
    assert lab.calls == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert_undone_up_to(ended, "c")


def assert_undone_up_to(ended: Ended, last: str) -> None:
    """Everything that began is reverted, and nothing else ever began."""
    assert ended.state == states.REVERTED
    assert {name for name, state in ended.atoms.items() if state == states.REVERTED} >= {
        "a",
        "b",
        last,
        "controller",
    }
    assert set(ended.atoms.values()) <= {states.REVERTED, states.PENDING}
    assert ended.failure(last).check(JobCancelled)


@pytest.mark.parametrize("inner", ["ForEach", "AlwaysRevert"])
@pytest.mark.parametrize("outer", ["Times", "AlwaysRevert"])
def test_t5_controllers_in_controllers(lab: Lab, outer: str, inner: str) -> None:
    deep = lab.linear(
        lab.task(OURS, "b"), lab.task(OURS, "c", lab.cancels_itself), name="deep", retry=CONTROLLERS[inner]()
    )
    around = CONTROLLERS[outer]()
    around.name = "around"
    around.save_as, around.provides = {}, frozenset()
    flow = lab.linear(lab.task(OURS, "a"), lab.linear(lab.task(OURS, "a2"), deep, name="middle", retry=around))
    ended = lab.run(flow, store=STORE)
    assert lab.calls == ["+a", "+a2", "+b", "+c", "-c", "-b", "-a2", "-a"]
    assert ended.is_undone


def test_t5_a_cancel_between_two_tries_begins_no_third(lab: Lab) -> None:
    """The first try fails by itself, the second is cancelled."""

    def work(task: Any) -> None:
        if lab.calls.count("+c") == 2:
            lab.cancels_itself(task)
        raise ValueError("try again")

    ended = lab.run(retried(lab, OURS, CONTROLLERS["Times"], work), store=STORE)
    assert lab.calls == ["+a", "+b", "+c", "-c", "-b", "+b", "+c", "-c", "-b", "-a"]
    assert_undone_up_to(ended, "c")


def test_t5_a_cancel_while_a_try_is_reverted_begins_no_other(lab: Lab) -> None:
    class Fails(CancelableTask):
        def execute(self) -> None:
            lab.calls.append("+b")
            raise ValueError("try again")

        def revert(self, **_: Any) -> None:
            lab.calls.append("-b")
            lab.token.set(CAUSE)

    inner = lab.linear(Fails(name="b"), name="inner", retry=retry.Times(4, name="controller"))
    ended = lab.run(lab.linear(lab.task(OURS, "a"), inner))
    assert lab.calls == ["+a", "+b", "-b", "-a"]
    assert ended.is_undone


def test_t5_without_a_cancel_a_controller_is_left_alone(lab: Lab) -> None:
    def work(_task: Any) -> None:
        if lab.calls.count("+c") < 3:
            raise ValueError("try again")

    ended = lab.run(retried(lab, OURS, CONTROLLERS["Times"], work), store=STORE)
    assert ended.state == states.SUCCESS
    assert (lab.calls.count("+b"), lab.calls.count("-b"), lab.calls.count("+a")) == (3, 2, 1)


class Broken(retry.Retry):
    """A controller that fails where it is told to."""

    def __init__(self, **answers: Callable[[], Any]) -> None:
        super().__init__(name="controller")
        self.answers = answers

    def execute(self, history: Any, **_: Any) -> Any:
        return self.answers.get("execute", lambda: None)()

    def on_failure(self, history: Any, **_: Any) -> Any:
        return self.answers.get("on_failure", lambda: retry.REVERT)()

    def revert(self, history: Any, **_: Any) -> Any:
        return self.answers.get("revert", lambda: None)()


def stops(kind: type[BaseException]) -> Callable[[], Any]:
    def answer() -> Any:
        raise kind

    return answer


@pytest.mark.parametrize("answer", [stops(SystemExit), lambda: "PERHAPS"], ids=["exit", "?"])
def test_t5_a_controller_that_cannot_decide_leaves_the_flow_half_done(lab: Lab, answer: Callable[[], Any]) -> None:
    def flow(base: Any) -> Any:
        return retried(lab, base, lambda: Broken(on_failure=answer), raiser(ValueError("c")))

    ended = lab.run_stock(flow(STOCK))
    assert ended.state in (states.FAILURE, states.RUNNING)
    assert ended.atoms["a"] == states.SUCCESS

    lab.calls.clear()
    ended = lab.run(flow(OURS))
    assert ended.state == states.REVERTED
    assert lab.calls == ["+a", "+b", "+c", "-c", "-b", "-a"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (stops(SystemExit), "SystemExit"),
        (object, "its result is a object"),
        (lambda: ("a", 1), "which JSON would change: use a list"),
    ],
    ids=["exit", "object", "tuple"],
)
def test_t5_what_a_controller_provides_is_json_or_an_error(lab: Lab, value: Callable[[], Any], said: str) -> None:
    ended = lab.run(retried(lab, OURS, lambda: Broken(execute=value), lambda _task: None))
    assert ended.state == states.REVERTED
    assert said in ended.failure("controller").exception_str
    assert lab.calls == ["+a", "-a"]


def test_t5_a_controllers_revert_may_return_anything_and_exit(lab: Lab) -> None:
    ended = lab.run(retried(lab, OURS, lambda: Broken(revert=object), lab.cancels_itself))
    assert_undone_up_to(ended, "c")
    lab.token = CancelToken()
    ended = lab.run(retried(lab, OURS, lambda: Broken(revert=stops(SystemExit)), lab.cancels_itself))
    assert ended.atoms["controller"] == states.REVERT_FAILURE


def test_t5_a_choice_that_json_changes_is_tried_for_ever_after_a_crash(lab: Lab) -> None:
    """Why it is refused: a controller finds what it has tried by comparing with what was stored."""
    controller = retry.ForEach([("a", 1)])
    assert controller.on_failure(retry.History([(("a", 1), {})])) == retry.REVERT
    assert controller.on_failure(retry.History([(json.loads('["a", 1]'), {})])) == retry.RETRY


@pytest.mark.parametrize("controller", ["AlwaysRevert", "Times"])
def test_t6_a_nested_controller_leaves_the_outer_tasks_in_place(lab: Lab, controller: str) -> None:
    make = CONTROLLERS[controller]
    ended = lab.run_stock(retried(lab, STOCK, make, raiser(ValueError())), store=STORE)
    assert (ended.state, ended.atoms["a"]) == (states.REVERTED, states.SUCCESS)
    assert "-a" not in lab.calls

    # A failure is deferred to the flow around it, by the engine's option; a cancel by the guard as well.
    ended = lab.run(retried(lab, OURS, make, raiser(ValueError())), store=STORE)
    assert (ended.state, ended.atoms["a"]) == (states.REVERTED, states.REVERTED)
    ended = lab.run(retried(lab, OURS, make, lab.cancels_itself), store=STORE, defer_reverts=False)
    assert (ended.state, ended.atoms["a"]) == (states.REVERTED, states.REVERTED)


# T14: what cannot be stored


@pytest.mark.parametrize("result", [{1: object()}, "\udcff"], ids=["object", "surrogate"])
def test_t14_a_result_that_cannot_be_stored_is_an_error_of_the_task(lab: Lab, result: Any) -> None:
    if result != "\udcff":  # SQLite takes that one, PostgreSQL does not
        ended = lab.run_stock(lab.linear(lab.task(STOCK, "a"), lab.task(STOCK, "b", lambda _task: result)))
        assert ended.state == states.FAILURE
        assert ended.atoms == {"a": states.SUCCESS, "b": states.RUNNING}

    ended = lab.run(lab.linear(lab.task(OURS, "a"), lab.task(OURS, "b", lambda _task: result)))
    assert isinstance(ended.raised, Unstorable)
    assert ended.is_undone


@pytest.mark.parametrize("result", [datetime(2024, 2, 29, tzinfo=UTC), {1}, math.inf], ids=repr)
def test_t14_sqlite_changes_some_results_silently(lab: Lab, result: Any) -> None:
    ended = lab.run_stock(lab.linear(lab.task(STOCK, "a", lambda _task: result)))
    assert ended.state == states.SUCCESS
    stored = ended.atom("a").results
    assert stored != result or stored == math.inf  # Infinity is no JSON: PostgreSQL refuses it

    ended = lab.run(lab.linear(lab.task(OURS, "a", lambda _task: result)))
    assert isinstance(ended.raised, Unstorable)
    assert ended.is_undone


def test_t14_a_tuple_is_a_list_at_once_and_not_only_after_a_crash(lab: Lab) -> None:
    got: list[Any] = []

    class Look(CancelableTask):
        def execute(self, pair: Any) -> None:
            got.append(pair)

    ended = lab.run(lab.linear(lab.task(OURS, "a", lambda _task: (1, (2,)), provides="pair"), Look()))
    assert got == [[1, [2]]] == [ended.atom("a").results]


@pytest.mark.parametrize("argument", [object(), Path("a")], ids=["object", "path"])
def test_t14_an_error_whose_arguments_cannot_be_stored_is_stored_by_its_words(lab: Lab, argument: Any) -> None:
    ended = lab.run_stock(lab.linear(lab.task(STOCK, "a"), lab.task(STOCK, "b", raiser(ValueError(argument)))))
    assert ended.state == states.FAILURE
    assert ended.atoms == {"a": states.SUCCESS, "b": states.RUNNING}

    ended = lab.run(lab.linear(lab.task(OURS, "a"), lab.task(OURS, "b", raiser(ValueError(argument)))))
    assert ended.is_undone
    assert ended.failure("b").check(ValueError)
    assert ended.failure("b").exception_str == str(argument)


def long_chain(length: int) -> BaseException:
    error: BaseException = ValueError(0)
    for number in range(1, length):
        error, error.__cause__ = ValueError(number), error
    return error


def test_t14_taskflow_stores_each_cause_with_all_of_its_own(lab: Lab) -> None:
    """With each cause the size doubles: a chain of thirty would take a gigabyte."""
    sizes = [len(json.dumps(Failure.from_exception(long_chain(length)).to_dict())) for length in (5, 6, 7)]
    assert sizes[1] / sizes[0] == pytest.approx(2, rel=0.1)
    assert sizes[2] / sizes[1] == pytest.approx(2, rel=0.1)

    ended = lab.run(lab.linear(lab.task(OURS, "a", raiser(long_chain(60)))))
    assert ended.is_undone
    assert [cause.exception_str for cause in ended.failure("a").causes] == ["58", "57", "56", "55"]


@pytest.mark.parametrize("detail", [object(), math.nan], ids=["object", "nan"])
def test_t14_a_detail_of_the_progress_that_cannot_be_stored_is_put_in_words(lab: Lab, detail: Any) -> None:
    ended = lab.run_stock(lab.linear(lab.task(OURS, "a", lambda task: task.update_progress(0.5, what=detail))))
    assert ended.state == states.SUCCESS
    assert ended.atom("a").meta["progress_details"]["details"]["what"] == str(detail)


# T16: context variables

ASIDE: ContextVar[str] = ContextVar("aside", default="nothing")


def test_t16_a_context_variable_does_not_reach_the_threads(lab: Lab) -> None:
    seen: list[str] = []
    reset = ASIDE.set("set")
    ended = lab.run_stock(lab.linear(lab.task(STOCK, "a", lambda _task: seen.append(ASIDE.get()))))
    ASIDE.reset(reset)
    assert ended.state == states.SUCCESS
    assert seen == ["nothing" if lab.kind == "parallel" else "set"]

    # So the token stands in the tasks, and is in force wherever they run.
    ended = lab.run(lab.linear(lab.task(OURS, "a"), lab.task(OURS, "b", lab.cancels_itself)))
    assert ended.is_undone
    assert ended.failure("b").check(JobCancelled)


def test_t16_the_token_reaches_every_task_of_a_parallel_flow(backend: Any, threads: ThreadPoolExecutor) -> None:
    lab, names = Lab("parallel", backend, threads), ["a", "b", "c"]
    together = threading.Barrier(len(names))

    def work(task: Any) -> None:
        if together.wait(10) == 0:
            lab.token.set(CAUSE)
        task.sleep(600)

    ended = lab.run(unordered_flow.Flow("flow").add(*(lab.task(OURS, name, work) for name in names)))
    assert ended.is_undone
    assert all(ended.failure(name).check(JobCancelled) for name in names)
    assert sorted(lab.calls) == ["+a", "+b", "+c", "-a", "-b", "-c"]


# T19: a BaseException among the causes of an error


async def times_out() -> None:
    async with asyncio.timeout(0):
        await asyncio.sleep(10)


def caused_by(kind: type[BaseException]) -> Callable[[Any], Any]:
    def work(_task: Any) -> None:
        try:
            raise kind
        except BaseException as error:
            raise ValueError("b") from error

    return work


def handled(_task: Any) -> None:
    try:
        raise KeyboardInterrupt
    finally:
        raise ValueError("b")


T19 = {
    "timeout": lambda _task: asyncio.run(times_out()),
    "exit": caused_by(SystemExit),
    "context": handled,
}


@pytest.mark.parametrize("shape", T19)
def test_t19_an_error_with_such_a_cause_is_not_reverted(lab: Lab, shape: str) -> None:
    if lab.kind == "serial":  # the run of a parallel engine would never return
        ended = lab.run_stock(lab.linear(lab.task(STOCK, "a"), lab.task(STOCK, "b", T19[shape])))
        assert isinstance(ended.raised, TypeError)
        assert ended.state == states.FAILURE
        assert ended.atoms == {"a": states.SUCCESS, "b": states.RUNNING}

    ended = lab.run(lab.linear(lab.task(OURS, "a"), lab.task(OURS, "b", T19[shape])))
    assert ended.is_undone
    assert ended.failure("b").check(TimeoutError if shape == "timeout" else ValueError)
    assert ended.failure("b").causes == ()


def test_t19_a_base_exception_with_such_a_cause_itself(lab: Lab) -> None:
    def work(_task: Any) -> None:
        try:
            raise asyncio.CancelledError
        except BaseException as error:
            raise SystemExit(3) from error

    ended = lab.run(lab.linear(lab.task(OURS, "a"), lab.task(OURS, "b", work)))
    assert ended.is_undone
    assert ended.failure("b").exception_str == "SystemExit: 3"


@pytest.mark.parametrize("shape", ["timeout", "context"])
def test_t19_in_revert_too(lab: Lab, shape: str) -> None:
    class Task(CancelableTask):
        def execute(self) -> None: ...

        def revert(self, **_: Any) -> None:
            T19[shape](self)

    ended = lab.run(lab.linear(Task(name="a"), lab.task(OURS, "b", raiser(ValueError()))))
    assert (ended.state, ended.atoms) == (states.FAILURE, {"a": states.REVERT_FAILURE, "b": states.REVERTED})
    assert ended.atom("a").revert_failure.causes == ()


# T20: the revert of a task that did nothing


def creates(file: Path, base: Any) -> Any:
    """A task that makes a file, and whose revert removes it: also one that was there before."""

    class Create(base):
        def execute(self) -> None:
            with file.open("x"):
                pass

        def revert(self, **_: Any) -> None:
            file.unlink(missing_ok=True)

    return Create(name="create")


def test_t20_a_task_that_never_began_is_reverted(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "theirs"
    file.write_text("not ours")

    class Refuses(STOCK):
        """As a check before `execute` would be, without more."""

        def execute(self) -> None:
            raise JobCancelled("stopped before it did anything")

        revert = type(creates(file, STOCK)).revert

    lab.run_stock(lab.linear(Refuses(name="create")))
    assert not file.exists()

    file.write_text("not ours")
    for base in (OURS, STOCK):
        lab.token = CancelToken()
        ended = lab.run(
            lab.linear(lab.task(OURS, "a", lambda _task: lab.token.set(CAUSE) and None), creates(file, base))
        )
        assert ended.state == states.REVERTED
        lab.token = CancelToken()
        lab.token.set(CAUSE)
        ended = lab.run(lab.linear(creates(file, base)))
        assert ended.is_undone
        assert ended.failure("create").check(NotStarted)
        assert file.read_text() == "not ours"


def test_t20_not_even_by_another_process_that_finds_it_so(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "theirs"
    file.write_text("not ours")
    engine = lab.engine(lab.linear(lab.task(OURS, "a"), creates(file, OURS)))
    engine.compile()
    engine.prepare()
    engine.storage.save("a", None, states.SUCCESS)
    engine.storage.save("create", Failure.from_exception(NotStarted("enough", "ann")), states.FAILURE)
    engine.storage.set_flow_state(states.RUNNING)

    ended = lab.resume(engine.storage.flow_uuid, lab.linear(lab.task(OURS, "a"), creates(file, OURS)))
    assert ended.is_undone
    assert lab.calls == ["-a"]
    assert file.exists()


def test_t20_a_task_that_began_is_reverted(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "ours"

    class Create(CancelableTask):
        def execute(self) -> None:
            file.touch()
            lab.cancels_itself(self)

        def revert(self, result: Any, **_: Any) -> None:
            assert isinstance(result, Failure)
            file.unlink()

    assert lab.run(lab.linear(Create())).is_undone
    assert not file.exists()


# Interruption: whatever the code of a task does about it

SHAPES: dict[str, Callable[[Lab, Any], Any]] = {}


def shape(work: Callable[[Lab, Any], Any]) -> Callable[[Lab, Any], Any]:
    SHAPES[work.__name__] = work
    return work


@shape
def loops_over_every_error(lab: Lab, task: Any) -> None:
    while True:
        try:
            task.sleep(600)
        except Exception:
            lab.calls.append("seen")


@shape
def has_a_finally(lab: Lab, task: Any) -> None:
    try:
        task.sleep(600)
    finally:
        lab.calls.append("cleaned")


@shape
def checks_in_its_finally(lab: Lab, task: Any) -> None:
    try:
        task.sleep(600)
    finally:
        lab.calls.append("cleaned")
        task.checkpoint()


@shape
def has_a_with_block(lab: Lab, task: Any) -> None:
    with contextlib.ExitStack() as stack:
        stack.callback(lab.calls.append, "cleaned")
        task.sleep(600)


@shape
def suppresses_errors(lab: Lab, task: Any) -> None:
    with contextlib.suppress(Exception):
        task.sleep(600)
    lab.calls.append("went on")


@shape
def fails_meanwhile(lab: Lab, task: Any) -> None:
    try:
        task.sleep(600)
    finally:
        raise ValueError("in the clean-up")


@shape
def turns_it_into_an_error(lab: Lab, task: Any) -> None:
    try:
        task.sleep(600)
    except BaseException as error:
        raise ValueError("something failed") from error


@shape
def exits(lab: Lab, task: Any) -> None:
    try:
        task.sleep(600)
    finally:
        raise SystemExit(3)


@shape
def tracks(lab: Lab, task: Any) -> None:
    for _ in task.track(range(1_000_000)):
        task.cancel_token.wait(10)


@shape
def waits_in_a_thread(lab: Lab, task: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(task.sleep, 600).result()


@shape
def waits_in_a_group(lab: Lab, task: Any) -> None:
    async def wait() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(task.sleep, 600))

    asyncio.run(wait())


SWALLOWING: dict[str, Callable[[Lab, Any], Any]] = {}


def swallowing(work: Callable[[Lab, Any], Any]) -> Callable[[Lab, Any], Any]:
    SWALLOWING[work.__name__] = work
    return work


@swallowing
def returns_from_a_bare_except(lab: Lab, task: Any) -> str:
    try:
        task.sleep(600)
    except:  # noqa: E722
        return "done"
    return "not reached"


@swallowing
def returns_from_its_finally(lab: Lab, task: Any) -> str:
    try:
        task.sleep(600)
    finally:
        return "done"  # noqa: B012


@swallowing
def has_a_context_manager_that_swallows(lab: Lab, task: Any) -> None:
    with contextlib.suppress(BaseException):
        task.sleep(600)


@swallowing
def returns_what_cannot_be_stored(lab: Lab, task: Any) -> Any:
    with contextlib.suppress(BaseException):
        task.sleep(600)
    return None


def cancelled_in_the_middle(lab: Lab, work: Callable[[Lab, Any], Any]) -> tuple[Ended, Any]:
    """Run a flow whose second task does `work`, and raise the flag from here once that has begun."""
    began = threading.Event()

    def begins(task: Any) -> Any:
        began.set()
        return work(lab, task)

    middle = lab.task(OURS, "b", begins)
    flow = lab.linear(lab.task(OURS, "a"), middle, lab.task(OURS, "c"))
    with ThreadPoolExecutor(1) as runner:
        running = runner.submit(lab.run, flow)
        assert began.wait(10)
        lab.token.set(CAUSE)
        return running.result(timeout=20), middle


@pytest.mark.parametrize("name", [*SHAPES, *SWALLOWING])
def test_a_task_is_interrupted_and_everything_reverted_once(lab: Lab, name: str) -> None:
    ended, middle = cancelled_in_the_middle(lab, {**SHAPES, **SWALLOWING}[name])
    assert ended.state == states.REVERTED
    assert [call for call in lab.calls if call[0] in "+-"] == ["+a", "+b", "-b", "-a"]
    assert ended.failure("b").check(JobCancelled)
    assert ended.failure("b").exception_str == "cancelled by ann: enough"
    assert ended.failure("b").causes == ()
    assert middle.reverted_with.check(JobCancelled)
    assert "seen" not in lab.calls
    assert "went on" not in lab.calls
    assert lab.swallowed == (["b"] if name in SWALLOWING else [])
    if "finally" in name or "with_block" in name:
        assert ("cleaned" in lab.calls) == (name in SHAPES)


def test_a_task_that_never_looked_is_not_said_to_have_swallowed(lab: Lab) -> None:
    ended, _ = cancelled_in_the_middle(lab, lambda lab, _task: lab.token.wait(10) and None)
    assert ended.failure("b").check(JobCancelled)
    assert lab.swallowed == []
    assert lab.calls == ["+a", "+b", "-b", "-a"]


def test_nothing_interrupts_a_revert(lab: Lab) -> None:
    class Task(CancelableTask):
        def execute(self) -> None: ...

        def revert(self, **_: Any) -> None:
            self.checkpoint()
            self.sleep(0.001)
            self.update_progress(0.5)
            lab.calls.append(f"reverted {len(list(self.track([1, 2])))}")

    ended = lab.run(lab.linear(Task(name="a"), lab.task(OURS, "b", lab.cancels_itself)))
    assert ended.is_undone
    assert lab.calls[-1] == "reverted 2"
