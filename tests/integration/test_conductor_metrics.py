"""What a conductor measures of its own work, on real databases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from conductor.metrics import JobMeter
from conductor.service import Conductor
from jobboard.metrics import new_registry
from jobboard.states import State
from tests.integration.house import Gate, Hold, House, Step, settings_for
from tests.metrics_seen import Seen
from tests.waiting import until

S = State
PHASES = ("delivered", "stopped", "reverted")


@pytest.fixture
def registry() -> CollectorRegistry:
    return new_registry()


@pytest.fixture
def running(house: House, registry: CollectorRegistry) -> Callable[..., Any]:
    """Runs a conductor that is measured."""

    @contextmanager
    def running(**how: Any) -> Iterator[Conductor]:
        meter = JobMeter(registry, house.database, [spec.name for spec in house.registry])
        with house.running(meter=meter, **how) as conductor:
            meter.watch(conductor)
            yield conductor

    return running


def seen(registry: CollectorRegistry) -> Seen:
    return Seen(generate_latest(registry).decode())


def sees(registry: CollectorRegistry, condition: Callable[[Seen], bool], what: str) -> Seen:
    def look() -> Seen | None:
        found = seen(registry)
        return found if condition(found) else None

    return until(look, what=what)


def ended(found: Seen) -> dict[str, float]:
    return found.of("countermand_conductor_jobs_ended_total")


def observed(found: Seen) -> list[float]:
    return [found[f'countermand_cancel_seconds_count{{phase="{phase}"}}'] for phase in PHASES]


def fail(_task: Step) -> None:
    raise ValueError("boom")


def test_jobs_that_end_here_are_counted_by_flow_and_state(house: House, registry, running):
    house.flow(lambda: [house.step("a")], "works")
    house.flow(lambda: [house.step("a", fail)], "fails")
    house.flow(lambda: [house.step("a", None, fail), house.step("b", fail)], "stays")
    with running():
        assert seen(registry)['countermand_conductor_jobs_claimed_total{flow="works"}'] == 0
        jobs = [house.post("works"), house.post("works"), house.post("fails"), house.post("stays")]
        for job in jobs:
            house.comes_to(job)
        found = sees(registry, lambda found: sum(ended(found).values()) == 4, "all ends")
    assert ended(found) == {
        'flow="works",state="completed"': 2,
        'flow="fails",state="failed"': 1,
        'flow="stays",state="revert_failed"': 1,
    }
    assert found.of("countermand_conductor_jobs_claimed_total") == {
        'flow="works"': 2,
        'flow="fails"': 1,
        'flow="stays"': 1,
    }
    assert observed(found) == [0, 0, 0]


@pytest.mark.parametrize("on_failure", ["revert", "keep"])
def test_a_job_that_goes_on_by_itself_has_not_ended(house: House, registry, running, on_failure: str):
    house.flow(lambda: [house.step("a", fail)])
    job = house.post(max_retries=2, retry_interval_s=0.01, on_failure=on_failure)
    with running():
        until(lambda: house.get(job).state is S.FAILED, what="its last attempt")
        found = sees(registry, lambda found: bool(ended(found)), "its end")
    assert ended(found) == {'flow="f",state="failed"': 1}
    assert found['countermand_conductor_jobs_claimed_total{flow="f"}'] == 3


def test_a_job_that_is_handed_back_has_not_ended(house: House, registry, running):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate), house.step("b")])
    job = house.post()
    with running() as conductor:
        gate.arrived()
        house.suspend(conductor)
        gate.open.set()
        assert conductor.wait(20)
    assert house.get(job).state is S.PENDING
    found = seen(registry)
    assert ended(found) == {}
    assert found['countermand_conductor_jobs_claimed_total{flow="f"}'] == 1


def test_a_job_that_was_lost_has_not_ended_here(house: House, registry, running):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate), house.step("b")])
    job = house.post()
    with running():
        gate.arrived()
        house.change(job, epoch=17, state="completed")
        gate.open.set()
        until(lambda: seen(registry)["countermand_conductor_busy_slots"] == 0, what="the end of the run")
    assert ended(seen(registry)) == {}


def test_cancels_are_measured_as_their_receipts_have_it(house: House, registry, running):
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b", hold)])
    with running():
        job = house.post()
        hold.arrived()
        house.records.cancel(job, by="ann")
        cancelled = house.comes_to(job, S.CANCELLED)
        found = sees(registry, lambda found: observed(found) == [1, 1, 1], "the cancel")
    assert ended(found) == {'flow="f",state="cancelled"': 1}
    receipt = cancelled.cancel
    assert receipt is not None
    moments = (receipt.delivered_at, receipt.stopped_at, cancelled.finished_at)
    for phase, moment in zip(PHASES, moments, strict=True):
        assert moment is not None
        took_s = (moment - receipt.requested_at).total_seconds()
        assert found[f'countermand_cancel_seconds_sum{{phase="{phase}"}}'] == pytest.approx(took_s)


def test_a_cleanup_is_no_second_cancel(house: House, registry, running):
    hold, stuck = Hold(), [fail]
    house.flow(lambda: [house.step("a", None, lambda task: [one(task) for one in stuck]), house.step("b", hold)])
    with running():
        job = house.post()
        hold.arrived()
        house.records.cancel(job, by="ann")
        house.comes_to(job, S.REVERT_FAILED)
        sees(registry, lambda found: observed(found) == [1, 1, 1], "the cancel")
        stuck.clear()
        house.records.cleanup(job, by="ann")
        house.comes_to(job, S.CANCELLED)
        found = sees(registry, lambda found: sum(ended(found).values()) == 2, "the cleanup's end")
    assert observed(found) == [1, 1, 1]


def test_a_cancel_of_a_cleanup_is_a_new_one(house: House, registry, running):
    """What is cleaned up failed by itself; the cancel comes while that is done."""
    gate, blocked = Gate(), [fail]
    house.flow(lambda: [house.step("a", None, lambda task: [one(task) for one in blocked]), house.step("b", fail)])
    with running():
        job = house.post()
        house.comes_to(job, S.REVERT_FAILED)
        blocked[:] = [gate]
        house.records.cleanup(job, by="ann")
        gate.arrived()
        house.records.cancel(job, by="ann")
        gate.open.set()
        house.comes_to(job, S.CANCELLED)
    found = sees(registry, lambda found: sum(ended(found).values()) == 2, "both ends")
    assert observed(found) == [1, 1, 1]


def test_a_job_that_is_deleted_ends_here_too(house: House, registry, running):
    hold = Hold()
    house.flow(lambda: [house.step("a", hold)])
    with running():
        job = house.post()
        hold.arrived()
        house.records.delete(job, by="ann")
        found = sees(registry, lambda found: bool(ended(found)), "its end")
    assert ended(found) == {'flow="f",state="cancelled"': 1}


def test_how_it_is(house: House, registry, running):
    house.settings = settings_for(house.settings.database_url, unresponsive_after="0.1")
    gate = Gate()
    house.flow(lambda: [house.step("a", gate)])
    with running(name="here", slots=3) as conductor:
        until(lambda: conductor.vitals().heartbeat_age_s is not None, what="its first word")
        found = seen(registry)
        assert (found["countermand_conductor_slots"], found["countermand_conductor_busy_slots"]) == (3, 0)
        assert 0 <= found['countermand_conductor_heartbeat_age_seconds{conductor="here"}'] < 15
        job = house.post()
        gate.arrived()
        found = seen(registry)
        assert found["countermand_conductor_busy_slots"] == 1
        assert found["countermand_conductor_tasks_not_responding"] == 0
        house.records.cancel(job, by="ann")
        sees(registry, lambda found: found["countermand_conductor_tasks_not_responding"] == 1, "the stuck task")
        gate.open.set()
        house.comes_to(job, S.CANCELLED)
        sees(registry, lambda found: found["countermand_conductor_tasks_not_responding"] == 0, "its end")


def test_its_heartbeat_is_renewed(house: House):
    house.settings = settings_for(house.settings.database_url, lease="1s")
    with house.running() as conductor:
        ages: list[float] = []

        def has_become_younger() -> bool:
            ages.append(conductor.vitals().heartbeat_age_s or 0.0)
            return any(later < before for before, later in itertools.pairwise(ages))

        until(has_become_younger, what="another heartbeat")
