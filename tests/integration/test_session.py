"""The lease of claims: renewed by its thread, dead for ever once it has ended, and freed once only."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from jobboard.boards import session as session_module
from jobboard.boards.session import Freed, Session, free_dead_claims, sweep
from jobboard.database import Database, open_database
from jobboard.errors import Unreachable
from jobboard.schema import postings, sessions
from jobboard.signals import Channel, Listener
from tests.servers import PostgreSQL
from tests.servers.required import require
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

PAST = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_database(database_url)) as database:
        yield database


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    with closing(open_database(postgresql_url)) as database:
        yield database


def opened(database: Database, lease_s: float = 15.0) -> Session:
    session = Session(database, lease_s)
    session.open()
    return session


def posted(database: Database, holder: str | None = None, job: str | None = None) -> str:
    """The uuid of a new posting, held by a session of that id."""
    row: dict[str, Any] = {"uuid": str(uuid.uuid4()), "board": "b", "name": "n", "priority": 0, "details": {}}
    row |= {"created_at": PAST, "modified_at": PAST, "session": holder, "owner": holder and "me", "job": job}
    with database.write() as connection:
        connection.execute(sa.insert(postings).values(row))
    return row["uuid"]


def expire(database: Database, *holders: str) -> None:
    with database.write() as connection:
        connection.execute(sa.update(sessions).where(sessions.c.id.in_(holders)).values(expires_at=PAST))


def holder_of(database: Database, posting: str) -> str | None:
    with database.read() as connection:
        query = sa.select(postings.c.session).where(postings.c.uuid == posting)
        holder: str | None = connection.execute(query).scalar_one()
    return holder


def expires_at(database: Database, session: Session) -> datetime | None:
    with database.read() as connection:
        query = sa.select(sessions.c.expires_at).where(sessions.c.id == session.id)
        when: datetime | None = connection.execute(query).scalar()
    return when


def test_it_lives_as_long_as_it_is_renewed(database: Database):
    with closing(opened(database, lease_s=0.6)) as session:
        first = expires_at(database, session)
        until(lambda: expires_at(database, session) > first + timedelta(seconds=1), what="several renewals")
        assert session.alive
        assert session.renew()


def test_one_that_was_not_opened_is_dead(database: Database):
    session = Session(database)
    assert not session.alive
    assert not session.renew()
    session.close()


def test_renewed_too_late_it_stays_dead(database: Database):
    with closing(opened(database)) as session:
        expire(database, session.id)
        assert not session.renew()
        assert not session.alive
        # Not even if its row were made to live again.
        with database.write() as connection:
            later = database.server_after(60)
            connection.execute(sa.update(sessions).values(expires_at=later))
        assert not session.renew()
        assert not session.alive


def test_its_thread_notices_that_it_died(database: Database):
    with closing(opened(database, lease_s=0.6)) as session:
        expire(database, session.id)
        until(lambda: not session.alive, what="its death")
        until(lambda: not session._thread.is_alive(), what="its thread's end")


def test_by_its_own_clock_it_dies_without_asking_anyone_and_for_good(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    with closing(opened(database, lease_s=15)) as session:
        now_s = session_module._now_s()
        monkeypatch.setattr(session_module, "_now_s", lambda: now_s + 13)
        assert session.alive
        monkeypatch.setattr(session_module, "_now_s", lambda: now_s + 14)  # before the lease ends
        assert not session.alive
        monkeypatch.undo()
        assert not session.alive
        assert not session.renew()


def test_closed_it_is_gone_and_its_claims_are_free(database: Database):
    session = opened(database)
    posting = posted(database, session.id)
    with Listener(database, [Channel.WORK]) as listener:
        session.close()
        assert listener.wait(30) == {Channel.WORK}
    assert not session.alive
    assert expires_at(database, session) is None
    assert holder_of(database, posting) is None
    assert not session._thread.is_alive()


def test_opened_it_frees_what_the_dead_left(database: Database):
    posting = posted(database, "dead and gone")
    with closing(opened(database)):
        assert holder_of(database, posting) is None


def test_it_claims_only_while_it_lives(database: Database):
    with closing(opened(database)) as session:

        def claim(posting: str) -> int:
            with database.write() as connection:
                claim = sa.update(postings).where(postings.c.uuid == posting, session.holds())
                return connection.execute(claim.values(session=session.id)).rowcount

        assert claim(posted(database)) == 1
        expire(database, session.id)
        assert claim(posted(database)) == 0


def test_a_sweep_frees_the_claims_of_the_dead_and_no_others(database: Database):
    with closing(opened(database)) as living, closing(opened(database)) as dead:
        kept = posted(database, living.id)
        lost = posted(database, dead.id, job="j" * 26)
        free = posted(database)
        assert sweep(database) == []
        expire(database, dead.id)
        with Listener(database, [Channel.WORK]) as listener:
            assert sweep(database) == [Freed(lost, "b", "j" * 26)]
            assert listener.wait(30) == {Channel.WORK}
        assert holder_of(database, kept) == living.id
        assert holder_of(database, lost) is None
        assert holder_of(database, free) is None
        assert expires_at(database, dead) is None
        assert sweep(database) == []


def test_a_claim_committed_after_its_session_was_swept_is_freed_by_the_next_sweep(database: Database):
    with closing(opened(database)) as session:
        expire(database, session.id)
        sweep(database)
        late = posted(database, session.id)
        assert [freed.uuid for freed in sweep(database)] == [late]


def test_many_sweep_at_once_and_each_claim_is_freed_once(database: Database):
    holders = [str(uuid.uuid4()) for _ in range(20)]
    with database.write() as connection:
        rows = [{"id": holder, "expires_at": PAST} for holder in holders]
        connection.execute(sa.insert(sessions), rows)
    expected = Counter(posted(database, holder) for holder in holders for _ in range(5))
    freed: Counter[str] = Counter()
    start = threading.Barrier(8)

    def race() -> None:
        start.wait()
        for _ in range(3):
            for found in sweep(database):
                freed[found.uuid] += 1

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert freed == expected
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(sessions)).scalar_one() == 0


def test_a_sweep_leaves_alone_what_a_new_session_took_in_the_meantime(
    postgresql_database: Database, postgresql_url: str
):
    """Between the statements of one sweep another frees the posting, and a session that is new claims it."""
    posting = posted(postgresql_database, "dead")
    with closing(open_database(postgresql_url)) as other:
        successor = Session(other)

        def overtake(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            if statement.startswith("UPDATE postings") and not successor.alive:
                successor.open()  # sweeps
                with other.write() as connection:
                    free = sa.and_(postings.c.uuid == posting, postings.c.session.is_(None))
                    claim = sa.update(postings).where(free).values(session=successor.id)
                    assert connection.execute(claim).rowcount == 1

        sa.event.listen(postgresql_database.engine, "before_cursor_execute", overtake)
        with postgresql_database.write() as connection:
            assert free_dead_claims(connection, postgresql_database) == []
        assert holder_of(other, posting) == successor.id
        successor.close()


def test_a_sweep_waits_for_nobody(postgresql_database: Database):
    posting = posted(postgresql_database, "dead")
    with postgresql_database.write() as connection:
        connection.execute(sa.select(postings).where(postings.c.uuid == posting).with_for_update())
        assert sweep(postgresql_database) == []
    assert [freed.uuid for freed in sweep(postgresql_database)] == [posting]


def test_a_server_that_comes_back_in_time_finds_it_alive():
    require(PostgreSQL)
    with PostgreSQL() as server, closing(open_database(server.create_database())) as database:
        session = opened(database, lease_s=20)
        server.kill()
        with pytest.raises(Unreachable):
            session.renew()
        assert session.alive
        server.restart()
        until(lambda: _renewed(session), what="a renewal")
        session.close()


def _renewed(session: Session) -> bool:
    try:
        return session.renew()
    except Unreachable:
        return False


def test_a_server_that_does_not_come_back_in_time_finds_it_dead():
    require(PostgreSQL)
    with PostgreSQL() as server, closing(open_database(server.create_database())) as database:
        session = opened(database, lease_s=1)
        server.kill()
        until(lambda: not session.alive, what="its death")
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            session.close()
        assert time.monotonic() - begun < 10
        server.restart()
        with closing(opened(database)) as successor:
            assert successor.alive
            assert not session.alive
