"""The rules that are seen in what was done to the world, and in TaskFlow's atoms. See `checker`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from taskflow import states

from jobboard.states import AT_REST, ENDED, State
from jobboard.task_view import SEAL
from tests.rules.effects import Effect, What
from tests.rules.story import Known, Story, goes_on, is_claim

_SHOWN_AS = {
    states.PENDING: {"pending"},
    states.RUNNING: {"running"},
    states.SUCCESS: {"success"},
    states.FAILURE: {"failure", "pending"},  # pending: stopped before it did anything
    states.REVERTING: {"reverting", "pending"},
    states.REVERTED: {"reverted", "pending"},
    states.REVERT_FAILURE: {"revert_failure"},
}
_SEEN_AS = {"success": What.EXECUTED, "reverted": What.REVERTED}
_NOT_UNDONE = {states.RUNNING, states.SUCCESS, states.FAILURE, states.REVERTING}


def ends_are_told_by_who_saw_them(_known: Known, story: Story) -> Iterator[str]:
    """I6: nothing is written under a stale epoch: a task's end is told under the claim that brought it about."""
    seen = {(effect.epoch, effect.task, effect.what) for effect in story.effects}
    tasks = {effect.task for effect in story.effects}
    epochs = {line.seq: (line.data or {})["epoch"] for line in story.claims}
    for line in story.task_lines:
        epoch = max((epoch for seq, epoch in epochs.items() if seq < line.seq), default=0)
        end = _SEEN_AS.get(line.state or "")
        if end and line.task in tasks and (epoch, line.task, end) not in seen:
            yield f"task {line.task} is called {line.state} under epoch {epoch}, which did not see it end so"


def executions_are_few(known: Known, story: Story) -> Iterator[str]:
    """I8: a task's executions in an attempt are at most 1 + the crashes of its conductors.

    And what its retry controllers allow, and the retries of a job that kept its results.
    """
    done = Counter((effect.attempt, effect.task) for effect in story.effects if effect.what is What.EXECUTE)
    for (attempt, task), times in done.items():
        again = sum(after.attempt == attempt for before, after in story.moves if goes_on(before, after))
        # Each claim but the first may be a take-over.
        handed_over = sum(line.attempt == attempt for line in story.claims) - 1
        crashed = handed_over if known.crashes is None else min(handed_over, known.crashes)
        if times > story.flow.tries + again + crashed:
            yield (
                f"task {task} was executed {times} times in attempt {attempt}: "
                f"{crashed} crashes, {story.flow.tries} tries, {again} retries of what was kept"
            )


def none_starts_after_its_successor(known: Known, story: Story) -> Iterator[str]:
    """I8: none starts after its successor finished, as long as that is not reverted."""
    order = {task: place for place, task in enumerate(story.flow.order)}
    standing: set[tuple[int, str]] = set()  # finished, not reverted
    for effect in _of_conductors_in_office(known, story):
        if effect.what is What.EXECUTED:
            standing.add((effect.attempt, effect.task))
        elif effect.what is What.REVERT:
            standing.discard((effect.attempt, effect.task))
        elif effect.what is What.EXECUTE and effect.task in order:
            later = [
                task
                for attempt, task in standing
                if attempt == effect.attempt and order.get(task, -1) > order[effect.task]
            ]
            if later:
                yield f"task {effect.task} started in attempt {effect.attempt} after {sorted(later)} had finished"


def undone_means_nothing_is_left(known: Known, story: Story) -> Iterator[str]:
    """I10: cancelled, or failed without keeping, means every task that began was reverted, nested ones too."""
    last: dict[tuple[int, str], Effect] = {}
    for effect in _of_conductors_in_office(known, story):
        last[effect.attempt, effect.task] = effect
    for attempt in _undone_attempts(story):
        for (number, task), effect in last.items():
            if number == attempt and effect.what is not What.REVERTED:
                yield f"attempt {attempt} was undone, and of task {task} the last that was heard is {effect.what}"
        for (number, task), pid in story.things.items():
            if number == attempt and pid not in known.frozen:
                yield f"attempt {attempt} was undone, and the thing that task {task} made is still there"


def _of_conductors_in_office(known: Known, story: Story) -> Iterator[Effect]:
    """Without what a process did that was frozen until its claim had passed on: no one can keep it from that."""
    ends = {effect.epoch: _end_of_claim(story, effect.epoch) for effect in story.effects}
    return (effect for effect in story.effects if effect.pid not in known.frozen or effect.at < ends[effect.epoch])


def _end_of_claim(story: Story, epoch: int) -> float:
    """When the job came to rest, was handed back or claimed again after this claim."""
    holds = False
    for line in story.path:
        if holds and (is_claim(line) or line.state in AT_REST or line.state == State.PENDING):
            return line.at.timestamp()
        holds = holds or (is_claim(line) and (line.data or {})["epoch"] == epoch)
    return math.inf


def _undone_attempts(story: Story) -> Iterator[int]:
    for row in story.attempts:
        current = row["number"] == story.record["attempt"]
        ended = str(story.state) if current else row["outcome"]
        kept = current and story.record["kept"]
        if ended in (State.CANCELLED, State.FAILED) and not kept:
            yield row["number"]


def completed_means_all_is_there(known: Known, story: Story) -> Iterator[str]:
    """Completed means that what its tasks made is there, and nothing was reverted last."""
    if story.state is not State.COMPLETED or not story.effects:
        return
    attempt = story.record["attempt"]
    last = {effect.task: effect for effect in _of_conductors_in_office(known, story) if effect.attempt == attempt}
    for task, effect in last.items():
        if effect.what is not What.EXECUTED:
            yield f"is completed, and of task {task} the last that was heard is {effect.what}"
        if (attempt, task) not in story.things:
            yield f"is completed, and the thing that task {task} made is gone"


def atoms_agree(_known: Known, story: Story) -> Iterator[str]:
    """What TaskFlow stored of a job that has ended says the same as its record."""
    if story.state not in ENDED or not story.atoms:
        return
    shown = {task.name: task.state for task in story.tasks}
    for name, state in story.atoms.items():
        if name in shown and shown[name] not in _SHOWN_AS.get(state, {"pending"}):
            yield f"shows task {name} as {shown[name]}, and TaskFlow has it as {state}"
    wrong = {}
    if story.state is State.COMPLETED:
        wrong = {name: shown[name] for name in shown if story.atoms.get(name) != states.SUCCESS}
    elif story.state is not State.REVERT_FAILED and not story.record["kept"]:
        wrong = {name: state for name, state in story.atoms.items() if state in _NOT_UNDONE and name != SEAL}
    if wrong:
        yield f"is {story.state}, and TaskFlow's atoms say {wrong}"
