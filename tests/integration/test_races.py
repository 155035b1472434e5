"""Requests that come at the same moment, and come again and again: one wins, and each is told how it went.

The ordinary run takes a sample; as often as the rules ask by `dev.py test --chaos 30m tests/integration`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobboard.errors import Refused
from jobboard.models import NewJob
from jobboard.states import State
from tests.integration.house import House, Step
from tests.rules.checker import broken_rules
from tests.waiting import until

S = State
ASKED = 8  # at once
LONGEST_S = 0.01  # by how much one of two may be later

often = pytest.mark.parametrize(
    "times",
    [
        pytest.param(30, id="a sample"),
        pytest.param(1000, id="all", marks=[pytest.mark.chaos, pytest.mark.timeout(0)]),
    ],
)


@pytest.fixture
def crowd() -> Iterator[Callable[..., list[Any]]]:
    """Does several things at the same moment: what each gave, or the `Refused` it was answered with."""
    with ThreadPoolExecutor(100) as pool:

        def together(*acts: Callable[[], Any]) -> list[Any]:
            start = threading.Barrier(len(acts))

            def do(act: Callable[[], Any]) -> Any:
                start.wait(60)
                try:
                    return act()
                except Refused as refused:
                    return refused

            return [asked.result(60) for asked in [pool.submit(do, act) for act in acts]]

        yield together


@pytest.fixture
def late() -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Puts an act off by a moment, another one each time: so that now the one comes first, now the other."""
    choose = random.Random(7)

    def put_off(act: Callable[[], Any]) -> Callable[[], Any]:
        delay_s = choose.uniform(0, LONGEST_S)

        def act_later() -> Any:
            time.sleep(delay_s)
            return act()

        return act_later

    return put_off


def refused(answers: list[Any]) -> list[Refused]:
    return [answer for answer in answers if isinstance(answer, Refused)]


def ended(house: House) -> None:
    assert broken_rules(house.database, crashes=0) == []


@often
def test_a_cancel_against_the_end(house, crowd, late, times):
    may_end = threading.Event()

    def finish(_task: Step) -> str:
        assert may_end.wait(60)
        return "done"

    house.flow(lambda: [house.step("a", finish)])
    ends = []
    with house.running():
        for _ in range(times):
            house.calls.clear()
            may_end.clear()
            job = house.post()
            until(lambda job=job: house.row(job)["begun"], 60, "the job to begin")
            answers = crowd(late(may_end.set), late(lambda job=job: house.records.cancel(job, by="bob")))
            end = house.comes_to(job).state
            assert end is (S.COMPLETED if refused(answers) else S.CANCELLED)
            undone = house.calls.count("revert a")
            assert undone == (house.calls.count("execute a") if end is S.CANCELLED else 0)
            ends.append(end)
    ended(house)
    if times > 100:
        assert set(ends) == {S.COMPLETED, S.CANCELLED}, "one of the two always came first"


@often
def test_retries_against_each_other(house, crowd, times):
    house.flow(lambda: [house.step("a", boom)])
    job = house.run().id
    for number in range(2, min(times, 100) + 2):
        answers = crowd(*[lambda: house.records.retry(job, by="bob")] * ASKED)
        assert len(refused(answers)) == ASKED - 1
        house.drain()
        assert (house.get(job).state, house.get(job).attempt) == (S.FAILED, number)
    ended(house)


@often
def test_a_cancel_against_a_retry(house, crowd, late, times):
    house.flow(lambda: [house.step("a", boom)])
    job = house.run().id
    with house.running():
        for _ in range(times):
            before = house.get(job).attempt
            cancel, retry = crowd(
                late(lambda: house.records.cancel(job, by="bob")), late(lambda: house.records.retry(job, by="ann"))
            )
            assert not isinstance(retry, Refused)
            found = house.comes_to(job)
            assert found.attempt == before + 1
            assert found.state is S.FAILED or not isinstance(cancel, Refused)
    ended(house)


@often
def test_posts_with_one_key(house, crowd, times):
    house.flow(lambda: [house.step("a")])
    posts = [lambda: house.records.post([NewJob("f", {}, key="k")], by="ann")[0]] * ASKED
    for _ in range(times):
        answers = crowd(*posts)
        assert len({posted.id for posted in answers}) == 1
        assert [posted.existed for posted in answers].count(False) == 1
        house.records.cancel(answers[0].id, by="bob")
    assert len(house.records.list(limit=times + 1)) == times
    ended(house)


def test_a_hundred_cancels_at_once(house, crowd):
    held = threading.Event()

    def hold(task: Step) -> None:
        held.set()
        task.sleep(60)

    house.flow(lambda: [house.step("a", hold)])
    with house.running():
        job = house.post()
        assert held.wait(60)
        answers = crowd(*[lambda number=n: house.records.cancel(job, by=f"bob {number}") for n in range(100)])
        house.comes_to(job, S.CANCELLED)
    assert {answer.state for answer in answers} <= {S.CANCELLING, S.CANCELLED}
    assert house.states_of(job) == ["pending", "running", "cancelling", "cancelled"]
    assert house.calls == ["execute a", "revert a"]
    ended(house)


def boom(_task: Step) -> None:
    raise ValueError("boom")
