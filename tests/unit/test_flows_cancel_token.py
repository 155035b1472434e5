"""The cancel flag: raised once, seen by all, early and late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from flows import CancelCause, CancelKind, CancelToken

BY_ANN = CancelCause(CancelKind.USER, by="ann", reason="enough")
BY_BOB = CancelCause(CancelKind.TIMEOUT, by="bob")


def test_it_is_down_at_first() -> None:
    token = CancelToken()
    assert not token.is_set
    assert token.cause is None
    assert token.set_at_s is None
    assert not token.wait(0)


def test_the_first_cause_stays() -> None:
    token = CancelToken()
    assert token.set(BY_ANN)
    moment_s = token.set_at_s
    assert moment_s is not None
    assert not token.set(BY_BOB)
    assert token.is_set
    assert token.cause is BY_ANN
    assert token.set_at_s == moment_s


def test_it_is_a_level_and_not_an_edge() -> None:
    token = CancelToken()
    token.set(BY_ANN)
    for _ in range(3):
        assert token.is_set
        assert token.wait(0)
        assert token.wait()


def test_a_subscriber_is_called_once_when_it_goes_up() -> None:
    token, calls = CancelToken(), []
    token.subscribe(lambda: calls.append(token.is_set))
    assert calls == []
    token.set(BY_ANN)
    token.set(BY_BOB)
    assert calls == [True]


def test_a_late_subscriber_is_called_at_once() -> None:
    token, calls = CancelToken(), []
    token.set(BY_ANN)
    token.subscribe(lambda: calls.append(token.cause))
    assert calls == [BY_ANN]


def test_who_unsubscribed_is_not_called() -> None:
    token, calls = CancelToken(), []
    kept, gone = token.subscribe(lambda: calls.append("kept")), token.subscribe(lambda: calls.append("gone"))
    token.unsubscribe(gone)
    token.unsubscribe(gone)
    token.set(BY_ANN)
    token.unsubscribe(kept)
    token.unsubscribe(12345)
    assert calls == ["kept"]


def test_subscribers_are_called_in_order_with_cause_and_flag_in_place() -> None:
    token, calls = CancelToken(), []
    for number in range(5):
        token.subscribe(lambda number=number: calls.append((number, token.is_set, token.wait(0), token.cause)))
    token.set(BY_ANN)
    assert calls == [(number, True, True, BY_ANN) for number in range(5)]


def test_a_subscriber_may_use_the_token() -> None:
    token, calls = CancelToken(), []

    def call() -> None:
        calls.append(token.set(BY_BOB))
        token.unsubscribe(key)
        token.subscribe(lambda: calls.append("inner"))

    key = token.subscribe(call)
    token.set(BY_ANN)
    assert calls == [False, "inner"]


def test_a_subscriber_that_raises_keeps_no_one_from_being_called(caplog: pytest.LogCaptureFixture) -> None:
    token, calls = CancelToken(), []
    token.subscribe(lambda: 1 / 0)
    token.subscribe(lambda: calls.append("second"))
    assert token.set(BY_ANN)
    assert calls == ["second"]
    assert "ZeroDivisionError" in caplog.text


def test_wait_ends_when_it_goes_up() -> None:
    token = CancelToken()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(token.wait, 60) for _ in range(3)]
        token.set(BY_ANN)
        assert [one.result(timeout=10) for one in waiting] == [True] * 3


def test_wait_ends_when_the_time_is_over() -> None:
    assert CancelToken().wait(0.001) is False


def together(*calls: Callable[[], object]) -> list[object]:
    """Run `calls` in a thread each, from the same moment, and return what they return."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=10) for future in [pool.submit(run, call) for call in calls]]


again_and_again = pytest.mark.parametrize("nth", range(20))


@again_and_again
def test_of_many_who_set_it_one_wins(nth: int) -> None:
    token = CancelToken()
    causes = [CancelCause(CancelKind.USER, by=str(number)) for number in range(8)]
    won = together(*(partial(token.set, cause) for cause in causes))
    assert won.count(True) == 1
    assert token.cause is causes[won.index(True)]


@again_and_again
def test_whoever_races_with_it_is_called_exactly_once(nth: int) -> None:
    token, calls = CancelToken(), []
    racing = [partial(token.subscribe, partial(calls.append, number)) for number in range(7)]
    together(partial(token.set, BY_ANN), *racing)
    assert sorted(calls) == list(range(7))


@again_and_again
def test_unsubscribing_in_a_race_is_harmless(nth: int) -> None:
    token, calls = CancelToken(), []
    key = token.subscribe(lambda: calls.append("called"))
    together(partial(token.set, BY_ANN), partial(token.unsubscribe, key), partial(token.unsubscribe, key))
    assert calls in ([], ["called"])
