"""The checker finds nothing wrong with a true history, and each of its rules is seen to fail on a doctored one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from taskflow.patterns import linear_flow

from flows import flow
from flows.registry import Registry
from jobboard.database import open_database
from jobboard.models import NewJob
from jobboard.schema import attempts, events, jobs
from jobboard.states import State
from tests.integration.house import House, settings_for
from tests.rules.checker import JOB_RULES, WORLD_RULES
from tests.rules.doctored import DOCTORED, Scene
from tests.rules.effects import Effect, Effects, Mark, What
from tests.rules.normal_form import normal_form
from tests.rules.story import Request
from tests.waiting import until

S = State


class Fails(Mark):
    def work(self) -> None:
        raise ValueError("boom")


class Waits(Mark):
    def work(self) -> None:
        self.sleep(60)


def _registry() -> Registry:
    registry = Registry()

    def of(name: str, last: type[Mark]) -> None:
        def function(effects: str) -> Any:
            return linear_flow.Flow(name).add(Mark("a"), Mark("b"), last("c"))

        flow(name, registry=registry)(function)

    of("succeeds", Mark)
    of("fails", Fails)
    of("waits", Waits)
    return registry


@pytest.fixture(scope="module")
def _played(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> tuple[Path, Any, Any]:
    """A job that succeeds, one that failed and was retried once, one that was cancelled and retried, and again
    cancelled, one that was cancelled before it began."""
    folder = tmp_path_factory.mktemp("played")
    shutil.copyfile(_sqlite_template, folder / "countermand.db")
    url = f"sqlite:///{folder / 'countermand.db'}"
    database = open_database(url)
    house = House(database, settings_for(url), _registry())
    records, requests, ids = house.records, [], {}

    def post(name: str, flow_name: str, key: str | None = None) -> None:
        new = NewJob(flow_name, {"effects": str(folder)}, key=key)
        ids[name] = records.post([new], by="ann")[0].id
        requests.append(Request("post", ids[name], key=key))

    def ask(kind: str, name: str) -> None:
        job = getattr(records, kind)(ids[name], by="ann")
        requests.append(Request(kind, ids[name], attempt=job.attempt))

    def stays(name: str) -> None:
        until(
            lambda: len(house.get(ids[name]).tasks) == 3 and house.get(ids[name]).tasks[2].state == "running", 60
        )

    post("never began", "succeeds")
    ask("cancel", "never began")
    post("good", "succeeds", "k")
    post("good", "succeeds", "k")
    post("bad", "fails")
    post("stopped", "waits")
    with house.running():
        house.comes_to(ids["good"], S.COMPLETED)
        house.comes_to(ids["bad"], S.FAILED)
        ask("retry", "bad")
        house.comes_to(ids["bad"], S.FAILED)
        stays("stopped")
        ask("cancel", "stopped")
        house.comes_to(ids["stopped"], S.CANCELLED)
        ask("retry", "stopped")
        stays("stopped")
        ask("cancel", "stopped")
        house.comes_to(ids["stopped"], S.CANCELLED)
    database.close()
    return folder, ids, requests


@pytest.fixture
def scene(_played: tuple[Path, Any, Any], tmp_path: Path) -> Iterator[Scene]:
    folder, ids, requests = _played
    copy = shutil.copytree(folder, tmp_path / "scene")
    scene = Scene(copy, ids, requests)
    yield scene
    scene.database.close()


def test_a_true_history_breaks_no_rule(scene: Scene) -> None:
    assert scene.broken() == []
    assert scene.broken(effects=None, requests=None, crashes=None, flows=None) == []


def test_a_claim_under_which_only_a_cancel_was_asked_for_is_one_that_wrote_nothing(scene: Scene) -> None:
    for epoch in range(2, 10):
        scene.line("good", "state", "running", data={"epoch": epoch})
        if epoch < 7:
            scene.line("good", "task", "running", task="c")
        if epoch == 7:
            scene.line("good", "state", "cancelling", by="bob")
    scene.change(jobs, "good", claims=9)
    assert "I9 claims_are_bounded" not in [said.partition(":")[0] for said in scene.broken(crashes=None)]
    scene.change(jobs, "good", claims=10)
    assert "I9 claims_are_bounded" in [said.partition(":")[0] for said in scene.broken(crashes=None)]


@pytest.mark.parametrize("doctor", DOCTORED, ids=lambda doctor: doctor.__name__)
def test_a_rule_is_seen_to_fail(scene: Scene, doctor: Callable[[Scene], None]) -> None:
    doctor(scene)
    assert DOCTORED[doctor] in [said.partition(":")[0] for said in scene.broken()], scene.broken()


def test_every_rule_has_a_history_that_breaks_it() -> None:
    shown = {name.split()[-1] for name in DOCTORED.values()}
    assert shown == {rule.__name__ for rule in (*WORLD_RULES, *JOB_RULES)}


def test_while_faults_go_on_jobs_need_not_rest(scene: Scene) -> None:
    scene.change(jobs, "good", state="running", finished_at=None)
    scene.remove(events, "good", events.c.state == "completed")
    scene.change(attempts, "good", ended_at=None, outcome=None)
    assert scene.broken() != []
    assert scene.broken(still_faulty=True) == []


def test_what_a_frozen_process_did_late_is_not_held_against_anyone(scene: Scene) -> None:
    scene.did("bad", What.EXECUTED, "c", pid=4711, at=time.time())
    scene.effects.thing(scene.jobs["bad"], 2, "c").write_text("4711")
    assert scene.broken() != []
    assert scene.broken(frozen=[4711]) == []


def test_what_it_did_while_it_had_the_job_counts(scene: Scene) -> None:
    everyone = {effect.pid for effect in scene.effects.read()}
    assert scene.broken(frozen=everyone) == []
    scene.forget("good", What.EXECUTED, "c")
    assert scene.broken(frozen=everyone) != []


def test_a_board_elsewhere_is_held_against_the_records(scene: Scene) -> None:
    assert scene.broken(on_board=[]) == []
    assert scene.broken(on_board=[scene.jobs["good"]]) != []


def test_a_line_of_the_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    effect = Effect(1.25, 2, "job", 3, 4, What.REVERT, "a task")
    Effects(tmp_path).append(effect)
    assert Effects(tmp_path).read() == [effect]


def test_the_normal_form_tells_the_ends_of_jobs_apart(scene: Scene) -> None:
    stopped = normal_form(scene.database, scene.jobs["stopped"])
    assert stopped == normal_form(scene.database, scene.jobs["stopped"])
    assert stopped.attempts == ((1, "cancelled"), (2, "cancelled"))
    assert stopped.tasks == (("a", "reverted"), ("b", "reverted"), ("c", "reverted"))
    assert stopped.path == ("pending", "running", "cancelling", "cancelled") * 2
    assert stopped != normal_form(scene.database, scene.jobs["bad"])
