"""The jobs under which conductors die: one of each kind of end."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskflow import retry
from taskflow.patterns import linear_flow, unordered_flow

from flows import flow
from flows.registry import Registry
from jobboard.database import open_database
from jobboard.dispatch.opening import open_records
from jobboard.settings import read_settings
from jobboard.states import State
from tests.rules.effects import Effects, Mark, What
from tests.rules.story import FlowFacts

REGISTRY = Registry()


class Fails(Mark):
    def work(self) -> None:
        raise ValueError("boom")


class Exits(Mark):
    """An error that is no `Exception`, with which neither engine nor conductor ends."""

    def work(self) -> None:
        sys.exit(3)


class FailsAtFirst(Mark):
    """Until it has been reverted once, whoever runs it."""

    def execute(self, effects: str) -> str:
        mine = [effect for effect in Effects(Path(effects)).read() if effect.job == self.job]
        self.again = (What.REVERTED, self.name) in [(effect.what, effect.task) for effect in mine]
        return super().execute(effects)

    def work(self) -> None:
        if not self.again:
            raise ValueError("boom")


class Cancels(Mark):
    """Has its own job cancelled, as a poster would, and waits for the interruption."""

    def work(self) -> None:
        settings = read_settings(os.environ)
        with closing(open_database(settings.database_url)) as database:
            open_records(database, settings).cancel(self.job, by="bob", reason="enough")
        self.sleep(60)
        raise AssertionError("no one interrupted it")


@flow("succeeds", registry=REGISTRY)
def succeeds(effects: str) -> Any:
    return linear_flow.Flow("succeeds").add(Mark("a"), Mark("b"), Mark("c"))


@flow("fails", registry=REGISTRY)
def fails(effects: str) -> Any:
    return linear_flow.Flow("fails").add(Mark("a"), Mark("b"), Fails("c"))


@flow("exits", registry=REGISTRY)
def exits(effects: str) -> Any:
    return linear_flow.Flow("exits").add(Mark("a"), Exits("b"))


@flow("cancelled", registry=REGISTRY)
def cancelled(effects: str) -> Any:
    return linear_flow.Flow("cancelled").add(Mark("a"), Cancels("b"), Mark("c"))


@flow("tries_again", registry=REGISTRY)
def tries_again(effects: str) -> Any:
    steps = Mark("a"), FailsAtFirst("b"), Mark("c")
    return linear_flow.Flow("tries_again", retry=retry.Times(3, name="controller")).add(*steps)


@flow("nested", registry=REGISTRY, engine="parallel")
def nested(effects: str) -> Any:
    inner = linear_flow.Flow("inner").add(Mark("c"), Mark("d"))
    beside = unordered_flow.Flow("beside").add(Mark("b"), inner)
    return linear_flow.Flow("nested").add(Mark("a"), beside, Fails("e"))


@dataclass(frozen=True)
class Play:
    """How a flow's job ends, whatever dies."""

    ends: State
    facts: FlowFacts
    cancels: bool = False


PLAYS = {
    "succeeds": Play(State.COMPLETED, FlowFacts(("a", "b", "c"))),
    "fails": Play(State.FAILED, FlowFacts(("a", "b", "c"))),
    "exits": Play(State.FAILED, FlowFacts(("a", "b"))),
    "cancelled": Play(State.CANCELLED, FlowFacts(("a", "b", "c")), cancels=True),
    "tries_again": Play(State.COMPLETED, FlowFacts(("a", "b", "c"), tries=2)),
    "nested": Play(State.FAILED, FlowFacts(("a", "c", "d", "e"))),
}
