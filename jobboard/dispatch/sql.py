"""Claims on the `sql` board: a batch in one transaction with the records'."""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from jobboard import claims, feeder, reconciler, signals
from jobboard.boards.session import any_dead, lives, sweep
from jobboard.boards.sql import SqlJobBoard
from jobboard.claims import Claim
from jobboard.database import Database
from jobboard.dispatch.base import Ahead, Dispatch, reached
from jobboard.errors import Unreachable
from jobboard.faults import CLAIMABLE
from jobboard.job_row import posting_row
from jobboard.merged import first_of, is_one
from jobboard.owner import Owner
from jobboard.schema import LIVE, Row, Values, jobs, postings
from jobboard.statements import Prepared, Script, several, several_values

_FED: Final = 100  # jobs at most at a time
_FEED_S: Final = 0.1
_NONE: Final = ("",)  # where no flow is known: none has this name
_PLACE: Final = ("place", "number")
_OURS: Final = sa.and_(
    postings.c.board == sa.bindparam("board"),
    postings.c.session.is_(None),
    postings.c.trashed_at.is_(None),
    postings.c.job.is_not(None),
)
"""The condition on a posting that it is of a job, and that nobody has claimed it."""


def _unclaimed(database: Database, flows: Collection[str]) -> Prepared:
    """What a session that lives may claim, first served first, locked."""
    most: sa.BindParameter[int] = sa.bindparam("most")
    if database.dialect == "sqlite":
        return Prepared(first_of([_of_flow(database, flow) for flow in flows], _PLACE, most))
    # Planned once, however many flows there are.
    wanted = sa.values(sa.column("flow", sa.Text), name="wanted").data([(flow,) for flow in flows])
    of_each = _of_flow(database, wanted.c.flow).order_by(*_PLACE).limit(most).lateral("of_each")
    found = sa.select(of_each).select_from(wanted.join(of_each, sa.true()))
    return Prepared(found.order_by(*(of_each.c[name] for name in _PLACE)).limit(most))


_MAY_RUN: Final = sa.case((sa.and_(postings.c.name == jobs.c.flow, CLAIMABLE), sa.true()), else_=sa.false())
"""The condition on a posting's record. Spelled so that no index of records serves it: a new database, of which
nothing is known yet, would look through all records of a flow rather than follow the board."""


def _of_flow(database: Database, flow: Any) -> sa.Select[Any]:
    holds = lives(sa.bindparam("session_id"), database.server_now)
    return (
        sa.select(jobs, postings.c.priority.label("place"), postings.c.seq.label("number"))
        .join(postings, jobs.c.posting == postings.c.uuid)
        .where(_OURS, postings.c.name == flow, _MAY_RUN, holds)
        .with_for_update(of=[jobs, postings], skip_locked=True)
    )


@functools.cache
def _take(count: int) -> Prepared:
    """Claims so many postings, which are locked."""
    now = sa.bindparam("now", type_=postings.c.modified_at.type)
    new = {"session": sa.bindparam("session_id"), "owner": sa.bindparam("owner_id"), "modified_at": now}
    return Prepared(sa.update(postings).where(postings.c.uuid.in_(several("uuid", count))).values(new))


def _ahead(database: Database, flows: Collection[str]) -> Prepared:
    of_flow = sa.select(postings.c.seq).where(_OURS, postings.c.name == feeder.KNOWN)
    posted = is_one(of_flow.order_by(postings.c.priority, postings.c.seq).limit(1))
    dead = sa.select(any_dead(database)).scalar_subquery()
    return Prepared(feeder.ahead_beside(len(flows), posted.label("posted"), dead.label("dead")))


class _OfFlows(NamedTuple):
    """Statements of a conductor that knows certain flows."""

    unclaimed: Prepared
    ahead: Prepared


_MINE = postings.c.uuid == sa.bindparam("posting")
_FREE: Final = Prepared(sa.update(postings).where(_MINE).values(session=sa.null(), owner=sa.null()))
_DELETE: Final = Prepared(sa.delete(postings).where(_MINE))


class SqlDispatch(Dispatch):
    """The `sql` board in the records' own database."""

    def __init__(self, database: Database, board: SqlJobBoard) -> None:
        self._database = database
        self.board = board
        self._glance = reconciler.Glance(database)
        self._rounds = reconciler.Rounds(database)
        self._crowded = False  # the last pass found as much as it wanted
        self._feed_at_s = 0.0  # so long the board is not fed then
        self._looked_at = 0  # the last posting that was looked at, by its number
        self._made: dict[tuple[str, ...], _OfFlows] = {}

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
        """In one transaction. What is posted begins before the board is fed, if there is room for more."""
        if self.board.session is None:
            raise Unreachable("the board is not connected")
        with self._database.write() as connection:
            fed = self._crowded and self._feed_at_s <= time.monotonic()
            if fed:
                self._feed(connection, flows)
            rows = self._find(connection, flows, limit, busy)
            if not rows and not fed and self._feed(connection, flows):
                rows = self._find(connection, flows, limit, busy)
            self._crowded = len(rows) == limit
            return claims.give(connection, self._database, owner, rows, {}, self._take(owner, rows))

    def look(self, flows: Sequence[str]) -> Ahead:
        """One SELECT for it all."""
        now = self._database.now()
        known = flows or _NONE
        rows = self._database.ask(self._of(known).ahead, {"board": self.board.name, **feeder.given(known, now)})
        is_due, due_s = feeder.seen(rows, now)
        return Ahead(is_due or any(row["posted"] for row in rows), rows[0]["dead"], due_s)

    def free_dead_claims(self) -> int:
        """Free the postings of sessions that have expired."""
        return len(sweep(self._database))

    def mend(self, owner: Owner, running: Collection[str]) -> int:
        """Looks first: a pass that finds nothing locks nothing."""
        anything, _slots = self._glance.take(owner)
        if not anything:
            return 0
        freed = self.free_dead_claims()
        with self._database.read() as connection:
            missing = self._missing(connection)
            stale = self._stale(connection)
            unrun = reconciler.has_unrun(connection, owner, running)
            dead = reconciler.has_long_dead(connection, self._database)
        if not (missing or stale or unrun or dead):
            return freed
        with self._database.write() as connection:
            return (
                freed
                + self._free_unrun(connection, owner, running)
                + self._post_again(connection, missing)
                + self._remove(connection, stale)
                + reconciler.forget_long_dead(connection, self._database)
            )

    def put_down(self, claim: Claim, *, keep_posting: bool) -> Script:
        """Free or remove the posting."""
        script = Script()
        script.add(_FREE if keep_posting else _DELETE, [{"posting": claim.posting}])
        return script

    def was_put_down(self, claim: Claim, *, keep_posting: bool) -> None:
        """Nothing is left: the posting went with the record."""

    def _of(self, flows: Sequence[str]) -> _OfFlows:
        wanted = tuple(flows)
        if wanted not in self._made:
            self._made[wanted] = _OfFlows(_unclaimed(self._database, flows), _ahead(self._database, flows))
        return self._made[wanted]

    def _feed(self, connection: sa.Connection, flows: Sequence[str]) -> bool:
        """Put on the board what is due of these flows; whether anything was."""
        self._feed_at_s = time.monotonic() + _FEED_S
        due = feeder.take_due(connection, self._database, flows, _FED)
        if due:
            now = self._database.now()
            connection.execute(sa.insert(postings), [posting_row(self.board.name, row, now) for row in due])
        return bool(due)

    def _missing(self, connection: sa.Connection) -> list[str]:
        """Records whose posting is not there: another board was in use before, or someone removed it."""
        there = is_one(sa.select(postings.c.seq).where(postings.c.uuid == jobs.c.posting)).label("there")
        return [row["id"] for row in self._rounds.next_batch(connection, there) if not row["there"]]

    def _stale(self, connection: sa.Connection) -> list[str]:
        """Postings that nobody holds and no record wants: it rests, has another one, or is gone."""
        wants = sa.and_(jobs.c.id == postings.c.job, jobs.c.posting == postings.c.uuid, LIVE)
        batch = (
            sa.select(postings.c.seq, postings.c.uuid, is_one(sa.select(jobs.c.id).where(wants)).label("wanted"))
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

    def _find(
        self, connection: sa.Connection, flows: Sequence[str], limit: int, busy: Collection[str]
    ) -> list[Values]:
        """The records of postings that may be claimed, locked with these."""
        wanted = {
            "board": self.board.name,
            "session_id": self.board.session.id,
            "most": limit + len(busy),
        }
        found = self._of(flows).unclaimed.fetch(connection, wanted) if flows else []
        return [row for row in found if row["id"] not in busy][:limit]

    def _take(self, owner: Owner, rows: Sequence[Row]) -> Script:
        script = Script()
        if rows:
            taken = {"session_id": self.board.session.id, "owner_id": owner.id, "now": self._database.now()}
            script.add(_take(len(rows)), [taken | several_values("uuid", [row["posting"] for row in rows])])
        return script
