"""The last day on real databases: each job is counted in the hour of UTC in which it was posted, and ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from jobboard import hours
from jobboard.ids import first_id
from jobboard.models import Hour
from jobboard.schema import jobs
from jobboard.states import State
from poster import Client
from tests.http.served import Served
from tests.integration.house import House

S = State
Put = Callable[..., None]


@pytest.fixture
def put(house: House) -> Put:
    """Makes a job that was posted, and ended, at these times."""
    numbers = iter(range(1000))

    def put(posted_at: datetime, state: State = S.PENDING, finished_at: datetime | None = None) -> None:
        job = house.post()
        own = first_id(posted_at, timedelta())[:-4] + f"{next(numbers):04}"
        with house.database.write() as connection:
            connection.execute(sa.text("DELETE FROM postings"))
            connection.execute(sa.text("DELETE FROM events"))
            connection.execute(sa.text("DELETE FROM attempts"))
            new = {"id": own, "posted_at": posted_at, "state": str(state), "finished_at": finished_at}
            connection.execute(sa.update(jobs).where(jobs.c.id == job).values(new))

    return put


@pytest.fixture
def now(house: House, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """A time that does not go on, so that no hour ends within a test."""
    now = house.database.now()
    monkeypatch.setattr(house.database, "now", lambda: now)
    return now


def counted(hour: Hour) -> dict[str, int]:
    """What there was in it."""
    names = ("posted", "completed", "failed", "cancelled", "revert_failed")
    return {name: count for name in names if (count := getattr(hour, name))}


def in_all(found: list[Hour]) -> dict[str, int]:
    """What there was in all of them."""
    return sum(map(Counter, map(counted, found)), Counter())


def test_an_empty_day(house: House):
    before = hours.first_hour(house.database.now())
    with Client.open(house.settings, registry=house.registry) as client:
        found = client.day()
    assert before <= found[0].begins_at <= hours.first_hour(house.database.now())
    assert len(found) == 24
    assert found == [Hour(one.begins_at, 0, 0, 0, 0, 0) for one in found]


def test_each_job_is_in_its_hours(house: House, put: Put, now: datetime):
    first = hours.first_hour(now)
    last = first + timedelta(hours=23)
    just = timedelta(microseconds=1)
    put(first - just, S.COMPLETED, first - just)  # a day too early
    put(first - just, S.COMPLETED, first)
    put(first, S.FAILED, first + timedelta(hours=1) - just)
    put(first + timedelta(hours=2), S.CANCELLED, first + timedelta(hours=2))
    put(first + timedelta(hours=2, minutes=59), S.REVERT_FAILED, last)
    put(last, S.COMPLETED, last)
    put(last, S.COMPLETED, last)
    put(last - just)  # waits
    found = dict(enumerate(map(counted, hours.last_day(house.database))))
    assert {number: hour for number, hour in found.items() if hour} == {
        0: {"posted": 1, "completed": 1, "failed": 1},
        2: {"posted": 2, "cancelled": 1},
        22: {"posted": 1},
        23: {"posted": 2, "completed": 2, "revert_failed": 1},
    }


def test_the_time_zone_of_the_session_is_of_no_matter(house: House, put: Put, now: datetime):
    if house.database.dialect == "postgresql":
        with house.database.write() as connection:
            name = house.database.engine.url.database
            connection.execute(sa.text(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Kathmandu'"))
        house.database.close()  # the next connection has it
    put(now, S.COMPLETED, now)
    assert counted(hours.last_day(house.database)[-1]) == {"posted": 1, "completed": 1}


def test_what_makes_no_sense_is_left_out(house: House, put: Put, now: datetime):
    put(now, S.COMPLETED, now + timedelta(days=3))
    put(now, S.COMPLETED, now)
    with house.database.write() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.finished_at == now).values(state="bogus"))
    put(now, S.COMPLETED, now)
    if house.database.dialect == "sqlite":
        with house.database.write() as connection:
            connection.execute(sa.text("UPDATE jobs SET finished_at = 'yesterday' WHERE state = 'bogus'"))
    assert in_all(hours.last_day(house.database)) == {"posted": 3, "completed": 1}


def test_a_job_that_ran(house: House):
    house.flow(lambda: [house.step("a")])
    house.run()
    house.records.cancel(house.post(), by="ann")
    assert in_all(hours.last_day(house.database)) == {"posted": 2, "completed": 1, "cancelled": 1}


def test_over_http(house: House):
    house.flow(lambda: [house.step("a")])
    house.post()
    with Served(house) as server:
        answered = server.http.get("/api/stats/day")
        schema = server.http.get("/api/openapi.json").json()["components"]["schemas"]["HourDocument"]
    assert answered.status_code == 200
    told = answered.json()
    assert [sorted(hour) for hour in told] == [sorted(schema["properties"])] * 24
    assert sum(hour["posted"] for hour in told) == 1
    assert [hour["from"] for hour in told] == sorted(hour["from"] for hour in told)
    assert told[-1]["from"].endswith(":00:00.000000Z")
