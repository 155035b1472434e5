"""Finds, and mends, what crashes, lost replies and other hands left behind between records, boards and conductors.

Any live conductor does so now and then, a bounded batch at a time. Two at once do no harm: what one has mended
the other no longer finds, or finds locked and passes over.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import uuid4

import sqlalchemy as sa

from jobboard import history, signals
from jobboard.boards.session import any_dead
from jobboard.conductors import is_alive, is_long_dead, slots_of_live
from jobboard.database import Database
from jobboard.faults import CLAIMABLE
from jobboard.history import NewLine
from jobboard.merged import is_one
from jobboard.owner import Owner
from jobboard.schema import LIVE, PENDING, Row, conductors, jobs, postings
from jobboard.statements import Prepared, Script, add_update

BATCH: Final = 1000
"""How many records, and how many postings, are looked at in one pass."""

_FREED: Final = "the claim is freed: the answer to it was lost, and nobody ran the job"


class Glance:
    """Asks in one request whether there is anything that may have to be mended: where all is idle there is not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, owner: Owner) -> tuple[bool, int]:
        """Whether there is anything, and how many jobs all live conductors together run at once."""
        [found] = self._database.ask(self._query, {"owner_id": owner.id})
        return found["anything"], found["slots"]

    @functools.cached_property
    def _query(self) -> Prepared:
        posted = sa.select(jobs.c.posting).where(jobs.c.posting > "").order_by(jobs.c.posting).limit(1)
        posting = sa.select(postings.c.job).where(postings.c.job > "").order_by(postings.c.job).limit(1)
        held = sa.exists().where(jobs.c.owner == sa.bindparam("owner_id"))
        dead = sa.exists().where(is_long_dead(self._database))
        anything = sa.or_(is_one(posted), is_one(posting), held, dead, any_dead(self._database))
        return Prepared(sa.select(anything.label("anything"), slots_of_live(self._database).label("slots")))


class Rounds:
    """Goes round the records that have a posting and no live conductor, a batch at a time. For one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._before = self._after = ""

    def next_batch(self, connection: sa.Connection, *columns: sa.ColumnElement[Any]) -> Sequence[Row]:
        """The next records, with `columns` beside their own. After the last one it begins with the first."""
        # Told of each, not asked for: what is left out would have to be passed over by whole tables.
        idle = sa.and_(CLAIMABLE, ~is_alive(self._database, jobs.c.owner)).label("idle")
        posted = sa.select(jobs, idle, *columns).where(jobs.c.posting > self._after)
        rows = connection.execute(posted.order_by(jobs.c.posting).limit(BATCH)).mappings().all()
        self._before = self._after
        self._after = rows[-1]["posting"] if len(rows) == BATCH else ""
        return [row for row in rows if row["idle"]]

    def look_again(self) -> None:
        """The next batch is the one before once more, as it then is."""
        self._after = self._before


def wanted(connection: sa.Connection, ids: Collection[str]) -> set[str]:
    """Those of these postings' ids that some record wants on the board."""
    query = sa.select(jobs.c.posting).where(jobs.c.posting.in_(list(ids)), LIVE)
    return set(connection.execute(query).scalars())


def put_back(
    connection: sa.Connection, database: Database, postings: Collection[str]
) -> tuple[int, Sequence[Row]]:
    """Give up these postings, which are lost: how many records had one of them, and those to be posted at once.

    What is pending waits in line again. What has begun gets a new id for its posting, since it takes part of its
    flow's `max_running` by having one. Records that a conductor has by now are left as they are.
    """
    lost = sa.and_(jobs.c.posting.in_(list(postings)), ~is_alive(database, jobs.c.owner))
    locked = sa.select(jobs, PENDING.label("waits")).where(lost).with_for_update(skip_locked=True)
    found = connection.execute(locked).mappings().all()
    rows = [{**row, "posting": None if row["waits"] else str(uuid4())} for row in found]
    script = Script()
    for row in rows:
        add_update(script, jobs, {"id": row["id"]}, {"posting": row["posting"]})
    script.run(connection)
    return len(rows), [row for row in rows if row["posting"]]


def has_unrun(connection: sa.Connection, owner: Owner, running: Collection[str]) -> bool:
    """Whether `owner` has a record that it does not run."""
    held = sa.select(jobs.c.id).where(jobs.c.owner == owner.id)
    return not set(connection.execute(held).scalars()).issubset(running)


def free_unrun(
    connection: sa.Connection, database: Database, owner: Owner, running: Collection[str]
) -> Sequence[Row]:
    """Free the records that `owner` has and does not run; their rows as they then are.

    Their claim was stored, and the answer was lost. That is no crash, so it does not count as one.
    """
    unrun = sa.and_(jobs.c.owner == owner.id, jobs.c.id.not_in(list(running)))
    freed = sa.update(jobs).where(unrun).values(owner=None, claims=jobs.c.claims - 1).returning(jobs)
    rows = connection.execute(freed).mappings().all()
    if rows:
        history.append(connection, [_line(row, owner, database.now()) for row in rows])
        signals.notify(connection, signals.Channel.WORK, signals.Channel.CHANGE)
    return rows


def has_long_dead(connection: sa.Connection, database: Database) -> bool:
    """Whether there are rows of conductors that have been dead for long."""
    return connection.execute(sa.select(conductors.c.owner).where(is_long_dead(database))).first() is not None


def forget_long_dead(connection: sa.Connection, database: Database) -> int:
    """Remove them; how many they were."""
    return connection.execute(sa.delete(conductors).where(is_long_dead(database))).rowcount


def _line(row: Row, owner: Owner, now: Any) -> NewLine:
    return NewLine(
        row["id"], row["attempt"], now, history.STATE, state=row["state"], by=owner.name, message=_FREED
    )
