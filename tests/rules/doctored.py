"""True histories made false: each function here breaks one rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from jobboard.database import open_database
from jobboard.schema import attempts, events, jobs, postings
from jobboard.taskflow_rows import ATOMS
from tests.rules.checker import broken_rules
from tests.rules.effects import Effects, What
from tests.rules.story import FlowFacts, Request

FLOWS = {name: FlowFacts(("a", "b", "c")) for name in ("succeeds", "fails", "waits")}


class Scene:
    """What jobs have left behind, open to be falsified."""

    def __init__(self, folder: Path, jobs: dict[str, str], requests: list[Request]) -> None:
        self.folder = folder
        self.database = open_database(f"sqlite:///{folder / 'countermand.db'}")
        self.effects = Effects(folder)
        self.jobs = jobs
        self.requests = list(requests)

    def broken(self, **how: Any) -> list[str]:
        given = {"effects": self.effects, "requests": self.requests, "flows": FLOWS, "crashes": 0} | how
        return broken_rules(self.database, **given)

    def change(self, table: sa.Table, job: str, *where: Any, **columns: Any) -> None:
        column = table.c.id if table is jobs else table.c.job
        self._write(sa.update(table).where(column == self.jobs[job], *where).values(**columns))

    def remove(self, table: sa.Table, job: str, *where: Any) -> None:
        column = table.c.id if table is jobs else table.c.job
        self._write(sa.delete(table).where(column == self.jobs[job], *where))

    def add(self, table: sa.Table, job: str, **columns: Any) -> None:
        self._write(sa.insert(table).values(job=self.jobs[job], **columns))

    def line(self, job: str, kind: str, state: str, **columns: Any) -> None:
        self.add(
            events, job, **({"attempt": 1, "at": self.database.now(), "kind": kind, "state": state} | columns)
        )

    def _write(self, statement: Any) -> None:
        with self.database.write() as connection:
            connection.execute(statement)

    def did(self, job: str, what: What, task: str, **how: Any) -> None:
        mine = next(effect for effect in self.effects.read() if effect.job == self.jobs[job])
        self.effects.append(replace(mine, what=what, task=task, **how))

    def forget(self, job: str, what: What, task: str) -> None:
        kept = [
            effect
            for effect in self.effects.read()
            if (effect.job, effect.what, effect.task) != (self.jobs[job], what, task)
        ]
        (self.folder / "effects.log").unlink()
        for effect in kept:
            self.effects.append(effect)


def a_post_without_record(scene: Scene) -> None:
    scene.requests.append(Request("post", "01j000000000000000000000aa"))


def a_record_no_one_asked_for(scene: Scene) -> None:
    scene.requests.remove(next(asked for asked in scene.requests if asked.job == scene.jobs["bad"]))


def two_jobs_of_one_key(scene: Scene) -> None:
    scene.change(jobs, "bad", key="k")


def a_key_answered_with_another_job(scene: Scene) -> None:
    scene.requests.append(Request("post", scene.jobs["bad"], key="k"))


def a_job_left_running(scene: Scene) -> None:
    scene.change(jobs, "good", state="running", finished_at=None)


def an_owner_of_a_job_at_rest(scene: Scene) -> None:
    scene.change(jobs, "good", owner="host:1:x")


def a_cancel_that_came_to_nothing(scene: Scene) -> None:
    scene.requests.append(Request("cancel", scene.jobs["good"], attempt=1))


def a_cancel_that_ended_revert_failed_for_nothing(scene: Scene) -> None:
    scene.change(events, "stopped", events.c.state == "cancelled", events.c.attempt == 1, state="revert_failed")


def a_step_that_is_not_in_the_table(scene: Scene) -> None:
    scene.change(events, "bad", events.c.state == "reverting", events.c.kind == "state", state="cancelled")


def a_state_without_history(scene: Scene) -> None:
    scene.remove(events, "good", events.c.state == "completed")


def an_attempt_without_end(scene: Scene) -> None:
    scene.change(attempts, "bad", attempts.c.number == 1, ended_at=None, outcome=None)


def an_attempt_too_many(scene: Scene) -> None:
    scene.add(attempts, "good", number=2, arguments={})


def an_attempt_that_ends_twice(scene: Scene) -> None:
    scene.line("good", "state", "completed")
    scene.line("good", "state", "failed")


def a_claim_without_its_epoch(scene: Scene) -> None:
    scene.change(jobs, "good", epoch=2)


def two_claims_with_one_epoch(scene: Scene) -> None:
    claim = events.c.message.like("claimed by%")
    scene.change(events, "bad", claim, data={"epoch": 1, "owner": "host:1:x"})


def a_task_that_succeeds_twice(scene: Scene) -> None:
    scene.line("good", "task", "success", task="a")


def an_end_that_another_claim_saw(scene: Scene) -> None:
    scene.line("good", "task", "reverting", task="a")
    scene.line("good", "state", "running", data={"epoch": 2})
    scene.line("good", "task", "reverted", task="a")


def a_posting_of_a_job_at_rest(scene: Scene) -> None:
    now = scene.database.now()
    times = {"created_at": now, "modified_at": now}
    scene.add(postings, "good", uuid="u", board="b", name="f", priority=2, details={}, **times)


def a_due_job_off_the_board(scene: Scene) -> None:
    scene.change(jobs, "good", state="pending", finished_at=None)


def too_many_claims(scene: Scene) -> None:
    scene.change(jobs, "good", claims=8)


def claims_under_which_it_ran_on_and_on(scene: Scene) -> None:
    scene.change(jobs, "good", claims=9)
    for epoch in range(2, 11):
        scene.line("good", "state", "running", data={"epoch": epoch})
        scene.line("good", "task", "running", task="c")


def claims_that_were_not_counted(scene: Scene) -> None:
    scene.change(jobs, "good", claims=0)
    scene.line("good", "state", "running", data={"epoch": 2})
    scene.line("good", "state", "running", data={"epoch": 3})


def a_take_over_without_a_crash(scene: Scene) -> None:
    scene.line("good", "state", "running", data={"epoch": 2})
    scene.line("good", "state", "running", data={"epoch": 3})


def an_attempt_that_nobody_began(scene: Scene) -> None:
    scene.change(jobs, "bad", attempt=3)


def two_retries_for_one_request(scene: Scene) -> None:
    scene.requests.remove(next(asked for asked in scene.requests if asked.kind == "retry"))


def a_cancel_by_an_old_signal(scene: Scene) -> None:
    scene.requests.remove(Request("cancel", scene.jobs["stopped"], attempt=2))


def a_cancel_that_no_one_asked_for(scene: Scene) -> None:
    scene.change(events, "stopped", events.c.state == "cancelling", by=None)


def one_execution_too_many(scene: Scene) -> None:
    scene.did("bad", What.EXECUTE, "c")


def a_start_after_its_successor(scene: Scene) -> None:
    scene.did("good", What.EXECUTE, "b")


def a_thing_that_is_left(scene: Scene) -> None:
    scene.effects.thing(scene.jobs["stopped"], 1, "a").write_text("1")


def a_task_that_was_not_reverted(scene: Scene) -> None:
    scene.forget("bad", What.REVERTED, "a")


def a_completed_job_without_its_thing(scene: Scene) -> None:
    scene.effects.thing(scene.jobs["good"], 1, "b").unlink()


def a_completed_job_that_was_reverted(scene: Scene) -> None:
    scene.did("good", What.REVERT, "c")


def an_atom_of_another_mind(scene: Scene) -> None:
    scene._write(sa.update(ATOMS).where(ATOMS.c.name == "b").values(state="SUCCESS"))


DOCTORED: dict[Callable[[Scene], None], str] = {
    a_post_without_record: "I1 posts_give_one_record",
    a_record_no_one_asked_for: "I1 posts_give_one_record",
    two_jobs_of_one_key: "I2 a_key_gives_one_job",
    a_key_answered_with_another_job: "I2 a_key_gives_one_job",
    a_job_left_running: "I1, I4 comes_to_rest",
    an_owner_of_a_job_at_rest: "I1, I4 comes_to_rest",
    a_cancel_that_came_to_nothing: "I3 cancels_end_in_cancelled",
    a_cancel_that_ended_revert_failed_for_nothing: "I3 cancels_end_in_cancelled",
    a_step_that_is_not_in_the_table: "I5 history_is_a_path",
    a_state_without_history: "I5 history_is_a_path",
    an_attempt_without_end: "I5 attempts_end_once",
    an_attempt_too_many: "I5 attempts_end_once",
    an_attempt_that_ends_twice: "I5 attempts_end_once",
    a_claim_without_its_epoch: "I6 epochs_rise",
    two_claims_with_one_epoch: "I6 epochs_rise",
    a_task_that_succeeds_twice: "I6 lines_of_tasks_are_paths",
    an_end_that_another_claim_saw: "I6 ends_are_told_by_who_saw_them",
    a_posting_of_a_job_at_rest: "I7 at_rest_means_off_the_board",
    a_due_job_off_the_board: "I7 at_rest_means_off_the_board",
    too_many_claims: "I9 claims_are_bounded",
    claims_under_which_it_ran_on_and_on: "I9 claims_are_bounded",
    claims_that_were_not_counted: "I9 claims_are_bounded",
    a_take_over_without_a_crash: "I9 claims_are_bounded",
    an_attempt_that_nobody_began: "I11 a_retry_gives_one_attempt",
    two_retries_for_one_request: "I11 a_retry_gives_one_attempt",
    a_cancel_by_an_old_signal: "I12 old_signals_cancel_nothing",
    a_cancel_that_no_one_asked_for: "I12 old_signals_cancel_nothing",
    one_execution_too_many: "I8 executions_are_few",
    a_start_after_its_successor: "I8 none_starts_after_its_successor",
    a_thing_that_is_left: "I10 undone_means_nothing_is_left",
    a_task_that_was_not_reverted: "I10 undone_means_nothing_is_left",
    a_completed_job_without_its_thing: "completed_means_all_is_there",
    a_completed_job_that_was_reverted: "completed_means_all_is_there",
    an_atom_of_another_mind: "atoms_agree",
}
