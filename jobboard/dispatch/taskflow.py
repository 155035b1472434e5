"""Claims on a board of TaskFlow's own (ZooKeeper, Redis, etcd): the board first, the record after.

The records hold the backlog; the board gets a window of it. A record is given its posting's id before the
board is told, and the board's posting carries that id: whatever a crash leaves behind can be told apart.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from taskflow import exceptions

from jobboard import claims, conductors, feeder
from jobboard.claims import Claim, Owner
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch, reached
from jobboard.models import PRIORITIES
from jobboard.schema import jobs
from jobboard.states import AT_REST

LOG = logging.getLogger(__name__)

WINDOW = 100
"""How many postings the board is kept supplied with, at least."""


class TaskflowDispatch(Dispatch):
    """Any TaskFlow `JobBoard`, with the records in a database beside it."""

    def __init__(self, database: Database, board: Any) -> None:
        self._database = database
        self.board = board

    def open(self) -> None:
        """Connect the board's client."""
        with reached(self.board):
            self.board.connect()

    def close(self) -> None:
        """Close the board's client: its session ends, and with it the claims."""
        with reached(self.board):
            self.board.close()

    @property
    def alive(self) -> bool:
        """Whether the board's session lives."""
        return bool(getattr(self.board, "alive", self.board.connected))

    def claim(self, owner: Owner, flows: Sequence[str], limit: int) -> list[Claim]:
        """Feed the board, then claim one posting after the other."""
        with reached(self.board):
            self._feed()
            return self._claim(owner, frozenset(flows), limit)

    def free_dead_claims(self) -> int:
        """The server does that when a session ends."""
        return 0

    def put_down(self, connection: sa.Connection, claim: Claim, *, keep_posting: bool) -> None:
        """Nothing yet: the board is no part of the transaction."""

    def was_put_down(self, claim: Claim, *, keep_posting: bool) -> None:
        """Abandon or consume the posting. If that fails, the next who claims it finds the record at rest."""
        owner, posting = claim.handle
        try:
            (self.board.abandon if keep_posting else self.board.consume)(posting, owner)
        except (exceptions.JobFailure, exceptions.NotFound) as error:
            LOG.warning("job %s: its posting could not be put down, and will be later: %s", claim.job, error)

    def _feed(self) -> None:
        """Top the board's window up, and post again what a crash kept from it."""
        on_board = {posting_id(posting): posting for posting in self._postings()}
        missing = self._missing(set(on_board))
        room = WINDOW - len(on_board) - len(missing)
        if room > 0:
            with self._database.write() as connection:
                missing += feeder.take_due(connection, self._database, room)
        for row in missing:
            self.board.post(
                row["flow"],
                details={"job": row["id"], "posting": row["posting"]},
                priority=PRIORITIES[row["priority"]].upper(),
            )

    def _missing(self, on_board: set[str | None]) -> list[sa.RowMapping]:
        """Records whose posting did not reach the board, or was removed by someone else."""
        waits = sa.and_(
            jobs.c.posting.is_not(None),
            jobs.c.posting.not_in([uuid for uuid in on_board if uuid]),
            jobs.c.owner.is_(None),
            jobs.c.state.not_in([str(state) for state in AT_REST]),
        )
        with self._database.read() as connection:
            return list(connection.execute(sa.select(jobs).where(waits).limit(WINDOW)).mappings())

    def _postings(self) -> Iterable[Any]:
        postings: Iterable[Any] = self.board.iterjobs(ensure_fresh=True)
        return postings

    def _claim(self, owner: Owner, flows: frozenset[str], limit: int) -> list[Claim]:
        found: list[Claim] = []
        for posting in self.board.iterjobs(only_unclaimed=True):
            if len(found) >= limit:
                break
            if posting.name not in flows:
                continue
            try:
                self.board.claim(posting, owner.id)
            except (exceptions.UnclaimableJob, exceptions.NotFound):
                continue
            found += self._tell_record(owner, posting)
        return found

    def _tell_record(self, owner: Owner, posting: Any) -> list[Claim]:
        """Raise the record's epoch for a posting that is ours; put the posting down if there is no use for it."""
        uuid = posting_id(posting) or ""
        with self._database.write() as connection:
            if self._is_worked_on(connection, owner, uuid):
                taken: list[Claim] | None = None
            else:
                handles = {uuid: (owner.id, posting)}
                taken = claims.take(connection, self._database, owner, [uuid], handles)
        if taken is None:
            self.board.abandon(posting, owner.id)  # a second posting of a job that runs
        elif not taken:
            self.board.consume(posting, owner.id)  # its record is at rest, or has another posting
        return taken or []

    def _is_worked_on(self, connection: sa.Connection, owner: Owner, uuid: str) -> bool:
        holder = connection.execute(sa.select(jobs.c.owner).where(jobs.c.posting == uuid)).scalar()
        return (
            holder is not None and holder != owner.id and conductors.is_alive(connection, self._database, holder)
        )


def posting_id(posting: Any) -> str | None:
    """The id that the record knows this posting by; None if it is not one of ours."""
    return (posting.details or {}).get("posting")
