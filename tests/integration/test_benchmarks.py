"""Each measurement of the benchmarks gives what it promises; how fast it was is not looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import sqlalchemy as sa

from benchmarks import countermand_system
from benchmarks.__main__ import PARTS, Run, as_json, measure
from benchmarks.conditions import conditions
from benchmarks.filling import fill
from benchmarks.lab import Lab
from benchmarks.place import Place
from benchmarks.sizes import QUICK
from benchmarks.systems import SYSTEMS, System, named
from jobboard.database import open_database
from jobboard.dispatch.opening import open_records
from jobboard.schema import attempts, events, jobs, postings
from jobboard.states import State
from tests.servers import PostgreSQL, Redis, ZooKeeper
from tests.servers.required import require

pytestmark = pytest.mark.xdist_group("benchmarks")

TINY = replace(
    QUICK,
    rounds=1,
    conductors=(1, 2),
    scaling_jobs=6,
    posted=5,
    starts=2,
    cancels=1,
    fleet_jobs=4,
    growth_databases=("sqlite",),
    small=3,
    large=12,
    growth_jobs=4,
    growth_warm_up=2,
    memory_jobs=20,
    streams=5,
    requests_per_s=20,
    serving_warm_up_s=0.5,
    serving_s=1.0,
    commands=1,
)
LITE = "countermand-sqlite"
FOUND = {
    "conductors": ["conductors:1", "conductors:2"],
    "post": [f"posted:{LITE}"],
    "cancel": ["cancel:sqlite", "checkpoint", "fleet:sqlite"],
    "memory": ["memory:idle", "memory:busy", "memory:growth"],
    "http": [f"http:{LITE}", *(f"http:{what}:{LITE}" for what in ("events", "memory", "growth", "stop"))],
    "commands": ["help"],
    "growth": [
        *(f"{kind}-{size}:{LITE}" for kind in ("backlog", "history") for size in ("small", "large")),
        f"list:{LITE}",
    ],
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for server in (PostgreSQL, ZooKeeper, Redis):
        require(server)
    with Lab() as lab:
        yield lab


def few(system: System) -> System:
    return replace(system, quick_jobs=4)


@pytest.mark.parametrize("part", FOUND)
def test_a_part_gives_its_figures(lab, part):
    run = Run(TINY)
    measure(lab, run, [part], named("countermand-postgresql" if part == "conductors" else LITE))
    assert not run.failed
    assert {*run.figures} == {*FOUND[part]}
    grown = ("memory:growth", f"http:growth:{LITE}")
    assert all(value > 0 for key, one in run.figures.items() for value in one.values if key not in grown)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.key)
def test_a_system_drains_and_starts_jobs(lab, system):
    if system.missing:
        pytest.skip(system.missing)
    run = Run(TINY)
    measure(lab, run, ["systems"], [few(system)])
    assert not run.failed
    assert {key: len(one.values) for key, one in run.figures.items()} == {
        f"drained:{system.key}": 1,
        f"cpu:{system.key}": 1,
        f"start:{system.key}": TINY.starts,
    }
    assert all(value > 0 for one in run.figures.values() for value in one.values)
    told = json.loads(json.dumps(as_json(run, conditions(lab.versions))))
    assert [one["key"] for one in told["figures"]] == [*run.figures]


def test_every_part_is_tested():
    assert {*PARTS} == {"systems", *FOUND}


def test_a_part_that_fails_does_not_cost_what_the_others_found(lab):
    run = Run(TINY)
    absurd = replace(few(*named(LITE)), module="benchmarks.no_such_system")
    measure(lab, run, ["systems", "commands"], [absurd])
    assert "no_such_system" in run.failed["systems"]
    assert {*run.figures} == {"help"}


@pytest.fixture
def posted(database_url: str) -> tuple[Place, str]:
    """A place with one job, which waits."""
    place = Place(database_url)
    countermand_system.post(place, 1)
    with closing(open_database(database_url)) as database, database.read() as connection:
        return place, connection.execute(sa.select(jobs.c.id)).scalar_one()


def test_copies_of_a_job_that_waits_are_jobs_that_run(posted):
    place, job = posted
    with closing(open_database(place.database_url)) as database:
        fill(database, job, 7)
    countermand_system.drain(place, 8)
    assert countermand_system.completed(place) == 8


def test_copies_of_a_finished_job_have_all_that_it_has(posted):
    place, job = posted
    countermand_system.drain(place, 1)
    with closing(open_database(place.database_url)) as database:
        with database.read() as connection:
            before = {table: _count(connection, table) for table in (jobs, attempts, events, postings)}
        fill(database, job, 7)
        records = open_records(database, countermand_system.settings_of(place))
        shown = records.list(states=[State.COMPLETED])
        with database.read() as connection:
            after = {table: _count(connection, table) for table in before}
    assert after == {table: 8 * number for table, number in before.items()}
    assert len({one.id for one in shown}) == 8
    assert not records.malformed
    assert {tuple(task.state for task in one.tasks) for one in shown} == {("success",) * 3}


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
