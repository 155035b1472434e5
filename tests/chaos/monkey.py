"""Breaks things by a plan that a seeded generator made: the same seed gives the same plan."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults import Fault
from tests.chaos.journal import Journal

_PAUSE_S: Final = (0.3, 1.5)


@dataclass(frozen=True)
class Step:
    """A fault, and when it is at work: seconds since the plan began."""

    from_s: float
    to_s: float
    fault: Fault


def plan(faults: Sequence[Fault], chance: random.Random, for_s: float) -> list[Step]:
    """Faults for so long. Each target is as likely as the next, and suffers one fault at a time."""
    steps: list[Step] = []
    busy: dict[str, float] = {}
    at = chance.uniform(*_PAUSE_S)
    while at < for_s:
        free = sorted({fault.target for fault in faults if busy.get(fault.target, 0.0) <= at})
        if free:
            target = chance.choice(free)
            fault = chance.choice([fault for fault in faults if fault.target == target])
            step = Step(at, at + chance.uniform(*fault.lasts_s), fault)
            busy[target] = step.to_s
            steps.append(step)
        at += chance.uniform(*_PAUSE_S)
    return steps


def carry_out(steps: Sequence[Step], journal: Journal) -> None:
    """Have the faults begin and end in their turn. Blocks; all have ended when it returns, also if one failed."""
    began = time.monotonic()
    order = itertools.count()
    # An end goes before a beginning at the same moment.
    due = [(step.from_s, 1, next(order), step) for step in steps]
    heapq.heapify(due)
    try:
        while due:
            at, is_beginning, _, step = heapq.heappop(due)
            time.sleep(max(0.0, began + at - time.monotonic()))
            if is_beginning:
                heapq.heappush(due, (step.to_s, 0, next(order), step))
                journal.note(f"{step.fault} begins")
                step.fault.begin()
            else:
                step.fault.end()
                journal.note(f"{step.fault} has ended")
    finally:
        for _, is_beginning, _, step in due:
            if not is_beginning:
                step.fault.end()
