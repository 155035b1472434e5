"""Claims on the `sql` board: a batch in one transaction with the records'."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from jobboard import claims, feeder, reconciler, signals
from jobboard.boards.session import sweep
from jobboard.boards.sql import SqlJobBoard
from jobboard.claims import Claim, Owner
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch, reached
from jobboard.errors import Unreachable
from jobboard.faults import CLAIMABLE
from jobboard.records import posting_row
from jobboard.schema import jobs, postings

_FED = 100


class SqlDispatch(Dispatch):
    """The `sql` board in the records' own database."""

    def __init__(self, database: Database, board: SqlJobBoard) -> None:
        self._database = database
        self.board = board
        self._rounds = reconciler.Rounds(database)
        self._looked_at = 0  # the last posting that was looked at, by its number

    def open(self) -> None:
        """Open the board's session. Raises `Unreachable`."""
        with reached(self.board):
            self.board.connect()

    def close(self) -> None:
        """End the board's session. Raises `Unreachable`; it then ends by itself."""
        with reached(self.board):
            self.board.close()

    @property
    def alive(self) -> bool:
        """Whether the board's session lives."""
        return bool(self.board.session is not None and self.board.session.alive)

    def claim(self, owner: Owner, flows: Sequence[str], limit: int, *, busy: Collection[str] = ()) -> list[Claim]:
        """Feed and claim in one transaction."""
        if self.board.session is None:
            raise Unreachable("the board is not connected")
        with self._database.write() as connection:
            self._feed(connection)
            taken = self._take_postings(connection, owner, flows, limit, busy)
            return claims.take(connection, self._database, owner, taken, {}) if taken else []

    def free_dead_claims(self) -> int:
        """Free the postings of sessions that have expired."""
        return len(sweep(self._database))

    def mend(self, owner: Owner, running: Collection[str]) -> int:
        """Looks first: a pass that finds nothing locks nothing."""
        with self._database.read() as connection:
            missing = self._missing(connection)
            stale = self._stale(connection)
            unrun = reconciler.has_unrun(connection, owner, running)
            dead = reconciler.has_long_dead(connection, self._database)
        if not (missing or stale or unrun or dead):
            return 0
        with self._database.write() as connection:
            return (
                self._free_unrun(connection, owner, running)
                + self._post_again(connection, missing)
                + self._remove(connection, stale)
                + reconciler.forget_long_dead(connection, self._database)
            )

    def put_down(self, connection: sa.Connection, claim: Claim, *, keep_posting: bool) -> None:
        """Free or remove the posting."""
        mine = postings.c.uuid == claim.posting
        if keep_posting:
            connection.execute(sa.update(postings).where(mine).values(session=None, owner=None))
        else:
            connection.execute(sa.delete(postings).where(mine))

    def was_put_down(self, claim: Claim, *, keep_posting: bool) -> None:
        """Nothing is left: the posting went with the record."""

    def _feed(self, connection: sa.Connection) -> None:
        due = feeder.take_due(connection, self._database, _FED)
        if due:
            now = self._database.now()
            connection.execute(sa.insert(postings), [posting_row(self.board.name, row, now) for row in due])

    def _missing(self, connection: sa.Connection) -> list[str]:
        """Records whose posting is not there: another board was in use before, or someone removed it."""
        there = sa.exists().where(postings.c.uuid == jobs.c.posting).label("there")
        return [row["id"] for row in self._rounds.next_batch(connection, there) if not row["there"]]

    def _stale(self, connection: sa.Connection) -> list[str]:
        """Postings that nobody holds and no record wants: it rests, has another one, or is gone."""
        wants = sa.and_(jobs.c.id == postings.c.job, jobs.c.posting == postings.c.uuid, reconciler.wants_posting())
        batch = (
            sa.select(postings.c.seq, postings.c.uuid, sa.exists().where(wants).label("wanted"))
            .where(
                postings.c.board == self.board.name,
                postings.c.seq > self._looked_at,
                postings.c.job.is_not(None),
                postings.c.session.is_(None),
            )
            .order_by(postings.c.seq)
            .limit(reconciler.BATCH)
        )
        rows = connection.execute(batch).all()
        self._looked_at = rows[-1].seq if len(rows) == reconciler.BATCH else 0
        return [row.uuid for row in rows if not row.wanted]

    def _post_again(self, connection: sa.Connection, ids: Sequence[str]) -> int:
        # Locked, so that of two who found the same only one posts it.
        waiting = sa.select(jobs).where(jobs.c.id.in_(ids), jobs.c.posting.is_not(None))
        rows = connection.execute(waiting.with_for_update(skip_locked=True)).mappings().all()
        uuids = [row["posting"] for row in rows]
        there = set(connection.execute(sa.select(postings.c.uuid).where(postings.c.uuid.in_(uuids))).scalars())
        now = self._database.now()
        new = [posting_row(self.board.name, row, now) for row in rows if row["posting"] not in there]
        if new:
            connection.execute(sa.insert(postings), new)
            signals.notify(connection, signals.Channel.WORK)
        return len(new)

    def _remove(self, connection: sa.Connection, uuids: Sequence[str]) -> int:
        unheld = sa.and_(postings.c.uuid.in_(uuids), postings.c.session.is_(None))
        return connection.execute(sa.delete(postings).where(unheld)).rowcount

    def _free_unrun(self, connection: sa.Connection, owner: Owner, running: Collection[str]) -> int:
        rows = reconciler.free_unrun(connection, self._database, owner, running)
        held = sa.and_(postings.c.uuid.in_([row["posting"] for row in rows]), postings.c.owner == owner.id)
        connection.execute(sa.update(postings).where(held).values(session=None, owner=None))
        return len(rows)

    def _take_postings(
        self, connection: sa.Connection, owner: Owner, flows: Sequence[str], limit: int, busy: Collection[str]
    ) -> list[str]:
        # Records are locked before postings, as everywhere: two orders would be a deadlock.
        free = (
            sa.select(postings.c.uuid)
            .join(jobs, jobs.c.posting == postings.c.uuid)
            .where(
                postings.c.board == self.board.name,
                postings.c.session.is_(None),
                postings.c.trashed_at.is_(None),
                postings.c.name.in_(list(flows)),
                postings.c.name == jobs.c.flow,
                CLAIMABLE,
                postings.c.job.not_in(list(busy)),
            )
            .order_by(postings.c.priority, postings.c.seq)
            .limit(limit)
            .with_for_update(of=jobs, skip_locked=True)
        )
        uuids = list(connection.execute(free).scalars())
        if not uuids:
            return []
        taken = (
            sa.update(postings)
            .where(postings.c.uuid.in_(uuids), postings.c.session.is_(None), self.board.session.holds())
            .values(session=self.board.session.id, owner=owner.id, modified_at=self._database.now())
            .returning(postings.c.uuid)
        )
        mine = set(connection.execute(taken).scalars())
        return [uuid for uuid in uuids if uuid in mine]
