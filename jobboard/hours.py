"""How many jobs were posted, and how many ended, hour by hour.

Counted are the jobs that are stored, as they are now: not what was removed, and one that was retried only where it
ended last.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.ids import SKEW, first_id
from jobboard.models import Hour
from jobboard.schema import jobs
from jobboard.states import State

_HOUR: Final = timedelta(hours=1)
_HOURS: Final = 24
_KEY: Final = "%Y-%m-%d %H"  # as both databases are asked to write the hour of a moment

Posted = Mapping[str, int]
"""How many, by the key of an hour."""

Ended = Mapping[tuple[str, str], int]
"""How many, by the key of an hour and the state."""


def last_day(database: Database) -> list[Hour]:
    """24 hours of UTC, the oldest first; the last one has begun, and is not over.

    Costs the more, the more jobs there are of this day; not of all.
    """
    first = first_hour(database.now())
    posted_in, ended_in = (_hour(database, column) for column in (jobs.c.posted_at, jobs.c.finished_at))
    number = sa.func.count().label("number")
    # An id holds the time, by its poster's clock.
    new = sa.and_(jobs.c.id >= first_id(first, SKEW), jobs.c.posted_at >= first)
    posted = sa.select(posted_in, number).where(new).group_by("hour")
    over = jobs.c.finished_at >= first
    ended = sa.select(ended_in, jobs.c.state, number).where(over).group_by("hour", jobs.c.state)
    with database.read() as connection:
        of_posted = {row.hour: row.number for row in connection.execute(posted)}
        of_ended = {(row.hour, row.state): row.number for row in connection.execute(ended)}
    return hours_from(first, of_posted, of_ended)


def first_hour(now: datetime) -> datetime:
    """The beginning of the first of the 24 hours of which the last has begun."""
    return now.replace(minute=0, second=0, microsecond=0) - (_HOURS - 1) * _HOUR


def hours_from(first: datetime, posted: Posted, ended: Ended) -> list[Hour]:
    """The hours from `first` on. What is not of one of them, or in none of their states, is left out."""
    hours = [first + number * _HOUR for number in range(_HOURS)]
    return [_counted(hour, posted, ended) for hour in hours]


def _counted(hour: datetime, posted: Posted, ended: Ended) -> Hour:
    key = hour.strftime(_KEY)

    def count(state: State) -> int:
        return ended.get((key, str(state)), 0)

    return Hour(
        begins_at=hour,
        posted=posted.get(key, 0),
        completed=count(State.COMPLETED),
        failed=count(State.FAILED),
        cancelled=count(State.CANCELLED),
        revert_failed=count(State.REVERT_FAILED),
    )


def _hour(database: Database, moment: sa.ColumnElement[Any]) -> sa.Label[str]:
    """The key of the hour of UTC in which a moment is, as `hour`. Of a malformed one it is none of ours."""
    if database.dialect == "postgresql":
        key = sa.func.to_char(sa.func.timezone("UTC", moment), "YYYY-MM-DD HH24", type_=sa.String)
    else:
        key = sa.func.substr(moment, 1, len("2026-01-31 12"), type_=sa.String)
    return key.label("hour")
