"""Wake-ups on both databases: delivered, interrupted, and found again after the connection was lost."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from jobboard import signals
from jobboard.database import Database, open_database
from jobboard.errors import Unreachable
from jobboard.schema import sessions
from jobboard.signals import NOTHING, Channel, Listener, notify
from tests.servers import PostgreSQL
from tests.servers.required import require
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_S = 30.0  # never reached: what is waited for comes before
ALL = frozenset(Channel)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_database(database_url)) as database:
        yield database


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    with closing(open_database(postgresql_url)) as database:
        yield database


def commit(database: Database, *channels: Channel) -> None:
    """Change something and signal it."""
    with database.write() as connection:
        connection.execute(sa.insert(sessions).values(id=str(time.time_ns()), expires_at=database.now()))
        notify(connection, *channels)


def expected(database: Database, *channels: Channel) -> frozenset[Channel]:
    """SQLite does not say what has changed."""
    return frozenset(channels) if database.dialect == "postgresql" else ALL


def test_a_commit_wakes_who_waits(database: Database):
    heard: list[frozenset[Channel]] = []
    with Listener(database) as listener:
        waiter = threading.Thread(target=lambda: heard.append(listener.wait(LONG_S)))
        waiter.start()
        commit(database, Channel.CONTROL)
        waiter.join()
    assert heard == [expected(database, Channel.CONTROL)]


def test_what_is_signalled_before_the_wait_is_heard(database: Database):
    with Listener(database) as listener:
        commit(database, Channel.WORK)
        commit(database, Channel.CHANGE)
        heard = listener.wait(LONG_S)
        while database.dialect == "postgresql" and len(heard) < 2:
            heard |= listener.wait(LONG_S)
        assert heard == expected(database, Channel.WORK, Channel.CHANGE)


def test_other_channels_do_not_wake(postgresql_database: Database):
    with Listener(postgresql_database, [Channel.WORK]) as listener:
        commit(postgresql_database, Channel.CHANGE, Channel.CONTROL)
        commit(postgresql_database, Channel.WORK)
        assert listener.wait(LONG_S) == {Channel.WORK}
        assert listener.wait(0) == NOTHING


def test_a_rollback_wakes_nobody(database: Database):
    with Listener(database) as listener:
        with database.write() as connection:
            connection.execute(sa.insert(sessions).values(id="x", expires_at=database.now()))
            notify(connection, Channel.WORK)
            connection.rollback()
        assert listener.wait(0.1) == NOTHING


def test_reading_wakes_nobody(database: Database):
    with Listener(database) as listener, database.read() as connection:
        connection.execute(sa.select(sessions)).all()
        assert listener.wait(0.1) == NOTHING


def test_a_wait_ends_in_time(database: Database):
    with Listener(database) as listener:
        begun = time.monotonic()
        assert listener.wait(0.05) == NOTHING
        assert time.monotonic() - begun >= 0.05


def test_wake_ends_a_wait(database: Database):
    heard: list[frozenset[Channel]] = []
    with Listener(database) as listener:
        waiter = threading.Thread(target=lambda: heard.append(listener.wait(LONG_S)))
        waiter.start()
        listener.wake()
        waiter.join()
    assert heard == [NOTHING]


def test_wake_before_a_wait_ends_it_once(database: Database):
    with Listener(database) as listener:
        for _ in range(100_000):  # more than a pipe holds
            listener.wake()
        assert listener.wait(LONG_S) == NOTHING
        while listener.wait(0):
            pass
        commit(database, Channel.WORK)
        until(lambda: listener.wait(LONG_S), what="a signal after all the waking")


def test_close_ends_a_wait(database: Database):
    listener = Listener(database)
    waiter = threading.Thread(target=listener.wait, args=[LONG_S])
    waiter.start()
    listener.close()
    waiter.join()
    assert listener.wait(LONG_S) == NOTHING
    listener.close()


def test_a_listener_leaves_nothing_behind(postgresql_database: Database):
    with postgresql_database.read() as connection:
        before = _backends(connection)
    for _ in range(3):
        Listener(postgresql_database).close()
    with postgresql_database.read() as connection:
        until(lambda: _backends(connection) == before, what="the end of all connections")


def _backends(connection: sa.Connection) -> int:
    # A transaction keeps what it has read of the statistics.
    connection.execute(sa.text("SELECT pg_stat_clear_snapshot()"))
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    count: int = connection.execute(sa.text(query)).scalar_one()
    return count


# Lost connections


def test_a_cut_connection_is_made_again(postgresql_database: Database):
    with Listener(postgresql_database, [Channel.WORK, Channel.CHANGE]) as listener:
        _cut(postgresql_database, listener)
        # All channels once, since what was signalled in between is lost.
        assert listener.wait(LONG_S) == {Channel.WORK, Channel.CHANGE}
        assert listener.wait(0) == NOTHING
        commit(postgresql_database, Channel.WORK)
        assert listener.wait(LONG_S) == {Channel.WORK}


def test_what_was_signalled_while_the_connection_was_cut_is_made_up_for(postgresql_database: Database):
    with Listener(postgresql_database) as listener:
        _cut(postgresql_database, listener)
        commit(postgresql_database, Channel.CONTROL)
        assert Channel.CONTROL in listener.wait(LONG_S)


def test_a_cut_connection_of_sqlite_is_made_again(sqlite_url: str):
    with closing(open_database(sqlite_url)) as database, Listener(database) as listener:
        listener._source._connection.close()
        assert listener.wait(LONG_S) == ALL
        commit(database)
        assert listener.wait(LONG_S) == ALL


def _cut(database: Database, listener: Listener) -> None:
    pid = listener._source._connection.info.backend_pid
    with database.write() as connection:
        connection.execute(sa.select(sa.func.pg_terminate_backend(pid, 5000)))


def test_a_server_that_is_away_is_waited_for_and_the_wait_can_be_ended():
    require(PostgreSQL)
    with (
        PostgreSQL() as server,
        closing(open_database(server.create_database())) as database,
        Listener(database, [Channel.WORK]) as listener,
    ):
        server.kill()
        assert listener.wait(0.5) == NOTHING
        listener.wake()
        assert listener.wait(LONG_S) == NOTHING
        server.restart()
        assert listener.wait(LONG_S) == {Channel.WORK}
        commit(database, Channel.WORK)
        assert listener.wait(LONG_S) == {Channel.WORK}
        server.kill()
        with pytest.raises(Unreachable, match=str(server.port)):
            Listener(database)


def test_a_connection_that_is_cut_before_it_listens_is_told_as_unreachable(
    postgresql_database: Database, monkeypatch: pytest.MonkeyPatch
):
    own_connection = signals._own_connection

    def cut(database: Database) -> sa.Connection:
        connection = own_connection(database)
        pid = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
        with database.read() as other:
            other.execute(sa.select(sa.func.pg_terminate_backend(pid)))
        until(lambda: is_gone(database, pid), what="the end of the connection")
        return connection

    def is_gone(database: Database, pid: int) -> bool:
        # Each time in a transaction of its own: within one, PostgreSQL shows what it showed first.
        with database.read() as other:
            gone = sa.text("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = :pid")
            return bool(other.execute(gone, {"pid": pid}).scalar_one())

    monkeypatch.setattr(signals, "_own_connection", cut)
    with pytest.raises(Unreachable, match="database postgresql"):
        Listener(postgresql_database)
    monkeypatch.undo()
    with closing(Listener(postgresql_database)):
        pass
