"""Transactions that go to the database as one request: all of it or nothing."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from jobboard.database import Database, open_database
from jobboard.errors import Unreachable
from jobboard.schema import sessions
from jobboard.statements import Prepared, Script, update_of
from tests.servers import PostgreSQL
from tests.servers.required import require

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 24, tzinfo=UTC)
INSERT = Prepared(
    sa.insert(sessions).values(id=sa.bindparam("id"), entity=sa.bindparam("entity"), expires_at=sa.bindparam("at"))
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_database(database_url)) as opened:
        yield opened


def row(number: int) -> dict[str, Any]:
    return {"id": f"s{number}", "entity": {"n": number}, "at": NOW}


def ids(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(sessions.c.id).order_by(sessions.c.id)).scalars())


def script_for(*numbers: int, if_there: str | None = None) -> Script:
    script = Script(update_of(sessions, {"id": if_there}, {"expires_at": NOW}) if if_there else None)
    script.add(INSERT, [row(number) for number in numbers])
    return script


def test_a_script_is_run_as_a_whole(database: Database):
    assert database.commit(script_for(1, 2))
    both = script_for(3)
    both.extend(script_for(4, 5))
    assert database.commit(both)
    assert ids(database) == ["s1", "s2", "s3", "s4", "s5"]


def test_nothing_is_written_if_the_condition_does_not_hold(database: Database):
    database.commit(script_for(1))
    assert not database.commit(script_for(2, if_there="nobody"))
    assert database.commit(script_for(3, if_there="s1"))
    assert ids(database) == ["s1", "s3"]


@pytest.mark.parametrize("if_there", [None, "s1"])
def test_nothing_is_written_if_a_statement_fails(database: Database, if_there: str | None):
    database.commit(script_for(1))
    with pytest.raises(sa_exc.IntegrityError):
        database.commit(script_for(2, 1, if_there=if_there))
    strange = script_for(3, if_there=if_there)
    strange.add(INSERT, [row(4) | {"entity": float("nan")}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        database.commit(strange)
    assert ids(database) == ["s1"]
    assert database.commit(script_for(5, if_there=if_there))


def test_it_waits_for_who_writes_the_same_and_sees_what_that_one_left(database: Database):
    database.commit(script_for(1))
    answers: list[bool] = []
    with closing(Database(database.engine)) as other:
        waits = threading.Thread(target=lambda: answers.append(other.commit(script_for(2, if_there="s1"))))
        with database.write() as connection:
            connection.execute(sa.delete(sessions))
            waits.start()
        waits.join(60)
    assert answers == [False]
    assert ids(database) == []


def test_a_connection_that_was_cut_is_replaced(postgresql_url: str, postgresql: PostgreSQL):
    with closing(open_database(postgresql_url)) as database:
        assert database.commit(script_for(1))
        cut_connections(postgresql, postgresql_url)
        assert database.commit(script_for(2))
        cut_connections(postgresql, postgresql_url)
        with pytest.raises(Unreachable):
            database.commit(script_for(3), ask=False)
        assert database.commit(script_for(4), ask=False)
        assert ids(database) == ["s1", "s2", "s4"]


def cut_connections(server: PostgreSQL, url: str) -> None:
    with server.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_the_isolation_is_read_committed_whatever_the_server_has_been_set_to(postgresql_url: str):
    name = sa.make_url(postgresql_url).database
    with closing(open_database(postgresql_url)) as database:
        with database.write() as connection:
            connection.execute(sa.text(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable"))
        database.engine.dispose()
        with database.write() as connection:
            assert connection.execute(sa.text("SHOW transaction_isolation")).scalar() == "read committed"
            connection.execute(sa.text(f"ALTER DATABASE {name} RESET default_transaction_isolation"))


def test_what_may_be_done_twice_is_tried_with_another_connection(postgresql_url: str, postgresql: PostgreSQL):
    wanted = Prepared(sa.select(sessions.c.id).order_by(sessions.c.id))
    with closing(open_database(postgresql_url)) as database:
        assert database.commit(script_for(1), again=True)
        cut_connections(postgresql, postgresql_url)
        assert database.ask(wanted, {}) == [{"id": "s1"}]
        cut_connections(postgresql, postgresql_url)
        assert database.commit(script_for(if_there="s1"), again=True)


def test_a_server_that_is_away_is_named():
    require(PostgreSQL)
    with PostgreSQL() as server, closing(open_database(server.create_database())) as database:
        server.kill()
        for ask in (
            lambda: database.ask(Prepared(sa.select(sessions.c.id)), {}),
            lambda: database.commit(script_for(1)),
            lambda: database.commit(script_for(1), again=True),
        ):
            with pytest.raises(Unreachable, match=str(server.port)):
                ask()
