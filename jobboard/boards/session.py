"""The lease of one process's claims: they hold as long as its row in `sessions` is renewed.

A claim names its session, so one renewal keeps them all, however many they are. When a process dies its
session expires by the database's clock, and whoever sweeps next frees what it held.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from jobboard import signals
from jobboard.boards.clock import GIVEN_UP
from jobboard.boards.clock import now_s as _now_s
from jobboard.database import Database
from jobboard.errors import Unreachable
from jobboard.faults import lasts
from jobboard.schema import postings, sessions
from jobboard.statements import Prepared, Script

LOG = logging.getLogger(__name__)

_BEATS_A_LEASE: Final = 3
_RETRIES_A_LEASE: Final = 15


class Session:
    """A lease that a thread of its own renews. Thread-safe.

    Once it is dead it is dead for ever: open another one. It dies when the database has seen it expire, when
    it is closed, and when `alive` has once answered False: who acts on that answer must be able to rely on it.
    """

    def __init__(self, database: Database, lease_s: float = 15.0, entity: dict[str, Any] | None = None) -> None:
        self.id: Final = str(uuid.uuid4())
        self.lease_s: Final = lease_s
        self._database = database
        self._renewal = Prepared(
            sa.update(sessions)
            .where(sessions.c.id == self.id, sessions.c.expires_at > database.server_now)
            .values(expires_at=database.server_after(lease_s))
        )
        self._entity = entity
        # Guards the two below. Invariant: once it was open, `_dead` is never taken back.
        self._lock = threading.Lock()
        self._dead = True
        self._asked_at = 0.0  # when the last renewal that succeeded was begun
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"session-{self.id[:8]}", daemon=True)

    def open(self) -> None:
        """Begin the lease, and free what sessions that died before still hold. Once only. Raises `Unreachable`."""
        sweep(self._database)
        asked_at = _now_s()
        with self._database.write() as connection:
            expires_at = self._database.server_after(self.lease_s)
            row = {"id": self.id, "entity": self._entity, "expires_at": expires_at}
            connection.execute(sa.insert(sessions).values(row))
        with self._lock:
            self._dead, self._asked_at = False, asked_at
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Does the lease certainly hold still? False is final.

        Asks no server: counted from before the last renewal, so the database's lease never ends earlier. Taken
        for dead a little before it ends, so that nothing is begun any more that it would not cover.
        """
        with self._lock:
            if not self._dead and _now_s() >= self._asked_at + self.lease_s * GIVEN_UP:
                self._dead = True
            return not self._dead

    def renew(self) -> bool:
        """Prolong the lease. False: it is dead. The thread does this; call it to know for sure.

        Raises `Unreachable`; the lease may have been prolonged all the same.
        """
        with self._lock:
            if self._dead:
                return False
        asked_at = _now_s()
        renewed = self._database.commit(Script((self._renewal, {})), again=True)
        with self._lock:
            if not renewed:
                self._dead = True
            self._asked_at = max(self._asked_at, asked_at)
            return not self._dead

    def holds(self) -> sa.ColumnElement[bool]:
        """The condition, for the statement that claims or ends a claim, that the lease has not expired."""
        return lives(self.id, self._database.server_now)

    def register(self, entity: dict[str, Any]) -> None:
        """Store who this is, for people to read. Raises `Unreachable`."""
        self._entity = entity
        with self._database.write() as connection:
            connection.execute(sa.update(sessions).where(sessions.c.id == self.id).values(entity=entity))

    @property
    def entity(self) -> dict[str, Any] | None:
        """What was registered."""
        return self._entity

    def close(self) -> None:
        """End the lease now and free its claims.

        Blocks for a lease at most while the thread waits for a server that does not answer; then, and when it
        raises `Unreachable`, the lease ends by itself.
        """
        self._stop.set()
        with self._lock:
            self._dead = True
        if self._thread.is_alive() and not self._ended():
            LOG.warning("session %s: closed while the database does not answer, its lease runs out", self.id)
            return
        with self._database.write() as connection:
            freed = connection.execute(_free(self._database, [self.id])).all()
            connection.execute(sa.delete(sessions).where(sessions.c.id == self.id))
            if freed:
                signals.notify(connection, signals.Channel.WORK)

    def _ended(self) -> bool:
        if self._thread is not threading.current_thread():
            self._thread.join(self.lease_s)
        return not self._thread.is_alive()

    def _keep(self) -> None:
        pause_s = self.lease_s / _BEATS_A_LEASE
        while not self._stop.wait(pause_s):
            try:
                if not self.renew():
                    if self._stop.is_set():
                        return
                    LOG.warning("session %s: the lease is lost, and its claims with it", self.id)
                    return
                sweep(self._database)
                pause_s = self.lease_s / _BEATS_A_LEASE
            except Unreachable as error:
                LOG.warning("session %s: not renewed: %s", self.id, error)
                pause_s = self.lease_s / _RETRIES_A_LEASE
            except Exception:  # a thread that ended here would let the lease run out
                LOG.exception("session %s: not renewed", self.id)
                pause_s = self.lease_s / _RETRIES_A_LEASE


def lives(session: Any, now: Any) -> sa.ColumnElement[bool]:
    """The condition that the lease of this session has not expired by then."""
    return sa.exists().where(sessions.c.id == session, sessions.c.expires_at > now)


@dataclass(frozen=True)
class Freed:
    """A posting whose holder died. It can be claimed again."""

    uuid: str
    board: str
    job: str | None


def sweep(database: Database) -> list[Freed]:
    """Free what dead sessions hold. Writes only if there is something to free. Raises `Unreachable`."""
    [found] = database.ask(Prepared(sa.select(any_dead(database).label("dead"))), {})
    if not found["dead"]:
        return []
    with database.write() as connection:
        return free_dead_claims(connection, database)


def free_dead_claims(connection: sa.Connection, database: Database) -> list[Freed]:
    """Delete the sessions that have expired and free their postings; signals WORK if there were any.

    Many may do so at once: none waits for a row that another has locked, so there is no deadlock; what one
    passes over, the next sweep finds.
    """
    connection.execute(_delete_expired(database))
    # Only from here on: what is held by a session that has no row, which includes claims that were committed
    # just after their session was deleted. The update names the dead by id: a row that a living session took in
    # the meantime, even one so new that this statement's snapshot does not know it, stays as it is.
    dead = connection.execute(sa.select(postings.c.session).where(_orphaned()).distinct()).scalars().all()
    if not dead:
        return []
    freed = [Freed(row.uuid, row.board, row.job) for row in connection.execute(_free(database, dead))]
    if freed:
        signals.notify(connection, signals.Channel.WORK)
    return freed


def any_dead(database: Database) -> sa.ColumnElement[bool]:
    """The condition that a session has expired, or that a posting is held by one that is not there."""
    return sa.or_(sa.exists().where(_expired(database)), sa.exists().where(_orphaned()))


def _orphaned() -> sa.ColumnElement[bool]:
    has_session = sa.exists().where(sessions.c.id == postings.c.session).correlate(postings)
    return sa.and_(postings.c.session.is_not(None), ~has_session)


def _expired(database: Database) -> sa.ColumnElement[bool]:
    return sa.not_(lasts(database, sessions.c.expires_at))


def _delete_expired(database: Database) -> sa.Delete:
    expired = sa.select(sessions.c.id).where(_expired(database)).with_for_update(skip_locked=True)
    return sa.delete(sessions).where(sessions.c.id.in_(expired))


def _free(database: Database, dead: Sequence[str | None]) -> ReturningUpdate[tuple[str, str, str | None]]:
    held = sa.select(postings.c.seq).where(postings.c.session.in_(dead)).with_for_update(skip_locked=True)
    return (
        sa.update(postings)
        .where(postings.c.seq.in_(held))
        .values(session=None, owner=None, modified_at=database.server_now)
        .returning(postings.c.uuid, postings.c.board, postings.c.job)
    )
