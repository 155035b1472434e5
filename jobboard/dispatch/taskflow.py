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

from jobboard import claims, feeder, reconciler
from jobboard.claims import Claim, Owner
from jobboard.conductors import is_alive, live_slots
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch, reached
from jobboard.errors import Unreachable
from jobboard.models import priority_name
from jobboard.schema import Row, jobs
from jobboard.statements import Script

LOG = logging.getLogger(__name__)

WINDOW = 100
"""How many postings the board is kept supplied with, at least."""

_PER_SLOT: Final = 4  # of those that live
_POSTED_S: Final = 2.0  # from giving a record its posting's id to the posting, at most


class TaskflowDispatch(Dispatch):
    """Any TaskFlow `JobBoard`, with the records in a database beside it."""

    def __init__(self, database: Database, board: Any) -> None:
        self._database = database
        self.board = board
        self._window = WINDOW
        self._rounds = reconciler.Rounds(database)
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

    def put_down(self, claim: Claim, *, keep_posting: bool) -> Script:  # noqa: ARG002 - an interface
        """Nothing yet: the board is no part of the transaction."""
        return Script()

    def was_put_down(self, claim: Claim, *, keep_posting: bool) -> None:
        """Abandon or consume the posting. If that fails, the next who claims it finds the record at rest."""
        owner, posting = claim.handle
        try:
            (self.board.abandon if keep_posting else self.board.consume)(posting, owner)
        except (exceptions.JobFailure, exceptions.NotFound) as error:
            LOG.warning("job %s: its posting could not be put down, and will be later: %s", claim.job, error)

    def mend(self, owner: Owner, running: Collection[str]) -> int:
        """The board is read first: a posting that no record wants by then is never wanted again."""
        with reached(self.board):
            on_board = list(self._postings())
            free = {posting.uuid for posting in self.board.iterjobs(only_unclaimed=True)}
            with self._database.read() as connection:
                missing = self._missing(connection, on_board)
                wanted = reconciler.wanted(connection, _ids(on_board))
                unrun = reconciler.has_unrun(connection, owner, running)
                dead = reconciler.has_long_dead(connection, self._database)
                self._window = max(WINDOW, _PER_SLOT * live_slots(connection, self._database))
            mended = self._post_again(missing) if missing else 0
            for posting in on_board:
                if posting.uuid in free:
                    mended += self._remove_unwanted(owner, posting, wanted)
                elif job_id(posting) not in running:
                    mended += self._abandon_unrun(owner, posting)
        if unrun or dead:
            with self._database.write() as connection:
                mended += len(reconciler.free_unrun(connection, self._database, owner, running))
                mended += reconciler.forget_long_dead(connection, self._database)
        return mended

    def _feed(self) -> None:
        """Top the board's window up."""
        room = self._window - len(list(self._postings()))
        if room <= 0:
            return
        with self._database.write() as connection:
            due = feeder.take_due(connection, self._database, room)
        for row in due:
            self._post(row)

    def _post(self, row: Row) -> None:
        self.board.post(
            row["flow"],
            details={"job": row["id"], "posting": row["posting"]},
            priority=priority_name(row["priority"]).upper(),
        )

    def _missing(self, connection: sa.Connection, on_board: Collection[Any]) -> list[Row]:
        """Records whose posting did not reach the board, or was removed by someone else.

        Another conductor may be about to post what it has just taken: only what stays missing is posted again.
        """
        there = _ids(on_board)
        rows = [row for row in self._rounds.next_batch(connection) if row["posting"] not in there]
        now = time.monotonic()
        self._missing_since = {row["posting"]: self._missing_since.get(row["posting"], now) for row in rows}
        return [row for row in rows if now - self._missing_since[row["posting"]] >= _POSTED_S][:WINDOW]

    def _post_again(self, rows: Sequence[Row]) -> int:
        """Under another id: of two who miss the same posting, only one gives the record a new one."""
        with self._database.write() as connection:
            renewed = reconciler.renew_postings(connection, rows)
        for row in renewed:
            self._post(row)
        return len(renewed)

    def _remove_unwanted(self, owner: Owner, posting: Any, wanted: Collection[str]) -> bool:
        """Remove a posting of no use: its record rests, has another posting, or is gone."""
        uuid = posting_id(posting)
        if uuid is None or uuid in wanted or not self._is_claimed_by(owner, posting):
            return False
        self.board.consume(posting, owner.id)
        return True

    def _abandon_unrun(self, owner: Owner, posting: Any) -> bool:
        """Give back what is claimed in our name and does not run: the answer to the claim was lost."""
        try:
            if self.board.find_owner(posting) != owner.id:
                return False
        except exceptions.JobFailure as error:
            LOG.warning("%s", error)  # a claim that cannot be read is not ours
            return False
        self.board.abandon(posting, owner.id)
        return True

    def _postings(self) -> Iterable[Any]:
        postings: Iterable[Any] = self.board.iterjobs(ensure_fresh=True)
        return postings

    def _claim(self, owner: Owner, flows: frozenset[str], limit: int, busy: Collection[str]) -> list[Claim]:
        found: list[Claim] = []
        had = set(busy)
        try:
            for posting in self.board.iterjobs(only_unclaimed=True):
                if len(found) >= limit:
                    break
                if posting_id(posting) is None:
                    continue  # someone else's: it is left alone
                if posting.name in flows and job_id(posting) not in had:
                    found += self._claim_one(owner, posting)
                    # A job may be there twice, after an outage; it is never to be had twice.
                    had |= {claim.job for claim in found}
        except (exceptions.JobFailure, Unreachable):
            # The board or the database has gone in between: what was claimed before is to be run all the same.
            if not found:
                raise
        return found

    def _claim_one(self, owner: Owner, posting: Any) -> list[Claim]:
        if not self._is_claimed_by(owner, posting):
            return []
        try:
            return self._tell_record(owner, posting)
        except Unreachable:
            self.board.abandon(posting, owner.id)
            raise

    def _is_claimed_by(self, owner: Owner, posting: Any) -> bool:
        """Claim a posting; False if someone else has."""
        try:
            self.board.claim(posting, owner.id)
        except (exceptions.UnclaimableJob, exceptions.NotFound):
            return False
        return True

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
        others = sa.and_(jobs.c.posting == uuid, jobs.c.owner != owner.id, is_alive(self._database, jobs.c.owner))
        return connection.execute(sa.select(jobs.c.id).where(others)).first() is not None


def _ids(postings: Iterable[Any]) -> set[str]:
    return {uuid for uuid in map(posting_id, postings) if uuid is not None}


def posting_id(posting: Any) -> str | None:
    """The id that the record knows this posting by; None if it is not one of ours."""
    return _text(posting, "posting")


def job_id(posting: Any) -> str | None:
    """The id of its record; None if it is not one of ours."""
    return _text(posting, "job")


def _text(posting: Any, name: str) -> str | None:
    value = posting.details.get(name) if isinstance(posting.details, dict) else None
    return value if isinstance(value, str) else None
