"""The tables, as SQLAlchemy Core objects. Migrations bring a database to this form.

TaskFlow's own tables (logbooks, flowdetails, atomdetails) live in the same database and are made by
TaskFlow's own definitions; ours never point to them by foreign key, so that either can be purged alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from jobboard.malformed import Malformed, shown
from jobboard.states import AT_REST, ENDED, State

VERSION: Final = "0006"
"""The newest migration. A test holds it against the folder `migrations/versions`."""

VERSION_TABLE: Final = "countermand_version"
"""Ours: TaskFlow's migrations own alembic's default name on PostgreSQL."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC with microseconds: `timestamptz` on PostgreSQL, sortable text on SQLite.

    What is stored and is none is read as `Malformed`.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment without a time zone cannot be stored: {value!r}")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Reads what the driver gives."""
        parse = self.impl_instance.result_processor(dialect, coltype)

        def read(value: Any) -> datetime | Malformed | None:
            if value is None or isinstance(value, Malformed):
                return value
            try:
                return _utc(parse(value) if parse else value)
            except (ValueError, TypeError, OverflowError):
                return Malformed(f"no moment: {shown(value)}")

        return read


def _utc(moment: Any) -> datetime:
    utc: datetime = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return utc


Seq = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite counts up only columns that are plainly INTEGER."""

metadata = sa.MetaData()


def _is(state: State) -> sa.ColumnElement[str]:
    # Written out, not as a parameter: SQLite knows the condition of an index again only by its words.
    return sa.literal_column(f"'{state}'", sa.String)


def _each(states: frozenset[State]) -> list[sa.ColumnElement[str]]:
    return [_is(state) for state in sorted(states)]


jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("flow", sa.String(255), nullable=False),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("masked", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("key", sa.String(255)),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("posted_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    # The attempt that runs, waits or ran last.
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("begun", sa.Boolean, nullable=False),  # a conductor has run tasks in this attempt
    sa.Column("kept", sa.Boolean, nullable=False),  # it failed, and its results were kept
    sa.Column("ran_s", sa.Float, nullable=False),  # running time of this attempt by earlier conductors
    sa.Column("progress", sa.Float, nullable=False),
    # What a post may set for one job.
    sa.Column("timeout_s", sa.Float),
    sa.Column("max_retries", sa.Integer, nullable=False),
    sa.Column("retry_interval_s", sa.Float, nullable=False),
    sa.Column("retries_left", sa.Integer, nullable=False),
    sa.Column("max_running", sa.Integer),
    sa.Column("on_failure", sa.String(8), nullable=False),
    # Who works on it. Invariant: a write for the job counts only with the epoch that is stored here.
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("claims", sa.Integer, nullable=False),  # in this attempt, without orderly hand-backs
    sa.Column("conductor", sa.String(255)),  # its name, for people; stays when the job rests
    sa.Column("owner", sa.String(255)),  # host:pid:random of the conductor that holds it
    # The posting's uuid. Invariant: null exactly while the job is at rest or waits for its turn.
    sa.Column("posting", sa.String(36)),
    # The cancel of this attempt.
    sa.Column("cancel_requested_at", UtcDateTime),
    sa.Column("cancel_by", sa.String(255)),
    sa.Column("cancel_reason", sa.Text),
    sa.Column("cancel_delivered_at", UtcDateTime),
    sa.Column("cancel_stopped_at", UtcDateTime),
    sa.Column("deleting", sa.Boolean, nullable=False),  # to be removed once it is cancelled
    sa.Column("cleanup", sa.Boolean, nullable=False),  # reverts that failed are to run again
    # Large values last: SQLite need not read over them.
    sa.Column("results", sa.JSON(none_as_null=True)),
    sa.Column("tasks", sa.JSON, nullable=False),
    sa.Index("jobs_state", "state", "id"),
    sa.Index("jobs_flow_state", "flow", "state", "id"),
)

LIVE: Final = jobs.c.state.not_in(_each(AT_REST))
"""The condition on a record that it is not at rest: it has a posting, or waits for one."""

WAITING: Final = sa.and_(jobs.c.posting.is_(None), LIVE)
"""The condition on a record that it waits for a posting."""

PENDING: Final = jobs.c.state == _is(State.PENDING)
"""That it waits for a conductor, for its time, or for room."""

LIMITED: Final = sa.and_(WAITING, PENDING, jobs.c.max_running.is_not(None))
"""That it waits, and its flow's `max_running` may be what for."""

UNLIMITED: Final = sa.and_(WAITING, sa.or_(sa.not_(PENDING), jobs.c.max_running.is_(None)))
"""That it waits for nothing but its time and its turn."""

LIMITED_ON_BOARD: Final = sa.and_(jobs.c.posting.is_not(None), jobs.c.max_running.is_not(None))
"""That it counts towards its flow's `max_running`."""


def _when_made(table: sa.Table, item: sa.Table | sa.Index, option: str, value: object) -> None:
    """Set an option of a dialect on `item` once its `table` is made in a database of that dialect.

    As an argument, SQLAlchemy would import the dialect for it, also where another kind of database is in use.
    """

    def give(_table: sa.Table, connection: sa.Connection, **_others: object) -> None:
        if option.startswith(f"{connection.dialect.name}_"):
            item.dialect_kwargs[option] = value

    sa.event.listen(table, "before_create", give)


def _partial(name: str, condition: sa.ColumnElement[bool], *columns: sa.Column[Any], unique: bool = False) -> None:
    """An index of some rows: the others cost nothing."""
    index = sa.Index(name, *columns, unique=unique)
    for dialect in ("postgresql", "sqlite"):
        _when_made(columns[0].table, index, f"{dialect}_where", condition)


_partial("jobs_unposted", UNLIMITED, jobs.c.flow, jobs.c.priority, jobs.c.due_at, jobs.c.id)
_partial("jobs_limited", LIMITED, jobs.c.flow, jobs.c.priority, jobs.c.due_at, jobs.c.id)
_partial("jobs_limited_posted", LIMITED_ON_BOARD, jobs.c.flow)
_partial("jobs_due", WAITING, jobs.c.flow, jobs.c.due_at)
_partial("jobs_pending", PENDING, jobs.c.due_at)
_partial("jobs_finished", jobs.c.finished_at.is_not(None), jobs.c.finished_at, jobs.c.id)
_partial("jobs_owner", jobs.c.owner.is_not(None), jobs.c.owner)
_partial("jobs_posting", jobs.c.posting.is_not(None), jobs.c.posting)

KEPT_KEY: Final = sa.and_(jobs.c.key.is_not(None), jobs.c.state.not_in(_each(ENDED)))
"""That it has a key, and has not ended: the key gives it back."""

_partial("jobs_key", KEPT_KEY, jobs.c.key, unique=True)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("job", sa.String(26), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("flow_detail", sa.String(36)),  # TaskFlow's, in the logbook named for the job
    sa.Column("fingerprint", sa.String(64)),  # of the flow's structure when it began
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("outcome", sa.String(16)),
    sa.Column("error", sa.JSON(none_as_null=True)),
)


def current_attempts(ids: Collection[str]) -> sa.ColumnElement[bool]:
    """The condition on a row of `attempts` that it is of one of these jobs, and its last one."""
    last = sa.select(jobs.c.attempt).where(jobs.c.id == attempts.c.job).scalar_subquery()
    return sa.and_(attempts.c.job.in_(ids), attempts.c.number == last)


events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", Seq, primary_key=True, autoincrement=True),
    sa.Column("job", sa.String(26), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("task", sa.String(255)),
    sa.Column("state", sa.String(16)),
    sa.Column("by", sa.String(255)),
    sa.Column("message", sa.Text),
    sa.Column("data", sa.JSON(none_as_null=True)),
    sa.Index("events_job", "job", "kind", "seq"),
)
_when_made(events, events, "sqlite_autoincrement", True)

conductors = sa.Table(
    "conductors",
    metadata,
    sa.Column("owner", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("flows", sa.JSON, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

postings = sa.Table(
    "postings",
    metadata,
    sa.Column("seq", Seq, primary_key=True, autoincrement=True),
    sa.Column("uuid", sa.String(36), nullable=False, unique=True),
    sa.Column("board", sa.String(255), nullable=False),
    sa.Column("name", sa.Text, nullable=False),  # the flow's, for a job of ours
    sa.Column("job", sa.String(26)),  # null for a posting of a plain TaskFlow user
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("book", sa.JSON(none_as_null=True)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("modified_at", UtcDateTime, nullable=False),
    sa.Column("session", sa.String(36)),
    sa.Column("owner", sa.String(255)),
    sa.Column("trashed_at", UtcDateTime),
)
_when_made(postings, postings, "sqlite_autoincrement", True)
_free = sa.and_(postings.c.session.is_(None), postings.c.trashed_at.is_(None))
# Of ours a conductor wants those whose flow it knows. Of TaskFlow users' each may have a name of its own.
_ours = sa.and_(_free, postings.c.job.is_not(None))
_partial("postings_ours", _ours, postings.c.board, postings.c.name, postings.c.priority, postings.c.seq)
_others = sa.and_(_free, postings.c.job.is_(None))
_partial("postings_others", _others, postings.c.board, postings.c.priority, postings.c.seq)
_partial("postings_held", postings.c.session.is_not(None), postings.c.session)
sa.Index("postings_job", postings.c.job)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("entity", sa.JSON(none_as_null=True)),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Index("sessions_expires", "expires_at"),
)

deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("job", sa.String(26), primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("by", sa.String(255), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("gone_at", UtcDateTime),
    sa.Index("deletions_gone_at", "gone_at"),
)
"""Who asked for a job to be deleted, and when it went: all that is left of it. Purged as ended jobs are."""

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("role", sa.String(8), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of its text, in hexadecimal digits
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(255), nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
)

Row = Mapping[Any, Any]
"""A row of one of these tables, as read or as about to be written."""

Values = dict[str, Any]
