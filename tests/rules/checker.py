"""Checks the rules that hold whatever crashes, over everything that is stored and everything that was done.

Each rule is a function that yields what breaks it; its docstring begins with the rule's number. Those of
`WORLD_RULES` look at all jobs together, those of `JOB_RULES` at one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from jobboard.database import Database
from jobboard.settings import Settings
from tests.rules import effect_rules, record_rules
from tests.rules.effects import Effects
from tests.rules.story import FlowFacts, Known, Request, Story, read_stories

WorldRule = Callable[[Known], Iterator[str]]
JobRule = Callable[[Known, Story], Iterator[str]]

WORLD_RULES: Final[tuple[WorldRule, ...]] = (
    record_rules.posts_give_one_record,
    record_rules.a_key_gives_one_job,
)
JOB_RULES: Final[tuple[JobRule, ...]] = (
    record_rules.comes_to_rest,
    record_rules.cancels_end_in_cancelled,
    record_rules.history_is_a_path,
    record_rules.attempts_end_once,
    record_rules.epochs_rise,
    record_rules.lines_of_tasks_are_paths,
    record_rules.at_rest_means_off_the_board,
    record_rules.claims_are_bounded,
    record_rules.a_retry_gives_one_attempt,
    record_rules.old_signals_cancel_nothing,
    effect_rules.ends_are_told_by_who_saw_them,
    effect_rules.executions_are_few,
    effect_rules.none_starts_after_its_successor,
    effect_rules.undone_means_nothing_is_left,
    effect_rules.completed_means_all_is_there,
    effect_rules.atoms_agree,
)


def broken_rules(
    database: Database,
    *,
    effects: Effects | None = None,
    crashes: int | None = None,
    still_faulty: bool = False,
    requests: Sequence[Request] | None = None,
    flows: Mapping[str, FlowFacts] | None = None,
    frozen: Collection[int] = (),
    on_board: Sequence[str] | None = None,
    max_claims: int = Settings.max_claims,
) -> list[str]:
    """What breaks the rules, a line each; empty if all hold.

    `crashes`: how often a conductor died or lost its lease, at most, under any one job; None: not known.
    `still_faulty`: faults go on, so jobs need not have come to rest. `requests`: what was asked of the jobs and
    answered, all of it; None: not known. `flows`: their structures, by name. `frozen`: process ids of conductors
    that were stopped past their lease and woke again. `on_board`: for each posting of a board that is not in the
    database, the id of its job (`jobs_on` gives it).
    """
    stories = read_stories(
        database, effects=effects, requests=requests or (), flows=flows or {}, on_board=on_board
    )
    known = Known(requests, stories, database.now(), still_faulty, crashes, frozen, max_claims)
    broken = [f"{_number(rule)}: {said}" for rule in WORLD_RULES for said in rule(known)]
    for rule in JOB_RULES:
        for job, story in stories.items():
            broken += [
                f"{_number(rule)}: job {job} ({story.record['flow']}) {said}" for said in rule(known, story)
            ]
    return broken


def jobs_on(board: Any) -> list[str]:
    """The job of each posting on a connected TaskFlow board."""
    return [(posting.details or {}).get("job") for posting in board.iterjobs(ensure_fresh=True)]


def _number(rule: WorldRule | JobRule) -> str:
    said = rule.__doc__ or ""
    return f"{said.split(':')[0]} {rule.__name__}" if said.startswith("I") else rule.__name__
