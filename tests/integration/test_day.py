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
from tests.integration.house import House
from tests.integration.http_server import served

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


def day(house: House) -> list[Hour]:
    with Client.open(house.settings, registry=house.registry) as client:
        return client.day()


def test_an_empty_day(house: House):
    found = day(house)
    assert len(found) == 24
    assert found[-1].begins_at <= house.database.now() < found[-1].begins_at + timedelta(hours=1)
    assert {(one.posted, one.completed, one.failed, one.cancelled, one.revert_failed) for one in found} == {(0,) * 5}


def test_each_job_is_in_its_hours(house: House, put: Put):
    first = hours.first_hour(house.database.now())
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
    counted = Counter[str]()
    for number, hour in enumerate(hours.last_day(house.database)):
        for what in ("posted", "completed", "failed", "cancelled", "revert_failed"):
            counted[f"{number} {what}"] += getattr(hour, what)
    assert +counted == {
        "0 completed": 1,
        "0 failed": 1,
        "0 posted": 1,
        "2 cancelled": 1,
        "2 posted": 2,
        "22 posted": 1,
        "23 revert_failed": 1,
        "23 completed": 2,
        "23 posted": 2,
    }


def test_the_time_zone_of_the_session_is_of_no_matter(house: House, put: Put):
    if house.database.dialect == "postgresql":
        with house.database.write() as connection:
            name = house.database.engine.url.database
            connection.execute(sa.text(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Kathmandu'"))
        house.database.close()  # the next connection has it
    now = house.database.now()
    put(now, S.COMPLETED, now)
    assert (day(house)[-1].posted, day(house)[-1].completed) == (1, 1)


def test_what_makes_no_sense_is_left_out(house: House, put: Put):
    now = house.database.now()
    put(now, S.COMPLETED, now + timedelta(days=3))
    put(now, S.COMPLETED, now)
    with house.database.write() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.finished_at == now).values(state="bogus"))
    put(now, S.COMPLETED, now)
    if house.database.dialect == "sqlite":
        with house.database.write() as connection:
            connection.execute(sa.text("UPDATE jobs SET finished_at = 'yesterday' WHERE state = 'bogus'"))
    assert sum(one.completed for one in day(house)) == 1


def test_a_job_that_ran(house: House):
    house.flow(lambda: [house.step("a")])
    house.run()
    house.records.cancel(house.post(), by="ann")
    last = day(house)[-1]
    assert (last.posted, last.completed, last.cancelled) == (2, 1, 1)


def test_over_http(house: House):
    house.flow(lambda: [house.step("a")])
    house.post()
    with served(house) as server:
        answered = server.http.get("/api/stats/day")
        schema = server.http.get("/api/openapi.json").json()["components"]["schemas"]["HourDocument"]
    assert answered.status_code == 200
    told = answered.json()
    assert [sorted(hour) for hour in told] == [sorted(schema["properties"])] * 24
    assert told[-1]["posted"] == 1
    assert [hour["from"] for hour in told] == sorted(hour["from"] for hour in told)
    assert told[-1]["from"].endswith(":00:00.000000Z")
