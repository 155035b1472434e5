"""The hours of a day: which there are, and what is counted in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobboard.hours import first_hour, hours_from
from jobboard.models import Hour
from poster.job_json import hour_document

NOW = datetime(2026, 1, 31, 12, 34, 56, 789, UTC)


def test_the_last_hour_is_the_one_that_has_begun():
    assert first_hour(NOW) + timedelta(hours=23) == datetime(2026, 1, 31, 12, tzinfo=UTC)
    exactly = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert first_hour(exactly) == first_hour(NOW)
    assert first_hour(exactly - timedelta(microseconds=1)) == first_hour(NOW) - timedelta(hours=1)


def test_each_hour_is_there_once_and_in_order():
    hours = hours_from(first_hour(NOW), {}, {})
    begins = [hour.begins_at for hour in hours]
    assert begins == [first_hour(NOW) + timedelta(hours=number) for number in range(24)]
    assert hours == [Hour(begin, 0, 0, 0, 0, 0) for begin in begins]


def test_what_is_counted_is_in_its_hour():
    ended = {
        ("2026-01-31 12", "completed"): 3,
        ("2026-01-31 12", "failed"): 2,
        ("2026-01-30 13", "cancelled"): 1,
        ("2026-01-30 13", "revert_failed"): 4,
    }
    hours = hours_from(first_hour(NOW), {"2026-01-30 23": 7}, ended)
    assert hours[0] == Hour(first_hour(NOW), 0, 0, 0, cancelled=1, revert_failed=4)
    assert hours[-1] == Hour(
        datetime(2026, 1, 31, 12, tzinfo=UTC), 0, completed=3, failed=2, cancelled=0, revert_failed=0
    )
    assert [hour.begins_at.hour for hour in hours if hour.posted == 7] == [23]


def test_what_is_of_no_hour_or_state_is_left_out():
    hours = hours_from(first_hour(NOW), {"nonsense": 7}, {("2026-01-31 12", "nonsense"): 7, ("x", "completed"): 7})
    assert hours == hours_from(first_hour(NOW), {}, {})


def test_the_document():
    assert hour_document(Hour(NOW.replace(minute=0, second=0, microsecond=0), 1, 2, 3, 4, 5)) == {
        "from": "2026-01-31T12:00:00.000000Z",
        "completed": 2,
        "failed": 3,
        "cancelled": 4,
        "revert_failed": 5,
        "posted": 1,
    }
