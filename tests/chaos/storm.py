"""One chaos run: faults and requests for a while, then calm, then every rule is checked."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jobboard import history
from jobboard.database import Database
from jobboard.dispatch.opening import open_dispatch
from jobboard.models import HistoryLine
from jobboard.states import AT_REST, State
from poster import Client
from tests.chaos.journal import Journal
from tests.chaos.monkey import carry_out, plan
from tests.chaos.posters import Asked, Poster, end_long_ones
from tests.chaos.site import LEASE_S, Site
from tests.rules.checker import broken_rules, jobs_on
from tests.rules.story import FlowFacts
from tests.waiting import until

_POSTERS: Final = ("ann", "bob")
_BUSY_S: Final = 60.0  # what a busy machine may add
_REST_S: Final = 2 * LEASE_S + 1.0 + 5.0 + _BUSY_S  # leases, poll, tasks
_LOG: Final = 5000  # the last characters of a conductor's log
_JOB: Final = re.compile(r"\b01[0-9a-z]{24}\b")
KINDS: Final = (history.STATE, history.TASK, history.LOG)
FACTS: Final = {
    "chaos_linear": FlowFacts(order=("one", "two", "three")),
    "chaos_controlled": FlowFacts(tries=20),
    "chaos_failing": FlowFacts(order=("one", "two", "three")),
    "chaos_retried": FlowFacts(order=("one", "two", "three")),
    "chaos_kept": FlowFacts(order=("one", "two", "three")),
    "chaos_long": FlowFacts(order=("one", "two", "three")),
    "chaos_stuck": FlowFacts(order=("one", "two", "three")),
    "chaos_awaiting": FlowFacts(order=("one", "two")),
}


def storm(backend: str, folder: Path, seed: str, for_s: float) -> None:
    """Raises `AssertionError` with the seed, all that was done, and what is wrong."""
    journal = Journal()
    asked = Asked(journal)
    with Site(backend, folder) as site:
        with posters(site, asked, seed):
            carry_out(plan(site.faults, random.Random(f"{seed} faults"), for_s), journal)
        journal.note("calm")
        wrong = [*calm_down(site, asked), *asked.wrong]
        if wrong:
            print(told(site, journal, wrong))
            raise AssertionError("\n".join([*wrong, f"seed {seed}, {backend}, {for_s:.0f} s"]))


@contextlib.contextmanager
def posters(site: Site, asked: Asked, seed: str) -> Iterator[None]:
    """At work for as long as the block is."""
    effects = str(site.effects.folder)
    found = [Poster(n, site.settings, effects, asked, random.Random(f"{seed} {n}")) for n in _POSTERS]
    for poster in found:
        poster.start()
    try:
        yield
    finally:
        for poster in found:
            poster.stop()


def calm_down(site: Site, asked: Asked) -> list[str]:
    """No fault is left: all comes to rest, and what is wrong then."""
    with Client.open(site.settings, by="the end") as client:
        end_long_ones(client, asked)
        restless = rest(client)
    wrong = [f"not at rest after {_REST_S:.0f} s: {restless}"] if restless else []
    for berth in site.berths:
        berth.look()
        berth.terminate()
    for berth in site.berths:
        if not berth.see_off(_BUSY_S):
            wrong.append(f"{berth.conductor.name} did not end")
        wrong += berth.wrong
    return wrong + broken(site, asked)


def rest(client: Client) -> list[str]:
    """Wait until all jobs are at rest; those that are not in time."""

    def moving() -> list[str]:
        return list(client.matching(states=set(State) - AT_REST))

    with contextlib.suppress(AssertionError):
        until(lambda: not moving(), _REST_S)
    return [f"{job} {client.get(job).state}" for job in moving()]


def broken(site: Site, asked: Asked) -> list[str]:
    """The rules that do not hold."""
    frozen = set().union(*(berth.frozen for berth in site.berths))
    with site.database() as database:
        return broken_rules(
            database,
            effects=site.effects,
            requests=asked.requests,
            flows=FACTS,
            frozen=frozen,
            on_board=on_board(site, database),
            max_claims=site.settings.max_claims,
        )


def on_board(site: Site, database: Database) -> list[str] | None:
    """The jobs of the postings on a board that is not in the database."""
    if site.settings.board_kind == "sql":
        return None
    with contextlib.closing(open_dispatch(database, site.settings)) as dispatch:
        dispatch.open()
        return jobs_on(dispatch.board)


def told(site: Site, journal: Journal, wrong: list[str]) -> str:
    """All that is known of a run that failed."""
    logs = [(conductor.name, conductor.log) for berth in site.berths for conductor in berth.conductors]
    parts = [f"--- {name}\n{log[-_LOG:]}" for name, log in logs]
    parts.append(f"--- requests and faults\n{journal}")
    with site.database() as database:
        for job in sorted(set(_JOB.findall("\n".join(wrong)))):
            parts.append(f"--- job {job}")
            parts += [shown(line) for line in history.read(database, job, kinds=KINDS)]
            parts += [str(effect) for effect in site.effects.read() if effect.job == job]
    return "\n".join(parts)


def shown(line: HistoryLine) -> str:
    """A line of a job's history."""
    words = (line.seq, line.at.timestamp(), line.attempt, line.task, line.state, line.by, line.message, line.data)
    return " ".join(str(word) for word in words if word is not None)
