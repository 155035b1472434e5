"""Wake-ups: who waits for something in the database hears when it may have happened.

A signal says only "look again". It can be lost, so everyone who waits also looks again now and then.
On PostgreSQL it is a NOTIFY, delivered when the sender's transaction commits. On SQLite any commit is one,
for all channels alike.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import select
import threading
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, Protocol, Self

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from jobboard.database import Database, first_line
from jobboard.errors import Unreachable
from jobboard.statements import Prepared, Script

LOG = logging.getLogger(__name__)

_SQLITE_POLL_S: Final = 0.005
_BACK_OFF_S: Final = (0.1, 3.0)  # the first pause before connecting again, and the longest


class Channel(StrEnum):
    """What may have happened."""

    WORK = "countermand_work"  # a posting can be claimed
    CONTROL = "countermand_control"  # something was asked of a current job: cancel, pause, resume, delete
    CHANGE = "countermand_change"  # a record or its history changed


NOTHING: Final[frozenset[Channel]] = frozenset()


def notify(connection: sa.Connection, *channels: Channel) -> None:
    """Signal `channels` when the transaction of `connection` commits.

    PostgreSQL commits transactions that notify one after the other: leave it out of those that change nothing
    anyone waits for.
    """
    script = Script()
    add_notify(script, connection.dialect.name, *channels)
    script.run(connection)


def add_notify(script: Script, dialect: str, *channels: Channel) -> None:
    """The same, as a step of a script."""
    if channels and dialect == "postgresql":
        script.add(_notify(channels), [{}])


@functools.cache
def _notify(channels: tuple[Channel, ...]) -> Prepared:
    return Prepared(sa.select(*(sa.func.pg_notify(str(channel), "") for channel in channels)))


class Listener:
    """Hears the signals on some channels, from the moment it is made.

    One thread waits at a time; `wake` and `close` may be called from any. It has a connection of its own, and
    makes a new one when that is lost.
    """

    def __init__(self, database: Database, channels: Iterable[Channel] = tuple(Channel)) -> None:
        """Raises `Unreachable`."""
        self._database = database
        self._channels = frozenset(channels)
        self._waiting = threading.Lock()
        self._closed = False
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._back_off_s = _BACK_OFF_S[0]
        self._reconnect_at = 0.0
        self._source: _Source | None = None
        try:
            self._source = self._connect()
        except BaseException:
            self.close()
            raise

    def wait(self, timeout_s: float) -> frozenset[Channel]:
        """The channels that were signalled since the last call; none after `timeout_s`, `wake` or `close`.

        A lost connection is made again while waiting; since signals may have been lost with it, all channels
        count as signalled then. Never raises for it. Returns late while a connection is being made: 5 s at
        most for each address of the server.
        """
        deadline = time.monotonic() + timeout_s
        with self._waiting:
            while not self._closed:
                heard = self._hear()
                left_s = deadline - time.monotonic()
                if heard or left_s <= 0 or self._rest(left_s):
                    return heard
            return NOTHING

    def wake(self) -> None:
        """Make the `wait` that runs, or the next one, return at once."""
        # BlockingIOError: a pipe that is full wakes as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"\0")

    def close(self) -> None:
        """Give the connection back to the system; a `wait` in another thread returns first."""
        if self._closed:
            return
        self._closed = True
        self.wake()
        with self._waiting:
            self._disconnect()
            os.close(self._woken)
            os.close(self._waker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _hear(self) -> frozenset[Channel]:
        try:
            if self._source is not None:
                return self._source.read()
            if time.monotonic() < self._reconnect_at:
                return NOTHING
            self._source = self._connect()
        except (Unreachable, self._database.engine.dialect.loaded_dbapi.Error) as error:
            self._lose(error)
            return NOTHING
        LOG.info("signals of %s are heard again", self._database.address)
        self._back_off_s = _BACK_OFF_S[0]
        return self._channels

    def _connect(self) -> _Source:
        source = _Notifications if self._database.dialect == "postgresql" else _DataVersion
        connection = _own_connection(self._database)
        try:
            return source(connection, self._channels)
        except self._database.engine.dialect.loaded_dbapi.Error as error:
            connection.invalidate()
            raise Unreachable(f"database {self._database.address}: {first_line(error)}") from error
        except BaseException:
            connection.close()
            raise

    def _lose(self, error: BaseException) -> None:
        if self._source is not None:
            LOG.warning("signals of %s are not heard now: %s", self._database.address, first_line(error))
        self._disconnect()
        self._reconnect_at = time.monotonic() + self._back_off_s
        self._back_off_s = min(self._back_off_s * 2, _BACK_OFF_S[1])

    def _disconnect(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def _rest(self, left_s: float) -> bool:
        """Wait until there may be something to hear; True when woken."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._source is None:
            left_s = min(left_s, max(self._reconnect_at - time.monotonic(), 0))
        elif self._source.descriptor is not None:
            poll.register(self._source.descriptor, select.POLLIN)
        else:
            left_s = min(left_s, _SQLITE_POLL_S)
        ready = {descriptor for descriptor, _event in poll.poll(left_s * 1000)}
        if self._woken not in ready:
            return False
        os.read(self._woken, 4096)
        return True


class _Source(Protocol):
    """Where signals come from. Its methods raise the driver's errors."""

    descriptor: int | None  # readable when there is something to read; None: ask from time to time

    def read(self) -> frozenset[Channel]: ...
    def close(self) -> None: ...


class _Notifications:
    """PostgreSQL's: LISTEN on a connection that commits every statement."""

    def __init__(self, connection: sa.Connection, channels: frozenset[Channel]) -> None:
        self._owner = connection
        self._connection = _driver_connection(connection)
        self._connection.rollback()
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(";".join(f"LISTEN {channel}" for channel in sorted(channels)))
        self.descriptor: int | None = self._connection.fileno()

    def read(self) -> frozenset[Channel]:
        self._connection.poll()
        notifies = self._connection.notifies
        heard = frozenset(Channel(notification.channel) for notification in notifies)
        notifies.clear()
        return heard

    def close(self) -> None:
        # SQLAlchemy would roll a connection back that is gone, and log what comes of it.
        self._connection.close()
        self._owner.invalidate()
        self._owner.close()


class _DataVersion:
    """SQLite's: a number that changes when any other connection has committed."""

    descriptor: int | None = None

    def __init__(self, connection: sa.Connection, channels: frozenset[Channel]) -> None:
        self._owner = connection
        self._connection = _driver_connection(connection)
        self._channels = channels
        self._seen = self._version()

    def read(self) -> frozenset[Channel]:
        version = self._version()
        if version == self._seen:
            return NOTHING
        self._seen = version
        return self._channels

    def close(self) -> None:
        self._owner.close()

    def _version(self) -> Any:
        return self._connection.execute("PRAGMA data_version").fetchone()


def _own_connection(database: Database) -> sa.Connection:
    """A connection with the engine's settings that is none of its pool's."""
    try:
        connection = database.engine.connect()
        connection.detach()
    except sa_exc.SQLAlchemyError as error:
        raise Unreachable(f"database {database.address}: {first_line(error)}") from error
    return connection


def _driver_connection(connection: sa.Connection) -> Any:
    return connection.connection.dbapi_connection
