"""Finds, and mends, what crashes, lost replies and other hands left behind between records, boards and conductors.

Any live conductor does so now and then, a bounded batch at a time. Two at once do no harm: what one has mended
the other no longer finds, or finds locked and passes over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import uuid4

import sqlalchemy as sa

from jobboard import history, signals
from jobboard.boards.session import any_dead
from jobboard.claims import Owner
from jobboard.conductors import is_alive, is_long_dead, slots_of_live
from jobboard.database import Database
from jobboard.faults import CLAIMABLE
from jobboard.history import NewLine
from jobboard.merged import is_one
from jobboard.schema import LIVE, Row, conductors, jobs, postings
from jobboard.statements import Prepared

BATCH: Final = 1000
"""How many records, and how many postings, are looked at in one pass."""

_FREED: Final = "the claim is freed: the answer to it was lost, and nobody ran the job"


class Glance:
    """Asks in one request whether there is anything that may have to be mended: where all is idle there is not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        posted = sa.select(jobs.c.posting).where(jobs.c.posting > "").order_by(jobs.c.posting).limit(1)
        posting = sa.select(postings.c.job).where(postings.c.job > "").order_by(postings.c.job).limit(1)
        held = sa.exists().where(jobs.c.owner == sa.bindparam("owner_id"))
        dead = sa.exists().where(is_long_dead(database))
        anything = sa.or_(is_one(posted), is_one(posting), held, dead, any_dead(database))
        self._query = Prepared(sa.select(anything.label("anything"), slots_of_live(database).label("slots")))

    def take(self, owner: Owner) -> tuple[bool, int]:
        """Whether there is anything, and how many jobs all live conductors together run at once."""
        [found] = self._database.ask(self._query, {"owner_id": owner.id})
        return found["anything"], found["slots"]


class Rounds:
    """Goes round the records that have a posting and no live conductor, a batch at a time. For one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after = ""

    def next_batch(self, connection: sa.Connection, *columns: sa.ColumnElement[Any]) -> Sequence[Row]:
        """The next records, with `columns` beside their own. After the last one it begins with the first."""
        # Told of each, not asked for: what is left out would have to be passed over by whole tables.
        idle = sa.and_(CLAIMABLE, ~is_alive(self._database, jobs.c.owner)).label("idle")
        posted = sa.select(jobs, idle, *columns).where(jobs.c.posting > self._after)
        rows = connection.execute(posted.order_by(jobs.c.posting).limit(BATCH)).mappings().all()
        self._after = rows[-1]["posting"] if len(rows) == BATCH else ""
        return [row for row in rows if row["idle"]]


def wanted(connection: sa.Connection, ids: Collection[str]) -> set[str]:
    """Those of these postings' ids that some record wants on the board."""
    query = sa.select(jobs.c.posting).where(jobs.c.posting.in_(list(ids)), LIVE)
    return set(connection.execute(query).scalars())


def renew_postings(connection: sa.Connection, rows: Collection[Row]) -> Sequence[Row]:
    """Give these records new ids for their postings, unless they have others by now; those that got one."""
    renewed: list[Row] = []
    for row in rows:
        same = sa.and_(jobs.c.id == row["id"], jobs.c.posting == row["posting"])
        renew = sa.update(jobs).where(same).values(posting=str(uuid4())).returning(jobs)
        renewed += connection.execute(renew).mappings()
    return renewed


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
