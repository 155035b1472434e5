"""The conductors' own rows: who is there, with how many slots, which flows they know, when they last wrote."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.faults import faults_of, lasts, said_of
from jobboard.models import ConductorRow
from jobboard.owner import Owner
from jobboard.schema import Row, conductors, jobs
from jobboard.statements import Prepared, Script


@dataclass
class Registration:
    """A conductor's row, kept fresh by `beat`."""

    database: Database
    owner: Owner
    slots: int
    flows: Sequence[str]
    lease_s: float
    _beat_at_s: float | None = field(default=None, init=False)  # on the monotonic clock

    @property
    def age_s(self) -> float | None:
        """Since the row was written last; None if it never was."""
        return None if self._beat_at_s is None else time.monotonic() - self._beat_at_s

    def enter(self, owner: Owner | None = None) -> None:
        """Write the row, also over an earlier one.

        As another `owner`: from then on nobody waits for what the one before may still hold.
        """
        before, self.owner = self.owner, owner or self.owner
        host, pid, _ = self.owner.id.rsplit(":", 2)
        with self.database.write() as connection:
            old = conductors.c.owner.in_([before.id, self.owner.id])
            connection.execute(sa.delete(conductors).where(old))
            connection.execute(
                sa.insert(conductors).values(
                    owner=self.owner.id,
                    name=self.owner.name,
                    host=host,
                    pid=int(pid),
                    slots=self.slots,
                    flows=sorted(self.flows),
                    started_at=self.database.server_now,
                    seen_at=self.database.server_now,
                    expires_at=self.database.server_after(self.lease_s),
                )
            )
        self._beat_at_s = time.monotonic()

    def beat(self) -> bool:
        """Say that the conductor lives. False if the row is gone."""
        there = self.database.commit(Script((self._beat, {"beating": self.owner.id})), again=True)
        if there:
            self._beat_at_s = time.monotonic()
        return there

    @functools.cached_property
    def _beat(self) -> Prepared:
        seen = {"seen_at": self.database.server_now, "expires_at": self.database.server_after(self.lease_s)}
        return Prepared(sa.update(conductors).where(conductors.c.owner == sa.bindparam("beating")).values(seen))

    def leave(self) -> None:
        """Remove the row."""
        with self.database.write() as connection:
            connection.execute(sa.delete(conductors).where(conductors.c.owner == self.owner.id))


_KEPT_S = 24 * 3600.0


def is_long_dead(database: Database) -> sa.ColumnElement[bool]:
    """The condition on a row of `conductors` that it is of no use to people any more: dead for a day."""
    return conductors.c.expires_at < database.server_after(-_KEPT_S)


def is_alive(database: Database, owner: sa.ColumnElement[str | None]) -> sa.ColumnElement[bool]:
    """The condition that the conductor with this owner id has been heard of within its lease."""
    heard_of = sa.and_(conductors.c.owner == owner, lasts(database, conductors.c.expires_at))
    return sa.exists(sa.select(conductors.c.owner).where(heard_of))


def held_by_others(
    connection: sa.Connection, database: Database, owner: Owner, postings: Sequence[str]
) -> frozenset[str]:
    """Those of these postings whose record another conductor holds that lives."""
    held = sa.and_(jobs.c.posting.in_(postings), jobs.c.owner.is_not(None), jobs.c.owner != owner.id)
    query = sa.select(jobs.c.posting).where(held, is_alive(database, jobs.c.owner))
    return frozenset(connection.execute(query).scalars())


def slots_of_live(database: Database) -> sa.ColumnElement[int]:
    """How many jobs all live conductors together run at once."""
    alive = lasts(database, conductors.c.expires_at)
    slots = sa.select(sa.func.coalesce(sa.func.sum(conductors.c.slots), 0)).where(alive)
    return slots.scalar_subquery()


def list_conductors(database: Database, malformed: dict[str, str] | None = None) -> list[ConductorRow]:
    """All conductors that are there or were in the last day, by name.

    `malformed` is told of rows that are left out, and why.
    """
    alive = lasts(database, conductors.c.expires_at).label("alive")
    # By the owner, as the index has them: by id, SQLite would look for them among all jobs.
    held = sa.select(jobs.c.owner, jobs.c.id).where(jobs.c.owner.is_not(None)).order_by(jobs.c.owner)
    with database.read() as connection:
        found = connection.execute(sa.select(conductors, alive).order_by(conductors.c.name)).mappings().all()
        running: dict[str, list[str]] = {}
        for owner, job in connection.execute(held):
            running.setdefault(owner, []).append(job)
    rows: list[Row] = []
    for row in found:
        if faults := faults_of(conductors, row):
            if malformed is not None:
                malformed[f"conductor {row['owner']}"] = said_of(faults)
            continue
        rows.append(row)
    return [
        ConductorRow(
            name=row["name"],
            owner=row["owner"],
            host=row["host"],
            pid=row["pid"],
            slots=row["slots"],
            flows=tuple(row["flows"]),
            started_at=row["started_at"],
            seen_at=row["seen_at"],
            alive=bool(row["alive"]),
            jobs=tuple(sorted(running.get(row["owner"], ()))),
        )
        for row in rows
    ]
