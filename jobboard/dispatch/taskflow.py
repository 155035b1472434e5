"""Claims on a board of TaskFlow's own (ZooKeeper, Redis, etcd): the board first, the record after.

The records hold the backlog; the board gets a window of it. Each conductor feeds the flows that it knows, and
counts the postings of those only: jobs that others alone can run, or nobody any more, take no room from its own.

A record is given its posting's id before the board is told, and the board's posting carries that id: whatever a
crash leaves behind can be told apart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from taskflow import exceptions

from jobboard import claims, feeder, reconciler
from jobboard.boards.iteration import rank
from jobboard.claims import Claim
from jobboard.conductors import held_by_others
from jobboard.database import Database
from jobboard.dispatch.base import Ahead, Dispatch, reached
from jobboard.errors import Unreachable
from jobboard.models import priority_name
from jobboard.owner import Owner
from jobboard.schema import Row
from jobboard.statements import Script

LOG = logging.getLogger(__name__)

WINDOW = 100
"""How many postings of the flows that a conductor knows it keeps the board supplied with, at least."""

_PER_SLOT: Final = 4  # of those that live
_FEED_S: Final = 0.1
_POSTED_S: Final = 2.0  # from giving a record its posting's id to the posting, at most


class TaskflowDispatch(Dispatch):
    """Any TaskFlow `JobBoard`, with the records in a database beside it."""

    def __init__(self, database: Database, board: Any) -> None:
        self._database = database
        self.board = board
        self._window = WINDOW
        self._feed_at_s = 0.0
        self._glance = reconciler.Glance(database)
        self._rounds = reconciler.Rounds(database)
        self._missed: frozenset[str] = frozenset()  # postings that were not there at the last look
        self._missed_at_s = 0.0

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
        """Feed the board, then claim what is first served, as much as there is room for at once."""
        with reached(self.board):
            there = self._look()
            usable = _usable(there, flows)
            # While there is enough, the board is fed only now and then.
            if (len(usable) < limit or time.monotonic() >= self._feed_at_s) and self._feed(flows, there):
                usable = _usable(self._look(), flows)
            return self._claim(owner, limit, usable, busy)

    def look(self, flows: Sequence[str]) -> Ahead:
        """What is due is asked of the records, what is posted of the board."""
        now = self._database.now()
        rows = self._database.ask(feeder.ahead(len(flows)), feeder.given(flows, now)) if flows else []
        is_due, due_s = feeder.seen(rows, now)
        with reached(self.board):
            return Ahead(is_due or bool(_usable(self._look(fresh=False), flows)), dead=False, due_s=due_s)

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
            there = self._look()
            anything, slots = self._glance.take(owner)
            self._window = max(WINDOW, _PER_SLOT * slots)
            if not (there or anything):
                return 0
            on_board = [posting for posting, _claimed in there]
            with self._database.read() as connection:
                missing = self._missing(connection, on_board)
                wanted = reconciler.wanted(connection, _ids(on_board))
                unrun = reconciler.has_unrun(connection, owner, running)
                dead = reconciler.has_long_dead(connection, self._database)
            mended = self._put_back(missing) if missing else 0
            for posting, claimed in there:
                if not claimed:
                    mended += self._remove_unwanted(owner, posting, wanted)
                elif job_id(posting) not in running:
                    mended += self._abandon_unrun(owner, posting)
        if unrun or dead:
            with self._database.write() as connection:
                mended += len(reconciler.free_unrun(connection, self._database, owner, running))
                mended += reconciler.forget_long_dead(connection, self._database)
        return mended

    # What is asked of the board, the simple way

    def _look(self, *, fresh: bool = True) -> list[tuple[Any, bool]]:
        """All postings in order, and whether they are claimed. Our boards tell that in one request."""
        if hasattr(self.board, "postings"):
            return list(self.board.postings(ensure_fresh=fresh))
        postings = list(self.board.iterjobs(ensure_fresh=fresh))
        free = {posting.uuid for posting in self.board.iterjobs(only_unclaimed=True)}
        return [(posting, posting.uuid not in free) for posting in postings]

    def _post(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.board.post(row["flow"], details=details_of(row), priority=priority_of(row))

    def _hold(self, owner: Owner, postings: Sequence[Any]) -> list[Any]:
        """Claim postings; those that nobody else has."""
        return [posting for posting in postings if self._is_claimed_by(owner, posting)]

    # Feeding

    def _feed(self, flows: Sequence[str], there: Sequence[tuple[Any, bool]]) -> bool:
        """Top up the window that these flows have; whether anything was posted."""
        self._feed_at_s = time.monotonic() + _FEED_S
        taken = [rank(posting) for posting, _claimed in there if _is_of(posting, flows)]
        with self._database.write() as connection:
            due = feeder.take_due(connection, self._database, flows, self._window, taken)
        self._post(due)
        return bool(due)

    def _missing(self, connection: sa.Connection, on_board: Collection[Any]) -> Collection[str]:
        """Postings that did not reach the board, or were removed by someone else.

        Another conductor may be about to post what it has just taken: only what stays missing is given up. So the
        same batch of records is looked at until that is known.
        """
        missed = {row["posting"] for row in self._rounds.next_batch(connection)} - _ids(on_board)
        if not self._missed:
            self._missed, self._missed_at_s = frozenset(missed), time.monotonic()
        if self._missed and time.monotonic() - self._missed_at_s < _POSTED_S:
            self._rounds.look_again()
            return ()
        missed &= self._missed
        self._missed = frozenset()
        return missed

    def _put_back(self, missing: Collection[str]) -> int:
        """What waits is in line again for the window; what had begun and has no conductor is posted at once."""
        with self._database.write() as connection:
            count, renewed = reconciler.put_back(connection, self._database, missing)
        self._post(renewed)
        return count

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

    def _claim(self, owner: Owner, limit: int, left: Sequence[Any], busy: Collection[str]) -> list[Claim]:
        found: list[Claim] = []
        try:
            while left and len(found) < limit:
                # A job may be there twice, after an outage; it is never to be had twice.
                had = {*busy, *(claim.job for claim in found)}
                chosen, left = _one_of_each(left, had, limit - len(found))
                found += self._claim_these(owner, chosen)
        except (exceptions.JobFailure, Unreachable):
            # The board or the database has gone in between: what was claimed before is to be run all the same.
            if not found:
                raise
        return found

    def _claim_these(self, owner: Owner, postings: Sequence[Any]) -> list[Claim]:
        held = self._hold(owner, postings)
        if not held:
            return []
        try:
            return self._tell_records(owner, held)
        except Unreachable:
            for posting in held:
                self.board.abandon(posting, owner.id)
            raise

    def _is_claimed_by(self, owner: Owner, posting: Any) -> bool:
        """Claim a posting; False if someone else has."""
        try:
            self.board.claim(posting, owner.id)
        except (exceptions.UnclaimableJob, exceptions.NotFound):
            return False
        return True

    def _tell_records(self, owner: Owner, held: Sequence[Any]) -> list[Claim]:
        """Raise the records' epochs for postings that are ours; put those down that are of no use."""
        handles = {posting_id(posting) or "": (owner.id, posting) for posting in held}
        with self._database.write() as connection:
            others = held_by_others(connection, self._database, owner, list(handles))
            mine = [uuid for uuid in handles if uuid not in others]
            taken = claims.take(connection, self._database, owner, mine, handles)
        useful = {claim.posting for claim in taken}
        for posting in held:
            uuid = posting_id(posting)
            if uuid in others and not self._is_surplus(posting):
                self.board.abandon(posting, owner.id)
            elif uuid not in useful:
                self.board.consume(posting, owner.id)  # its record is at rest, or has another posting
        return taken

    def _is_surplus(self, posting: Any) -> bool:
        """Whether the job that runs is on the board a second time."""
        return any(
            posting_id(other) == posting_id(posting) and other.uuid != posting.uuid for other, _ in self._look()
        )


def _usable(there: Sequence[tuple[Any, bool]], flows: Collection[str]) -> list[Any]:
    """Those that nobody has claimed, of flows that are known."""
    return [posting for posting, claimed in there if not claimed and _is_of(posting, flows)]


def _is_of(posting: Any, flows: Collection[str]) -> bool:
    """Is it one of ours, of one of these flows?"""
    return posting.name in flows and posting_id(posting) is not None


def _one_of_each(postings: Sequence[Any], had: Collection[str], most: int) -> tuple[Sequence[Any], Sequence[Any]]:
    """The first of each job that is not `had`, so many at most; and what is left of the others."""
    chosen: dict[str | None, Any] = {}
    left = []
    for posting in postings:
        job = job_id(posting)
        if job in had:
            continue
        if job in chosen or len(chosen) == most:
            left.append(posting)
        else:
            chosen[job] = posting
    return list(chosen.values()), left


def details_of(row: Row) -> dict[str, str]:
    """What the posting of a record says."""
    return {"job": row["id"], "posting": row["posting"]}


def priority_of(row: Row) -> str:
    """A record's priority, as TaskFlow calls it."""
    return priority_name(row["priority"]).upper()


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
