"""What a conductor that has nothing to do asks of its servers, as these count it themselves."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2
import psycopg2.sql
import pytest

from jobboard.conductors import Registration
from jobboard.states import State
from tests.integration.house import House
from tests.integration.test_every_board import opened
from tests.servers import Etcd, PostgreSQL, Redis, ServerProcess, ZooKeeper
from tests.servers.ports import ask
from tests.waiting import until

A_SECOND = 2.0
PATIENCE_S = 60.0
METRICS = b"GET /metrics HTTP/1.0\r\n\r\n"


@pytest.fixture
def beaten(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Waits until the conductor has said next that it lives; how long that took."""
    beats = threading.Semaphore(0)
    beat = Registration.beat

    def told(registration: Registration) -> bool:
        done = beat(registration)
        beats.release()
        return done

    def wait() -> float:
        begun = time.monotonic()
        assert beats.acquire(timeout=PATIENCE_S), "the conductor did not say that it lives"
        return time.monotonic() - begun

    monkeypatch.setattr(Registration, "beat", told)
    return wait


def in_log(server: ServerProcess) -> int:
    return server.log.read_text(errors="replace").count(" LOG:  statement: ")


def packets(server: ServerProcess) -> int:
    return found(rb"zk_packets_received\s+(\d+)", ask(server.port, b"mntr", PATIENCE_S))


def commands(server: ServerProcess) -> int:
    return found(rb"total_reads_processed:(\d+)", ask(server.port, b"INFO stats\r\nQUIT\r\n", PATIENCE_S))


def calls(server: ServerProcess) -> int:
    return found(rb"grpc_server_handled_total\{[^}]*\} (\d+)", ask(server.port, METRICS, PATIENCE_S))


def found(pattern: bytes, answer: bytes) -> int:
    numbers = [int(number) for number in re.findall(pattern, answer)]
    assert numbers, answer[:500]
    return sum(numbers)


@contextmanager
def idle(house: House, beaten: Callable[[], float]) -> Iterator[None]:
    """A conductor that has begun, and has done a job: since then it has nothing to do."""
    house.flow(lambda: [house.step("a")])
    house.flow(lambda: [house.step("b")], name="g", max_running=1)
    posted = [house.post(), house.post("g")]
    with house.running():
        until(lambda: all(house.get(job).state is State.COMPLETED for job in posted), what="the work's end")
        beaten()  # when it began
        beaten()
        yield


def test_an_idle_conductor_asks_its_database_at_most_twice_a_second(
    postgresql: PostgreSQL, beaten: Callable[[], float]
):
    url = postgresql.create_database()
    log_statements(postgresql, url)
    with opened(url, None) as house, idle(house, beaten):
        before = in_log(postgresql)
        took_s = beaten()
        assert 0 < in_log(postgresql) - before <= A_SECOND * took_s


def log_statements(server: PostgreSQL, url: str) -> None:
    """In the server's log, those of all who connect from now on."""
    name = psycopg2.sql.Identifier(url.rpartition("/")[2])
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(psycopg2.sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(name))


@pytest.mark.parametrize(
    ("board", "count"),
    [("zookeeper", packets), ("redis", commands), ("etcd", calls)],
    ids=["zookeeper", "redis", "etcd"],
)
def test_an_idle_conductor_asks_its_board_at_most_twice_a_second(
    board: str,
    count: Callable[[ServerProcess], int],
    sqlite_url: str,
    request: pytest.FixtureRequest,
    beaten: Callable[[], float],
):
    server: ZooKeeper | Redis | Etcd = request.getfixturevalue(board)
    with opened(sqlite_url, server) as house, idle(house, beaten):
        before = count(server)
        # Several beats: what goes with one may be counted at both ends.
        took_s = sum(beaten() for _ in range(3))
        assert 0 < count(server) - before <= A_SECOND * took_s
