"""Claims on the `sql` board: a batch in one transaction with the records'."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from jobboard import claims, feeder
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
