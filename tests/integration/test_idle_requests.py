"""What a conductor that has nothing to do asks of its servers, as these count it themselves."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

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
BEATS = 3  # several: what goes with one may be counted at both ends
PATIENCE_S = 60.0
METRICS = b"GET /metrics HTTP/1.0\r\n\r\n"
Count = Callable[[ServerProcess], int]


Wait = Callable[[str], None]


@pytest.fixture
def beaten(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Waits until the conductor of this name has said next that it lives."""
    beats: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(0))
    beat = Registration.beat

    def told(registration: Registration) -> bool:
        done = beat(registration)
        beats[registration.owner.name].release()
        return done

    def wait(name: str) -> None:
        assert beats[name].acquire(timeout=PATIENCE_S), f"{name} did not say that it lives"

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


def asked_while_idle(house: House, server: ServerProcess, count: Count, beaten: Wait) -> float:
    """How often a second the server is asked by a conductor that has begun, has done a job, and has no other."""
    name = server.name
    house.flow(lambda: [house.step("a")])
    house.flow(lambda: [house.step("b")], name="g", max_running=1)
    posted = [house.post(), house.post("g")]
    with house.running(name):
        until(lambda: all(house.get(job).state is State.COMPLETED for job in posted), what="the work's end")
        beaten(name)  # when it began
        beaten(name)
        before, begun = count(server), time.monotonic()
        for _ in range(BEATS):
            beaten(name)
        return (count(server) - before) / (time.monotonic() - begun)


def test_an_idle_conductor_asks_its_server_at_most_twice_a_second(
    postgresql: PostgreSQL,
    zookeeper: ZooKeeper,
    redis: Redis,
    etcd: Etcd,
    tmp_path: Path,
    beaten: Wait,
):
    """Its database or its board. One conductor on each, at the same time: they are idle, and take long."""
    counts: dict[ServerProcess, Count] = {postgresql: in_log, zookeeper: packets, redis: commands, etcd: calls}
    with ExitStack() as stack, ThreadPoolExecutor(len(counts)) as pool:
        asked = {}
        for server, count in counts.items():
            if server is postgresql:
                url, board = postgresql.create_database(), None
                log_statements(postgresql, url)
            else:
                url, board = f"sqlite:///{tmp_path / server.name}.db", server
            house = stack.enter_context(opened(url, board))
            asked[server.name] = pool.submit(asked_while_idle, house, server, count, beaten)
        a_second = {name: future.result() for name, future in asked.items()}
    assert all(0 < often <= A_SECOND for often in a_second.values()), a_second


def log_statements(server: PostgreSQL, url: str) -> None:
    """In the server's log, those of all who connect from now on."""
    name = psycopg2.sql.Identifier(url.rpartition("/")[2])
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(psycopg2.sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(name))
