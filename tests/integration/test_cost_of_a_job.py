"""What a job costs the database: counted, since time cannot be measured in a test."""

from __future__ import annotations

import math
import threading
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from conductor import pace
from jobboard.database import Database, open_database
from jobboard.models import NewJob
from jobboard.states import State
from tests.integration.house import House
from tests.requests_seen import on_commits, on_statements

JOBS = 128
SLOTS = 8
_OF_JOBS = ("slot", "conductor")  # threads; the others do what they do whether there are jobs or not


@pytest.fixture
def counted(house: House, database_url: str) -> Any:
    with closing(open_database(database_url)) as database:
        house.conductors_database = database
        yield count(database)


def count(database: Database) -> Counter[str]:
    """What is done from now on for jobs."""
    done: Counter[str] = Counter()

    def committed(_commit: Any) -> None:
        if is_for_jobs():
            done["commits"] += 1

    def sent(statement: str) -> None:
        if is_for_jobs() and not statement.startswith("BEGIN"):
            done["requests"] += 1
            done["statements"] += len(statement.split(";\n"))

    on_commits(database, committed)
    on_statements(database, sent)
    return done


def is_for_jobs() -> bool:
    return threading.current_thread().name.startswith(_OF_JOBS)


def test_a_job_of_three_steps_costs_few_commits_and_statements(house: House, counted: Counter[str], monkeypatch):
    monkeypatch.setattr(pace, "SHORT_S", math.inf)  # these are, however slow the machine is
    house.flow(lambda: [house.step(name) for name in "abc"])
    posted = house.records.post([NewJob("f", {}) for _ in range(JOBS)], by="ann")
    house.drain(slots=SLOTS)
    assert house.records.count()["f"] == {State.COMPLETED: len(posted)}
    per_job = {what: number / JOBS for what, number in counted.items()}
    assert per_job["commits"] <= 4.5
    assert per_job["statements"] <= 20
    assert per_job["requests"] <= (5.5 if house.database.dialect == "postgresql" else 20)
