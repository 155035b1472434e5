"""What passes the border to TaskFlow: results as plain JSON, errors in a form that it stores and reverts for."""

from __future__ import annotations

import asyncio
import enum
import http
import itertools
import json
import math
import traceback
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from taskflow import exceptions as taskflow_exceptions
from taskflow.types.failure import Failure

from flows.errors import Interrupted, JobCancelled, NotStarted, TaskError, Unstorable
from flows.storable import MAX_DEPTH, cause_of, check_result, plain_detail, storable

# Results

ROOM = 100_000
Point = namedtuple("Point", "x y")


class Colour(enum.StrEnum):
    RED = "red"


class Shade(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    DARK = "dark"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"


class Half(float):
    def __repr__(self) -> str:
        return "half"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**64,
        10**1000,
        1.5,
        -0.0,
        1e308,
        "",
        "text",
        "ü€😀",
        "\x01\n",
        [],
        {},
        [None],
        {"": 0},
    ],
)
def test_plain_data_passes_as_it_is(value: Any) -> None:
    assert check_result("t", value, ROOM) == value
    assert type(check_result("t", value, ROOM)) is type(value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        ({"a": (1,)}, {"a": [1]}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, a=[]), {"a": []}),
        (http.HTTPStatus.OK, 200),
        (Colour.RED, "red"),
        (Shade.DARK, "dark"),
        (Loud("quiet"), "quiet"),
        (Half(0.5), 0.5),
        ({Shade.DARK: Shade.DARK}, {"dark": "dark"}),
    ],
)
def test_what_json_would_store_plainer_is_plain_at_once(value: Any, stored: Any) -> None:
    checked = check_result("t", value, ROOM)
    assert checked == stored
    assert type(checked) is type(stored)
    assert json.loads(json.dumps(checked)) == checked
    assert json.dumps(checked) == json.dumps(stored)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "result is nan, which JSON does not have"),
        ([1, math.inf], "result[1] is inf"),
        ({"a": [-math.inf]}, "result.a[0] is -inf"),
        ("a\0b", "result holds a NUL character"),
        ({"a\0": 1}, "a key of result holds a NUL character"),
        ("\udcff", "result holds half of a surrogate pair"),
        ({"\ud800": 1}, "a key of result holds half of a surrogate pair"),
        ({1: 2}, "result has a key that is a int, but keys must be text"),
        ({"a": {None: 2}}, "result.a has a key that is a NoneType"),
        ({(1, 2): 3}, "a key that is a tuple"),
        ({1, 2}, "result is a set, not JSON"),
        ([frozenset()], "result[0] is a frozenset"),
        (datetime.now(UTC), "result is a datetime"),
        (Decimal(1), "result is a Decimal"),
        (Path("x"), "Path, not JSON"),
        (b"bytes", "result is a bytes"),
        (1j, "result is a complex"),
        (object(), "result is a object"),
        ((x for x in ()), "result is a generator"),
        (ValueError("x"), "result is a ValueError"),
        (10**4000, "a number of thousands of digits"),
        (nested(MAX_DEPTH + 1), f"is nested deeper than {MAX_DEPTH}"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isprintable() else type(value).__name__,
)
def test_anything_else_is_refused_and_located(value: Any, said: str) -> None:
    with pytest.raises(Unstorable) as caught:
        check_result("pack", value, ROOM)
    assert str(caught.value).startswith("task pack: its ")
    assert said in str(caught.value)
    assert storable(caught.value) is caught.value


def test_it_may_be_as_deep_as_allowed() -> None:
    assert check_result("t", nested(MAX_DEPTH), ROOM) == nested(MAX_DEPTH)


@pytest.mark.parametrize("value", ["x" * 98, ["ü"] * 2, list(range(10))])
def test_the_size_that_is_allowed_is_that_of_the_json(value: Any) -> None:
    size = len(json.dumps(value))
    assert check_result("t", value, size) == value
    with pytest.raises(Unstorable, match=f"task t: its result takes more than the {size - 1} bytes"):
        check_result("t", value, size - 1)


def holding_itself() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def many_times_the_same() -> list[Any]:
    value: list[Any] = ["x" * 1000]
    for _ in range(MAX_DEPTH - 1):
        value = [value, value]
    return value


@pytest.mark.parametrize("make", [holding_itself, many_times_the_same, lambda: ["x" * 10_000] * 1_000_000])
def test_what_grows_without_end_is_refused_at_once(make: Callable[[], Any]) -> None:
    with pytest.raises(Unstorable):
        check_result("t", make(), ROOM)


def test_a_message_stays_short_however_long_the_keys() -> None:
    value: Any = math.nan
    for _ in range(50):
        value = {"k" * 100_000: value}
    with pytest.raises(Unstorable) as caught:
        check_result("t", value, 10_000_000)
    assert len(str(caught.value)) < 5000


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(st.characters(codec=None)), inner)
    ),
)


@settings(deadline=None)
@given(json_like)
def test_what_is_accepted_comes_back_equal_from_json(value: Any) -> None:
    try:
        checked = check_result("t", value, ROOM)
    except Unstorable:
        return
    assert json.loads(json.dumps(checked, allow_nan=False)) == checked
    assert check_result("t", checked, ROOM) == checked
    json.dumps(checked, ensure_ascii=False).encode()


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_plain_data_is_never_refused(value: Any) -> None:
    if "\0" not in json.dumps(value).replace("\\u0000", "\0"):
        assert check_result("t", value, ROOM) == value


# Details of a progress


def test_a_detail_that_is_not_plain_is_put_in_words() -> None:
    given = {"done": 3, "file": Path("a/b"), "rate": math.inf, "name": "\udcff\0", "when": [1, 2], "none": None}
    assert plain_detail(given) == {
        "done": 3,
        "file": "a/b",
        "rate": "inf",
        "name": "??",
        "when": [1, 2],
        "none": None,
    }
    json.dumps(plain_detail(given), allow_nan=False)


def test_a_long_detail_is_cut() -> None:
    assert len(json.dumps(plain_detail({"files": ["x" * 100] * 100_000}))) < 2000


# Errors


def passed(error: BaseException) -> Failure:
    """What TaskFlow makes of `error` once it has passed the border; fails if it could not store that."""
    kept = storable(error)
    assert isinstance(kept, Exception)
    try:
        raise kept from cause_of(kept)
    except Exception:
        failure = Failure()
    stored = json.loads(json.dumps(failure.to_dict(), allow_nan=False))
    assert failure.exception is kept
    assert Failure.from_dict(stored).exception_str == str(kept)
    assert "\0" not in str(kept)
    str(kept).encode()
    assert len(json.dumps(stored)) < 1_000_000
    return failure


def raised_by(code: Callable[[], Any]) -> BaseException:
    try:
        code()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def chained(*errors: BaseException) -> BaseException:
    """The last of `errors`, each raised from the one before it."""

    def raise_from(error: BaseException, cause: BaseException) -> None:
        raise error from cause

    for cause, error in itertools.pairwise(errors):
        raised_by(partial(raise_from, error, cause))
    return errors[-1]


class TwoArguments(Exception):
    def __init__(self, path: Path, code: int) -> None:
        super().__init__(path, code)
        self.path, self.code = path, code

    def __str__(self) -> str:
        return f"{self.path}: {self.code}"


class ReadsItsArguments(Exception):
    def __str__(self) -> str:
        left, right = self.args
        return f"{left} and {right}"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"),
        ValueError(),
        ValueError("a", 1, None, ["b"]),
        KeyError("key"),
        OSError(2, "No such file", "a\udcff"),
        StopIteration(1),
        MemoryError(),
        RecursionError("deep"),
        JobCancelled("enough", "ann"),
        NotStarted(),
        TaskError("words"),
    ],
    ids=repr,
)
def test_an_error_that_can_be_stored_stays_itself(error: Exception) -> None:
    said = str(error)
    assert storable(error) is error
    assert passed(error).exception_str == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit(), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError("late"), "CancelledError: late"),
        (Interrupted(), "Interrupted"),
        (BaseExceptionGroup("two", [SystemExit(), ValueError()]), "BaseExceptionGroup: two (2 sub-exceptions)"),
    ],
)
def test_a_base_exception_is_put_in_words(error: BaseException, said: str) -> None:
    assert type(storable(error)) is TaskError
    assert passed(error).exception_str == said


@pytest.mark.parametrize(
    "error",
    [
        taskflow_exceptions.StorageFailure("x"),
        taskflow_exceptions.ExecutionFailure("x"),
        taskflow_exceptions.JobFailure("x"),
        type("Mine", (taskflow_exceptions.StorageFailure,), {})("x"),
    ],
    ids=repr,
)
def test_taskflows_own_errors_are_put_in_words(error: Exception) -> None:
    kept = storable(error)
    assert type(kept) is TaskError
    assert str(kept) == f"{type(error).__name__}: x"


def test_a_wrapped_failure_of_taskflow_is_put_in_words() -> None:
    inner = Failure.from_exception(taskflow_exceptions.StorageFailure("x"))
    assert passed(taskflow_exceptions.WrappedFailure([inner])).check(TaskError)


def test_arguments_that_are_not_json_become_the_message() -> None:
    error = TwoArguments(Path("a"), 3)
    assert storable(error) is error
    assert str(error) == "a: 3"
    assert error.args == ("a: 3",)
    assert passed(error).check(TwoArguments)


def test_an_error_whose_message_needs_its_arguments_is_put_in_words() -> None:
    assert passed(KeyError(Path("a"))).exception_str == f"KeyError: {str(KeyError(Path('a')))!s}"
    assert passed(ReadsItsArguments(1, object)).exception_str == "ReadsItsArguments: 1 and <class 'object'>"


@pytest.mark.parametrize("arguments", [(b"x",), (math.nan,), ({1, 2},), ({1: 2},), ("short", "x" * 100_000)])
def test_no_argument_breaks_the_storing(arguments: tuple[Any, ...]) -> None:
    class Short(Exception):
        def __str__(self) -> str:
            return "short"

    assert passed(Short(*arguments)).exception_str == "short"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("a\0b", "ValueError: a?b"),
        ("a\udcffb", "ValueError: a?b"),
        ("x" * 10_001, f"ValueError: {'x' * 10_000}…"),
    ],
    ids=["NUL", "surrogate", "long"],
)
def test_a_message_that_cannot_be_stored_is_mended(message: str, said: str) -> None:
    assert passed(ValueError(message)).exception_str == said


def test_the_longest_message_stays() -> None:
    assert passed(ValueError("x" * 10_000)).check(ValueError)


def test_a_base_exception_cannot_be_long_either() -> None:
    assert len(passed(SystemExit("x" * 1_000_000)).exception_str) < 11_000


def failing(*_: object) -> Any:
    raise Interrupted


WEIRD: list[Callable[[], BaseException]] = [
    type("NoStr", (Exception,), {"__str__": lambda _: 1 / 0}),
    type("StopsInStr", (Exception,), {"__str__": failing}),
    type("NotText", (Exception,), {"__str__": lambda _: 7}),
    type("NoRepr", (Exception,), {"__repr__": failing}),
    type("NoArguments", (Exception,), {"args": property(failing)}),
    type("WeirdArguments", (Exception,), {"args": 7}),
    type("Equals", (Exception,), {"__eq__": failing, "__hash__": None}),
    type("Empty", (Exception,), {"__len__": lambda _: 0, "__bool__": lambda _: False}),
    type("Frozen", (Exception,), {"__setattr__": failing}),
    type("NoBaseStr", (BaseException,), {"__str__": failing}),
    type("StrChanges", (Exception,), {"__str__": lambda self: str(id(object()) + len(self.args))}),
]
weird = pytest.mark.parametrize("make", WEIRD, ids=lambda kind: kind.__name__)


@weird
def test_a_strange_exception_is_stored_all_the_same(make: Callable[..., BaseException]) -> None:
    if make.__name__ != "StrChanges":
        passed(make())
        passed(make(object()))
    else:
        storable(make(object()))


@weird
def test_a_strange_cause_does_no_harm(make: Callable[..., BaseException]) -> None:
    passed(chained(SystemExit(), make(object()), ValueError("x")))
    passed(chained(make(object()), ValueError("y"), ValueError("x")))


@dataclass(frozen=True)
class FrozenError(Exception):
    path: Path


def test_an_exception_that_is_a_frozen_dataclass_keeps_its_words() -> None:
    assert "FrozenError" in str(storable(FrozenError(Path("a"))))
    failure = passed(chained(SystemExit(), FrozenError(Path("a")), ValueError("x")))
    assert failure.exception_str.endswith("x")


# Chains


def causes(failure: Failure) -> list[str]:
    return [cause.exception_str for cause in failure.causes]


def test_ordinary_causes_are_kept() -> None:
    assert causes(passed(chained(KeyError("a"), ValueError("b"), OSError("c")))) == ["b", "'a'"]


def test_an_implicit_context_is_kept_too() -> None:
    def code() -> None:
        try:
            raise KeyError("a")
        except KeyError:
            raise ValueError("b")  # noqa: B904

    assert causes(passed(raised_by(code))) == ["'a'"]


def test_a_suppressed_context_is_not_looked_at() -> None:
    def code() -> None:
        try:
            raise SystemExit
        except SystemExit:
            raise ValueError("b") from None

    error = raised_by(code)
    assert causes(passed(error)) == []
    assert isinstance(error.__context__, SystemExit)


def test_a_chain_is_cut_at_the_first_base_exception() -> None:
    error = chained(ValueError("gone"), KeyboardInterrupt(), KeyError("kept"), ValueError("top"))
    assert causes(passed(error)) == ["'kept'"]


@pytest.mark.parametrize(
    "stop", [SystemExit, asyncio.CancelledError, Interrupted, KeyboardInterrupt, GeneratorExit]
)
def test_an_error_raised_while_handling_a_base_exception(stop: type[BaseException]) -> None:
    def implicit() -> None:
        try:
            raise stop
        finally:
            raise ValueError("b")

    def explicit() -> None:
        try:
            raise stop
        except BaseException as error:
            raise ValueError("b") from error

    for code in (implicit, explicit):
        error = raised_by(code)
        assert storable(error) is error
        assert causes(passed(error)) == []


def test_a_base_exception_with_a_base_exception_as_its_cause() -> None:
    error = chained(asyncio.CancelledError(), SystemExit(3))
    assert causes(passed(error)) == []


def test_an_expired_asyncio_timeout_stays_a_timeout() -> None:
    async def too_slow() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(10)

    error = raised_by(lambda: asyncio.run(too_slow()))
    assert isinstance(error.__cause__, asyncio.CancelledError)
    assert passed(error).check(TimeoutError)


def test_causes_with_arguments_that_are_not_json_are_mended_in_place() -> None:
    failure = passed(
        chained(TwoArguments(Path("a"), 3), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), KeyError("x"))
    )
    assert causes(failure)[1] == "a: 3"


def test_a_cause_that_is_falsy_is_looked_behind() -> None:
    empty = type("Empty", (Exception,), {"__len__": lambda _: 0})
    assert causes(passed(chained(SystemExit(), empty("x"), ValueError()))) == ["x"]


def test_cycles_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert causes(passed(one)) == ["two"]
    itself = ValueError("itself")
    itself.__cause__ = itself
    assert causes(passed(itself)) == []
    context = ValueError("context")
    context.__context__ = chained(context, KeyError())
    passed(context)


def test_a_long_chain_is_cut_since_taskflow_stores_each_cause_with_all_of_its_own() -> None:
    long = chained(*(ValueError(number) for number in range(60)))
    assert causes(passed(long)) == ["58", "57", "56", "55"]


def test_a_long_chain_of_contexts_is_cut() -> None:
    def deep(times: int) -> None:
        try:
            if times:
                deep(times - 1)
            raise KeyError(times)
        finally:
            raise ValueError(times)

    assert len(causes(passed(raised_by(lambda: deep(60))))) == 4


def test_the_traceback_stays() -> None:
    def code() -> None:
        raise ValueError("x")

    assert "raise ValueError" in str(passed(raised_by(code)).traceback_str)


# Groups


def test_an_exception_group_passes() -> None:
    error = ExceptionGroup("some", [ValueError(object()), ExceptionGroup("more", [KeyError(b"x")])])
    assert storable(error) is error
    assert passed(error).exception_str == "some (2 sub-exceptions)"


def test_a_task_group_that_failed_passes() -> None:
    async def fail() -> None:
        raise ValueError("x")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.sleep(10))

    assert passed(raised_by(lambda: asyncio.run(work()))).check(ExceptionGroup)


def test_a_group_with_a_base_exception_inside_is_put_in_words() -> None:
    error = BaseExceptionGroup("some", [KeyboardInterrupt(), ValueError()])
    assert type(storable(error)) is TaskError
    assert passed(chained(error, ValueError("x"))).exception_str == "x"


# Any chain at all

any_error = st.one_of(
    st.builds(ValueError, st.text(st.characters(codec=None))),
    st.builds(KeyError, st.binary() | st.floats() | st.text()),
    st.builds(SystemExit, st.integers() | st.none()),
    st.builds(asyncio.CancelledError),
    st.builds(Interrupted),
    st.builds(TwoArguments, st.just(Path("a")), st.integers()),
    st.builds(OSError, st.integers(), st.text(st.characters(codec=None))),
    st.builds(lambda: ExceptionGroup("some", [ValueError()])),
    st.builds(lambda: BaseExceptionGroup("some", [SystemExit()])),
    st.builds(taskflow_exceptions.StorageFailure, st.text()),
)


@settings(deadline=None)
@given(st.lists(any_error, min_size=1, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_whatever_is_raised_taskflow_can_store_it(errors: list[BaseException], explicit: list[bool]) -> None:
    for cause, error, is_explicit in zip(errors, errors[1:], explicit, strict=False):
        if is_explicit:
            error.__cause__ = cause
        else:
            error.__context__ = cause
    passed(errors[-1])
    again = storable(errors[-1])
    assert storable(again) is again
    "".join(traceback.format_exception(again))
