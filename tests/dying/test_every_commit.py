"""A conductor dies at its k-th commit, just before it or just after, and another goes on: no rule is broken.

The ordinary run takes a sample, which is repeated with its seed: `COUNTERMAND_CHAOS_SEED=12345`. All commits are
tried, for as long as asked with two deaths in a row, by `dev.py test --chaos 30m tests/dying`.
"""

from __future__ import annotations

import itertools
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.dying.plays import PLAYS
from tests.dying.stage import Death, Nursery, Stage, stage
from tests.emptied import emptied
from tests.servers import PostgreSQL, ZooKeeper

ONE_DEATH, TWO_DEATHS = 2, 1  # of each sample


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
        yield nursery


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, _postgresql_template: str) -> str:
    return emptied(postgresql, _postgresql_template)


@pytest.fixture
def sql(nursery: Nursery, database_url: str, tmp_path: Path) -> Iterator[Stage]:
    with stage(nursery, tmp_path, database_url) as made:
        yield made


@pytest.fixture
def elsewhere(nursery: Nursery, sqlite_url: str, zookeeper: ZooKeeper, tmp_path: Path) -> Iterator[Stage]:
    """The board is on a ZooKeeper, the records are on SQLite."""
    with stage(nursery, tmp_path, sqlite_url, f"zookeeper://{zookeeper.hosts}/{uuid4()}") as made:
        yield made


@pytest.fixture
def choose(chaos_seed: str | None, request: pytest.FixtureRequest) -> random.Random:
    seed = chaos_seed or str(secrets.randbelow(1_000_000))
    print(f"seed {seed}")  # shown when the test fails, and with -s
    return random.Random(f"{seed} {request.node.name}")


def deaths(choose: random.Random, commits: int, times: int) -> list[Death]:
    return [Death(choose.randint(1, commits), choose.choice([False, True])) for _ in range(times)]


# Samples


@pytest.mark.parametrize("name", PLAYS)
def test_a_sample_of_deaths(sql: Stage, name: str, choose: random.Random) -> None:
    commits = sql.commits(name)
    for times in (*[1] * ONE_DEATH, *[2] * TWO_DEATHS):
        sql.play(name, *deaths(choose, commits, times))


@pytest.mark.parametrize("name", PLAYS)
def test_a_sample_of_deaths_with_a_board_elsewhere(elsewhere: Stage, name: str, choose: random.Random) -> None:
    elsewhere.play(name, *deaths(choose, elsewhere.commits(name), 1))


# All of them


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", PLAYS)
def test_every_death(sql: Stage, name: str, after: bool, chaos_s: float) -> None:
    die_at_every_commit(sql, name, after=after)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", PLAYS)
def test_every_death_with_a_board_elsewhere(elsewhere: Stage, name: str, after: bool, chaos_s: float) -> None:
    die_at_every_commit(elsewhere, name, after=after)


def die_at_every_commit(where: Stage, name: str, *, after: bool) -> None:
    """Until the job ends before that commit comes."""
    commits = where.commits(name)
    for at in itertools.count(1):
        if not where.play(name, Death(at, after)):
            break
    assert at > commits / 2, f"of {commits} commits, {at} were tried"


@pytest.mark.chaos
@pytest.mark.timeout(0)
def test_two_deaths_in_a_row_for_as_long_as_asked(sql: Stage, choose: random.Random, chaos_s: float) -> None:
    commits = {name: sql.commits(name) for name in PLAYS}
    ends_s = time.monotonic() + chaos_s / 4  # others want their time, too
    while time.monotonic() < ends_s:
        name = choose.choice(list(PLAYS))
        sql.play(name, *deaths(choose, commits[name], 2))
