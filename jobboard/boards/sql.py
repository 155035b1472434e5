"""The `sql` board: a TaskFlow jobboard in an SQLite or PostgreSQL database.

    board = taskflow.jobs.backends.fetch("name", {"board": "sql", "connection": URL, "lease": 15})
    board.connect()

Boards of different names may share a database. A claim holds as long as the board's session lives.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from oslo_serialization import jsonutils
from taskflow import exceptions as excp
from taskflow import states
from taskflow.jobs import base

from jobboard.boards.session import Session, sweep
from jobboard.boards.sql_fence import ClaimFence
from jobboard.boards.sql_job import PAGE, Place, Posted, Sight, SqlJob, SqlJobIterator, job_of
from jobboard.boards.who import check_who
from jobboard.database import Database, open_database, to_json
from jobboard.errors import SettingError, Unreachable
from jobboard.merged import each_alone, first_of
from jobboard.models import PRIORITIES
from jobboard.schema import Values, postings, sessions
from jobboard.signals import Channel, Listener, notify

LOG = logging.getLogger(__name__)

_LEASE_S: Final = 15.0
_POLL_S: Final = 1.0  # what a signal that was lost costs `wait` at most


class SqlJobBoard(base.NotifyingJobBoard):
    """Thread-safe. Every method raises TaskFlow's `JobFailure` when the database does not answer.

    Claims belong to this object, not to a name: another board with the same name cannot end them. When its
    session has died, for instance because the process was stopped for longer than a lease, its claims are lost,
    and the next `iterjobs` or `claim` opens a new one.
    """

    def __init__(
        self,
        name: str,
        conf: Mapping[str, Any],
        persistence: Any = None,
        database: Database | None = None,
    ) -> None:
        """`database`: one that is open, and stays so; else `conf["connection"]` is opened by `connect`."""
        super().__init__(name, conf)
        if database is None and not conf.get("connection"):
            raise SettingError(
                f"jobboard {name}: it needs a database: connection=sqlite:////path or postgresql://…"
            )
        self.lease_s: Final = _lease_s(name, conf)
        self.malformed: dict[str, str] = {}
        """Postings that iterations passed over, by uuid, and why."""
        self._persistence = persistence
        self._given = database
        # Guards the two below.
        self._lock = threading.RLock()
        self._database = database
        self._session: Session | None = None

    @property
    def session(self) -> Session | None:
        """The lease that this board's claims live by; None when not connected."""
        return self._session

    @property
    def connected(self) -> bool:
        """Is it connected, with a lease that holds?"""
        session = self._session
        return session is not None and session.alive

    def connect(self) -> None:
        """Bring an empty database's schema up to date and begin the lease; a new one if that has died.

        Raises `SettingError` and `DatabaseTooNew`, too.
        """
        with self._lock, _reached(f"jobboard {self.name}: connecting"):
            if self._database is None:
                self._database = open_database(self._conf["connection"])
            if not self.connected:
                self._open_session()

    def close(self) -> None:
        """End the lease; what is still claimed is free for others."""
        with self._lock:
            session, self._session = self._session, None
            if session is not None:
                self._close_session(session)
            if self._given is None and self._database is not None:
                self._database.close()
                self._database = None

    def post(
        self,
        name: str,
        book: Any = None,
        details: dict[str, Any] | None = None,
        priority: base.JobPriority | str = base.JobPriority.NORMAL,
    ) -> SqlJob:
        """Put a job on the board. Raises `ValueError` for details that are no JSON."""
        priority = base.JobPriority.convert(priority)
        stored = jsonutils.to_primitive(details or {})  # as lenient as TaskFlow's other boards
        to_json(stored)
        with self._connected(f"posting {name}") as database:
            now = database.now()
            row: Values = {
                "uuid": str(uuid.uuid4()),
                "board": self.name,
                "name": name,
                "priority": PRIORITIES.index(priority.value.lower()),
                "details": stored,
                "book": {"name": book.name, "uuid": book.uuid} if book is not None else None,
                "created_at": now,
                "modified_at": now,
            }
            with database.write() as connection:
                connection.execute(sa.insert(postings), row)
                notify(connection, Channel.WORK)
        job = SqlJob(
            self,
            name,
            uuid=row["uuid"],
            priority=priority,
            details=details or {},
            book=book,
            book_data=row["book"],
            backend=self._persistence,
        )
        self.notifier.notify(base.POSTED, {"job": job})
        return job

    def claim(self, job: SqlJob, who: str) -> None:
        """Claim it, or raise `UnclaimableJob`, also if it is `who` that has it; `NotFound` when it is gone."""
        check_who(who)
        with self._connected(f"claiming job {job.uuid}") as database:
            if self._claim(database, self._living_session(), job, who):
                return
            sight = self.look(job)
            if sight is not None and sight.state == states.UNCLAIMED:
                # Either our session has died, or the one that held the job has.
                sweep(database)
                if self._claim(database, self._living_session(ask=True), job, who):
                    return
                sight = self.look(job)
        if sight is None:
            raise excp.NotFound(f"job {job.uuid} cannot be claimed: it is not on the board")
        raise excp.UnclaimableJob(f"job {job.uuid} is already claimed by {sight.owner or 'another'}")

    def consume(self, job: SqlJob, who: str) -> None:
        """Take it off the board for good. `NotFound` if nobody has claimed it, `JobFailure` if another has."""
        self._end_claim(job, who, "consumed", lambda _now: sa.delete(postings))
        self.notifier.notify(base.REMOVAL, {"job": job})

    def abandon(self, job: SqlJob, who: str) -> None:
        """Give it back to be claimed again. Raises as `consume`."""

        def free(now: datetime) -> sa.Update:
            return sa.update(postings).values(session=None, owner=None, modified_at=now)

        self._end_claim(job, who, "abandoned", free, Channel.WORK)

    def trash(self, job: SqlJob, who: str) -> None:
        """Take it off the board but keep its row, with who did it and when. Raises as `consume`."""

        def trash(now: datetime) -> sa.Update:
            return sa.update(postings).values(session=None, trashed_at=now, modified_at=now)

        self._end_claim(job, who, "trashed", trash)
        self.notifier.notify(base.REMOVAL, {"job": job})

    def fence(self, job: SqlJob, who: str) -> ClaimFence:
        """A fence that holds while this claim of `who` does, for `Persistence` in the same database.

        `NotFound` if nobody has claimed the job, `JobFailure` if another has.
        """
        check_who(who)
        with self._connected(f"job {job.uuid} cannot be fenced") as database:
            session = self._required_session()
            mine = sa.and_(postings.c.uuid == job.uuid, self._here(), self._claimed_by(session, who))
            with database.read() as connection:
                claimed_at = connection.execute(sa.select(postings.c.modified_at).where(mine)).scalar()
            if claimed_at is not None:
                return ClaimFence(job.uuid, session.id, claimed_at)
            raise self._not_claimed(job, who, "fenced")

    def find_owner(self, job: SqlJob) -> str | None:
        """Who has claimed it, if the claim still holds."""
        sight = self.look(job)
        return None if sight is None else sight.owner

    def look(self, job: SqlJob) -> Sight | None:
        """What the posting is like now; None if it is not on the board."""
        with self._connected(f"looking at job {job.uuid}") as database, database.read() as connection:
            row = connection.execute(
                sa.select(postings.c.owner, postings.c.created_at, postings.c.modified_at, sessions.c.id)
                .outerjoin_from(postings, sessions, _holder(database))
                .where(postings.c.uuid == job.uuid, self._here())
            ).one_or_none()
        if row is None:
            return None
        if row.id is None:
            return Sight(states.UNCLAIMED, None, row.created_at, row.modified_at)
        return Sight(states.CLAIMED, row.owner, row.created_at, row.modified_at)

    def iterjobs(self, only_unclaimed: bool = False, ensure_fresh: bool = False) -> SqlJobIterator:
        """Iterate by priority, then oldest first. Always fresh: each page of jobs is read when it is reached."""
        with self._connected("iterating"):
            self._living_session()
            return SqlJobIterator(
                self, LOG, self._read_page, only_unclaimed=only_unclaimed, ensure_fresh=ensure_fresh
            )

    def wait(self, timeout: float | None = None) -> SqlJobIterator:
        """Wait until there are jobs on the board, claimed or not, and iterate over them. `NotFound`: none came."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        with self._connected("waiting") as database, Listener(database, [Channel.WORK]) as listener:
            while self._is_empty():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise excp.NotFound(f"jobboard {self.name}: no job came in {timeout} s")
                listener.wait(min(left_s, _POLL_S))
        return self.iterjobs()

    @property
    def job_count(self) -> int:
        """How many jobs are on the board, claimed ones too."""
        with self._connected("counting") as database, database.read() as connection:
            count: int = connection.execute(
                sa.select(sa.func.count()).select_from(postings).where(self._here())
            ).scalar_one()
        return count

    def register_entity(self, entity: Any) -> None:
        """Store who uses the board, in its session, for as long as it is connected."""
        with self._connected("registering"):
            self._living_session().register(entity.to_dict())

    def _claim(self, database: Database, session: Session, job: SqlJob, who: str) -> bool:
        now = database.now()
        with database.write() as connection:
            claim = (
                sa.update(postings)
                .where(postings.c.uuid == job.uuid, self._here(), postings.c.session.is_(None), session.holds())
                .values(session=session.id, owner=who, modified_at=now)
            )
            return connection.execute(claim).rowcount == 1

    def _end_claim(
        self,
        job: SqlJob,
        who: str,
        done: str,
        change: Callable[[datetime], sa.Update | sa.Delete],
        *signals: Channel,
    ) -> None:
        check_who(who)
        with self._connected(f"job {job.uuid} cannot be {done}") as database:
            now = database.now()
            session = self._required_session()
            with database.write() as connection:
                mine = self._claimed_by(session, who)
                ended = connection.execute(change(now).where(postings.c.uuid == job.uuid, self._here(), mine))
                if ended.rowcount == 1:
                    notify(connection, *signals)
                    return
            raise self._not_claimed(job, who, done)

    @staticmethod
    def _claimed_by(session: Session, who: str) -> sa.ColumnElement[bool]:
        return sa.and_(postings.c.session == session.id, postings.c.owner == who, session.holds())

    def _not_claimed(self, job: SqlJob, who: str, done: str) -> Any:
        owner = self.find_owner(job)
        if owner is None:
            return excp.NotFound(f"job {job.uuid} cannot be {done}: nobody has claimed it, or it is gone")
        if owner == who:
            owner = f"another process named {who}"
        return excp.JobFailure(f"job {job.uuid} cannot be {done} by {who}: it is claimed by {owner}")

    def _read_page(self, after: Place, only_unclaimed: bool) -> Sequence[Posted]:
        with self._connected("iterating") as database, database.read() as connection:
            names = list(connection.execute(self._names()).scalars())
            rows = connection.execute(self._page(database, names, after, only_unclaimed=only_unclaimed)).all()
        return [Posted((row.priority, row.seq), row.session is not None, self._job_of(row)) for row in rows]

    def _names(self) -> sa.Select[Any]:
        """The flows of Countermand's own jobs that are free: the index has them by flow."""
        names = each_alone(postings, "name", self._here(), _FREE, _OURS)
        return sa.select(names.c.name).where(names.c.name.is_not(None))

    def _page(
        self, database: Database, names: Sequence[str], after: Place, *, only_unclaimed: bool
    ) -> sa.Select[Any]:
        here = sa.and_(self._here(), sa.tuple_(postings.c.priority, postings.c.seq) > sa.tuple_(*after))
        # A dead session's are among the free ones once they are swept.
        free = sa.select(*_READ, sa.null().label("session")).where(here, _FREE)
        parts = [free.where(~_OURS), *(free.where(_OURS, postings.c.name == name) for name in names)]
        if not only_unclaimed:
            held = sa.select(*_READ, sessions.c.id.label("session")).where(here, ~_FREE)
            parts.append(held.outerjoin_from(postings, sessions, _holder(database)))
        return first_of(parts, ("priority", "seq"), PAGE)

    def _job_of(self, row: sa.Row[Any]) -> SqlJob | None:
        try:
            return job_of(row, self, self._persistence)
        except ValueError as error:
            if row.uuid not in self.malformed:
                LOG.warning("jobboard %s: posting %s is passed over: %s", self.name, row.uuid, error)
            self.malformed[row.uuid] = str(error)
            return None

    def _here(self) -> sa.ColumnElement[bool]:
        return sa.and_(postings.c.board == self.name, postings.c.trashed_at.is_(None))

    def _is_empty(self) -> bool:
        with self._connected("waiting") as database, database.read() as connection:
            return connection.execute(sa.select(postings.c.seq).where(self._here()).limit(1)).first() is None

    def _open_session(self) -> None:
        old = self._session
        session = Session(self._required_database().reserved, self.lease_s, old.entity if old else None)
        session.open()
        self._session = session
        if old is not None:
            self._close_session(old)

    def _close_session(self, session: Session) -> None:
        try:
            session.close()
        except Unreachable as error:
            LOG.warning("jobboard %s: its lease was not ended, and runs out by itself: %s", self.name, error)

    def _living_session(self, *, ask: bool = False) -> Session:
        with self._lock:
            session = self._required_session()
            if not (session.renew() if ask else session.alive):
                self._open_session()
            return self._required_session()

    def _required_session(self) -> Session:
        session = self._session
        if session is None:
            raise excp.JobFailure(f"jobboard {self.name} is not connected")
        return session

    def _required_database(self) -> Database:
        database = self._database
        if database is None:
            raise excp.JobFailure(f"jobboard {self.name} is not connected")
        return database

    @contextlib.contextmanager
    def _connected(self, doing: str) -> Iterator[Database]:
        self._required_session()
        with _reached(f"jobboard {self.name}: {doing}"):
            yield self._required_database()


@contextlib.contextmanager
def _reached(doing: str) -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        raise excp.JobFailure(f"{doing}: {error}") from error


_FREE: Final = postings.c.session.is_(None)
_OURS: Final = postings.c.job.is_not(None)

# JSON as text: one posting that holds none must not spoil the page.
_READ: Final = (
    postings.c.seq,
    postings.c.uuid,
    postings.c.name,
    postings.c.priority,
    sa.cast(postings.c.details, sa.Text).label("details"),
    sa.cast(postings.c.book, sa.Text).label("book"),
)


def _holder(database: Database) -> sa.ColumnElement[bool]:
    return sa.and_(sessions.c.id == postings.c.session, sessions.c.expires_at > database.server_now)


def _lease_s(name: str, conf: Mapping[str, Any]) -> float:
    text = conf.get("lease", _LEASE_S)
    try:
        lease_s = float(text)
    except (TypeError, ValueError):
        lease_s = 0.0
    if lease_s <= 0:
        raise SettingError(f"jobboard {name}: lease={text!r} is no number of seconds above 0")
    return lease_s
