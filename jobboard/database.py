"""One database: SQLite or PostgreSQL, one pooled engine, transactions that read or write.

`open_database` brings the schema up to date first. Every failure to reach the server comes out as
`Unreachable`, which names the server without its password.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from jobboard.address import without_password
from jobboard.errors import SettingError, Unreachable
from jobboard.malformed import Malformed, read_json, shown
from jobboard.migrations import upgrade
from jobboard.schema import VERSION, UtcDateTime, Values
from jobboard.statements import Prepared, Script

if TYPE_CHECKING:
    import sqlite3

_POSTGRESQL = {
    # A half-open connection is noticed in seconds, not in the system's 15 minutes.
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
    "application_name": "countermand",
}
_POOL = 10  # connections that are kept, and so many more for a while: PostgreSQL allows 100 as it comes
_RESERVED = 3
_BUSY_S = 30.0
# Who stops in the middle of a transaction, frozen or cut off, keeps its locks no longer: others wait for them.
_IDLE_MS = 5_000
_IDLE_S = 1.0  # a connection that was not in use for so long may have been cut meanwhile
_CLOCK_AGE_S = 60.0
T = TypeVar("T")
_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class Database:
    """Transactions on one database. Thread-safe; not to be carried over a fork."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        # The same connections:
        self._writing = engine.execution_options(countermand_write=True)
        self.dialect = engine.dialect.name
        # SQLite has one writer at a time. Waiting for it here, in turn, beats its busy-wait in each thread.
        self._writer: contextlib.AbstractContextManager[Any] = (
            threading.RLock() if self.dialect == "sqlite" else contextlib.nullcontext()
        )
        self._clock = _Clock(self)
        self._reserved_lock = threading.Lock()  # guards the one below
        self._reserved: Database | None = None

    @property
    def reserved(self) -> Database:
        """The same database through a few connections of its own, closed with this one.

        For leases and whoever watches over the others: in a pool, whoever is quick gets the next connection, so
        that among hundreds of busy threads one may wait longer than a lease lasts.
        """
        if self.dialect != "postgresql":
            return self  # SQLite has one writer at a time, however many connections there are
        with self._reserved_lock:
            if self._reserved is None:
                self._reserved = Database(_postgresql_engine(self.engine.url, _RESERVED, 0))
            return self._reserved

    @property
    def address(self) -> str:
        """The database's address, fit to be shown."""
        return without_password(self.engine.url.render_as_string(hide_password=True))

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes: committed at the end of the block, rolled back on an exception.

        Blocks while another writes on SQLite (30 s at most). Raises `Unreachable`.
        """
        with (
            self._writer,
            self._reached(),
            self._writing.connect() as connection,
            connection.begin(),
        ):
            yield connection

    def commit(self, script: Script, *, ask: bool = True, again: bool = False) -> bool:
        """Run a script as a transaction of its own: all of it, or, if its condition does not hold, nothing.

        As `write`, at a fraction of its cost: one request on PostgreSQL, and without SQLAlchemy in between. `ask`:
        whether the connection holds still is asked first; for who tries again anyway it need not be, if it was in
        use just now. `again`: it does no harm if it is run twice, so if the connection does not hold, it is tried
        with another.
        """

        def commit(cursor: Any) -> bool:
            return script.commit(cursor, self.engine.dialect)

        with self._writer, self._reached():
            return self._once_or_twice(commit) if again else self._once(commit, 0.0 if ask else _IDLE_S)

    def ask(self, query: Prepared, row: Values) -> list[Values]:
        """The rows of a SELECT in a transaction of its own. As `read`, at a fraction of its cost: one request.

        Each row as the columns' types have it. Blocks; raises `Unreachable`.
        """
        with self._reached():
            return self._once_or_twice(lambda cursor: query.ask(cursor, self.engine.dialect, row))

    def _once_or_twice(self, work: Callable[[Any], T]) -> T:
        try:
            return self._once(work, math.inf)
        except (sa_exc.OperationalError, sa_exc.InterfaceError):
            return self._once(work, 0.0)

    def _once(self, work: Callable[[Any], T], trusted_s: float) -> T:
        with self._cursor(trusted_s) as cursor:
            return work(cursor)

    @contextlib.contextmanager
    def _cursor(self, trusted_s: float) -> Iterator[Any]:
        """The driver's own, of a connection in no transaction. Its errors come as SQLAlchemy's.

        Of one that rested longer than it is trusted to it is asked first whether it holds still.
        """
        dialect = self.engine.dialect
        held: Any = None
        try:
            held = self.engine.raw_connection()
            while not _holds(dialect, held.dbapi_connection, held.info, trusted_s):
                held.invalidate()
                held = None  # there may be no other
                held = self.engine.raw_connection()
            if self.dialect == "postgresql":
                held.dbapi_connection.autocommit = True
            with contextlib.closing(held.cursor()) as cursor:
                yield cursor
            if self.dialect == "postgresql":
                held.dbapi_connection.autocommit = False
            held.close()
        except BaseException as error:
            if held is not None:
                held.invalidate(error)  # nobody knows what state it is in
            driver = dialect.loaded_dbapi.Error
            if not isinstance(error, driver):
                raise
            raise sa_exc.DBAPIError.instance("", None, error, driver, hide_parameters=True) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads: one snapshot on SQLite, read committed on PostgreSQL."""
        with self._reached(), self.engine.connect() as connection, connection.begin():
            yield connection

    def now(self) -> datetime:
        """The database's time, in UTC: on PostgreSQL the server's, as last compared with ours."""
        return self._clock.now()

    @property
    def server_now(self) -> sa.ColumnElement[datetime]:
        """The time at which a statement runs, for leases: no host's clock can shorten another's lease."""
        if self.dialect == "postgresql":
            return sa.func.clock_timestamp()
        return _our_now(timedelta())

    def server_after(self, seconds: float) -> sa.ColumnElement[datetime]:
        """`server_now` plus so many seconds."""
        if self.dialect == "postgresql":
            return sa.func.clock_timestamp() + sa.literal(timedelta(seconds=seconds), sa.Interval())
        return _our_now(timedelta(seconds=seconds))

    def close(self) -> None:
        """Give all connections back to the system."""
        with self._reserved_lock:
            reserved, self._reserved = self._reserved, None
        if reserved is not None:
            reserved.close()
        self.engine.dispose()

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (sa_exc.OperationalError, sa_exc.InterfaceError, sa_exc.TimeoutError) as error:
            raise Unreachable(f"database {self.address}: {first_line(error)}") from error
        except sa_exc.DBAPIError as error:
            if not error.connection_invalidated and type(error) is not sa_exc.DatabaseError:
                raise
            # The bare class is what a file that is no SQLite database gives.
            raise Unreachable(f"database {self.address}: {first_line(error)}") from error


def _our_now(plus: timedelta) -> sa.ColumnElement[datetime]:
    """Our time when a statement runs, and not when it is made."""
    return sa.bindparam(None, callable_=lambda: datetime.now(UTC) + plus, type_=UtcDateTime)


class _Clock:
    """Our clock, set by the server's: so that times of several hosts can be compared."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._offset = timedelta()
        self._asked: datetime | None = None

    def now(self) -> datetime:
        ours = datetime.now(UTC)
        if self._database.dialect != "postgresql":
            return ours
        if self._asked is None or abs((ours - self._asked).total_seconds()) > _CLOCK_AGE_S:
            self._asked = ours
            with self._database.read() as connection:
                theirs = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            after = datetime.now(UTC)
            self._offset = theirs - (ours + (after - ours) / 2)
        return datetime.now(UTC) + self._offset


def first_line(error: BaseException) -> str:
    """The first line of what an error says, without SQLAlchemy's appendix."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def open_database(url: str) -> Database:
    """Connect to `url` and bring its schema up to date.

    Many may do so at once. Blocks while another migrates. Raises `SettingError` for an address that is
    none, `Unreachable`, and `DatabaseTooNew`.
    """
    database = Database(create_engine(url))
    try:
        _upgrade(database)
    except BaseException:
        database.close()
        raise
    return database


def _upgrade(database: Database) -> None:
    with database.read() as connection:
        if upgrade.stored_version(connection) == VERSION:
            return
    with database.write() as connection:
        upgrade.upgrade(connection)


def create_engine(url: str) -> sa.Engine:
    """An engine for `url` with our connection settings; nothing is connected yet."""
    parsed = _parse(url)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql_engine(parsed, _POOL, _POOL)
    return _sqlite_engine(parsed)


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    except (sa_exc.ArgumentError, ValueError):  # the second: of a port that is no number
        raise SettingError(
            f"{without_password(url)!r} is not a database address: use sqlite:////path/to/file.db "
            "or postgresql://user:password@host/name"
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise SettingError(f"database {parsed.get_backend_name()!r} is not supported: use sqlite or postgresql")
    if parsed.get_backend_name() == "sqlite" and not _is_file(parsed):
        raise SettingError("an SQLite database in memory has one process only: give a file, sqlite:////path")
    return parsed


def _is_file(url: sa.URL) -> bool:
    return bool(url.database) and url.database != ":memory:"


def _postgresql_engine(url: sa.URL, size: int, overflow: int) -> sa.Engine:
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg2"),
        connect_args=_POSTGRESQL,
        use_native_hstore=False,  # of no use here, and every new connection would ask the server for it
        hide_parameters=True,  # errors and logs show statements, and not what is stored
        pool_size=size,
        max_overflow=overflow,
        pool_use_lifo=True,  # the server knows best how to serve the connection that it served last
        json_serializer=to_json,
        json_deserializer=read_json,
    )
    sa.event.listen(engine, "connect", _prepare_postgresql)
    _ask_connections(engine)
    return engine


def _ask_connections(engine: sa.Engine) -> None:
    """As `pool_pre_ping`, and for `Database.commit` it is known since when a connection rests."""

    def rest(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    def ask(connection: sa.Connection) -> None:
        # After one that is gone comes another of the pool, which may be gone as well.
        while not _holds(engine.dialect, connection.connection.dbapi_connection, connection.info, 0.0):
            connection.invalidate()

    sa.event.listen(engine, "checkin", rest)
    sa.event.listen(engine, "engine_connect", ask)


def _holds(dialect: sa.Dialect, connection: Any, info: Mapping[Any, Any], trusted_s: float) -> bool:
    """Does a connection from the pool hold still? One that has not rested longer than it is trusted to does."""
    idle_since = info.get("idle_since")
    if idle_since is None:  # a new one has never rested
        return True
    if time.monotonic() - idle_since < trusted_s:
        return True
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        return False
    return True


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    from psycopg2 import extensions  # noqa: PLC0415 - who uses SQLite does not wait for it

    def read(text: str | None, cursor: Any) -> Any:
        try:
            return extensions.PYDATETIMETZ(text, cursor)
        except ValueError:  # a year that Python does not have
            return Malformed(f"no moment: {shown(text)}")

    lenient = extensions.new_type(extensions.PYDATETIMETZ.values, "MOMENT", read)
    extensions.register_type(lenient, connection)
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = %s", [_IDLE_MS])
        # Not as the driver's own setting: with that, who goes to autocommit and back pays two requests.
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED")
    connection.commit()


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    path = Path(os.path.expanduser(url.database or ""))  # noqa: PTH111 - "~" may stand inside the address
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unreachable(f"database {path}: {error.strerror}: {path.parent}") from error
    engine = sa.create_engine(
        url.set(drivername="sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
        pool_size=10,
        max_overflow=30,
        hide_parameters=True,
        json_serializer=to_json,
        json_deserializer=read_json,
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: sqlite3 would say it too late
    # Text that is no UTF-8, which SQLite stores: it would make the whole page unreadable.
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="backslashreplace")
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch the file to a write-ahead log, unless it has one.

    Of several processes that open a new file at once, SQLite tells some at once that it is locked, however long
    they would wait for anything else.
    """
    if cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        return
    # A file is new once, and on PostgreSQL there is none.
    import sqlite3  # noqa: PLC0415

    import tenacity  # noqa: PLC0415

    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(sqlite3.OperationalError),
        wait=tenacity.wait_random(0.002, 0.05),
        stop=tenacity.stop_after_delay(_BUSY_S),
        reraise=True,
    ):
        with attempt:
            cursor.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later would fail when another wrote in between.
    write = connection.get_execution_options().get("countermand_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def to_json(value: object) -> str:
    """Strict JSON: what both databases store, and give back, alike. `ValueError` for NaN and infinities."""
    return _JSON.encode(value)
