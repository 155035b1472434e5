"""Claims on a board of TaskFlow's own (ZooKeeper, Redis, etcd): the board first, the record after.

The records hold the backlog; the board gets a window of it. A record is given its posting's id before the
board is told, and the board's posting carries that id: whatever a crash leaves behind can be told apart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from taskflow import exceptions

from jobboard import claims, conductors, feeder
from jobboard.claims import Claim, Owner
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch, reached
from jobboard.errors import Unreachable
from jobboard.models import priority_name
from jobboard.schema import jobs
from jobboard.states import AT_REST

LOG = logging.getLogger(__name__)

WINDOW = 100
"""How many postings the board is kept supplied with, at least."""

_POSTED_S: Final = 2.0  # from giving a record its posting's id to the posting, at most


class TaskflowDispatch(Dispatch):
    """Any TaskFlow `JobBoard`, with the records in a database beside it."""

    def __init__(self, database: Database, board: Any) -> None:
        self._database = database
        self.board = board
        self._missing_since: dict[str, float] = {}  # by the posting's id

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

    def claim(self, owner: Owner, flows: Sequence[str], limit: int, *, busy: Collection[str] = ()) -> list[Claim]:
        """Feed the board, then claim one posting after the other."""
        with reached(self.board):
            self._feed()
            return self._claim(owner, frozenset(flows), limit, busy)

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
                priority=priority_name(row["priority"]).upper(),
            )

    def _missing(self, on_board: set[str | None]) -> list[sa.RowMapping]:
        """Records whose posting did not reach the board, or was removed by someone else.

        Another conductor may be about to post what it has just taken: only what stays missing is posted again.
        """
        waits = sa.and_(
            jobs.c.posting.is_not(None),
            jobs.c.posting.not_in([uuid for uuid in on_board if uuid]),
            jobs.c.owner.is_(None),
            jobs.c.state.not_in([str(state) for state in AT_REST]),
        )
        with self._database.read() as connection:
            rows = list(connection.execute(sa.select(jobs).where(waits).limit(WINDOW)).mappings())
        now = time.monotonic()
        self._missing_since = {row["posting"]: self._missing_since.get(row["posting"], now) for row in rows}
        return [row for row in rows if now - self._missing_since[row["posting"]] >= _POSTED_S]

    def _postings(self) -> Iterable[Any]:
        postings: Iterable[Any] = self.board.iterjobs(ensure_fresh=True)
        return postings

    def _claim(self, owner: Owner, flows: frozenset[str], limit: int, busy: Collection[str]) -> list[Claim]:
        found: list[Claim] = []
        try:
            for posting in self.board.iterjobs(only_unclaimed=True):
                if len(found) >= limit:
                    break
                if posting_id(posting) is None:
                    continue  # someone else's: it is left alone
                if posting.name in flows and posting.details.get("job") not in busy:
                    found += self._claim_one(owner, posting)
        except (exceptions.JobFailure, Unreachable):
            # The board or the database has gone in between: what was claimed before is to be run all the same.
            if not found:
                raise
        return found

    def _claim_one(self, owner: Owner, posting: Any) -> list[Claim]:
        try:
            self.board.claim(posting, owner.id)
        except (exceptions.UnclaimableJob, exceptions.NotFound):
            return []
        try:
            return self._tell_record(owner, posting)
        except Unreachable:
            self.board.abandon(posting, owner.id)
            raise

    def _tell_record(self, owner: Owner, posting: Any) -> list[Claim]:
        """Raise the record's epoch for a posting that is ours; put the posting down if there is no use for it."""
        uuid = posting_id(posting) or ""
        with self._database.write() as connection:
            if self._is_worked_on(connection, owner, uuid):
                taken: list[Claim] | None = None
            else:
                handles = {uuid: (owner.id, posting)}
                taken = claims.take(connection, self._database, owner, [uuid], handles)
        if taken is None and not self._is_surplus(posting):
            self.board.abandon(posting, owner.id)
        elif not taken:
            self.board.consume(posting, owner.id)  # its record is at rest, or has another posting
        return taken or []

    def _is_surplus(self, posting: Any) -> bool:
        """Whether the job that runs is on the board a second time."""
        return any(
            posting_id(other) == posting_id(posting) and other.uuid != posting.uuid for other in self._postings()
        )

    def _is_worked_on(self, connection: sa.Connection, owner: Owner, uuid: str) -> bool:
        holder = connection.execute(sa.select(jobs.c.owner).where(jobs.c.posting == uuid)).scalar()
        return (
            holder is not None and holder != owner.id and conductors.is_alive(connection, self._database, holder)
        )


def posting_id(posting: Any) -> str | None:
    """The id that the record knows this posting by; None if it is not one of ours."""
    uuid = posting.details.get("posting") if isinstance(posting.details, dict) else None
    return uuid if isinstance(uuid, str) else None
