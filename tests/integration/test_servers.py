"""What tests rely on: a throw-away server answers, crashes, comes back with its data, and freezes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg2
import pytest
import sqlalchemy as sa
from etcd3gw.client import Etcd3Client
from kazoo.client import KazooClient
from redis import Redis as RedisClient

from jobboard.database import open_database
from tests.servers import Etcd, PostgreSQL, Redis, ServerError, ServerProcess, ZooKeeper
from tests.servers.ports import LOOPBACK
from tests.servers.required import require
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


class PostgreSQLNote:
    """Something stored on a server: one for each kind, read and written by the client the project uses."""

    def __init__(self, server: PostgreSQL) -> None:
        self.server = server

    def write(self, text: str) -> None:
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS note (text text)")
            cursor.execute("DELETE FROM note")
            cursor.execute("INSERT INTO note VALUES (%s)", [text])

    def read(self) -> str:
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT text FROM note")
            return cursor.fetchone()[0]


class ZooKeeperNote:
    def __init__(self, server: ZooKeeper) -> None:
        self.server = server

    def write(self, text: str) -> None:
        with self._client() as client:
            client.ensure_path("/note")
            client.set("/note", text.encode())

    def read(self) -> str:
        with self._client() as client:
            return client.get("/note")[0].decode()

    @contextmanager
    def _client(self) -> Iterator[KazooClient]:
        client = KazooClient(self.server.hosts)
        client.start()
        try:
            yield client
        finally:
            client.stop()
            client.close()


class RedisNote:
    def __init__(self, server: Redis) -> None:
        self.server = server

    def write(self, text: str) -> None:
        with RedisClient.from_url(self.server.url) as client:
            client.set("note", text)

    def read(self) -> str:
        with RedisClient.from_url(self.server.url) as client:
            return client.get("note").decode()


class EtcdNote:
    def __init__(self, server: Etcd) -> None:
        self.server = server

    def write(self, text: str) -> None:
        with self._client() as client:
            client.put("note", text)

    def read(self) -> str:
        with self._client() as client:
            return client.get("note")[0].decode()

    @contextmanager
    def _client(self) -> Iterator[Etcd3Client]:
        client = Etcd3Client(host=LOOPBACK, port=self.server.port, api_path="/v3/")
        with closing(client.session):
            yield client


NOTES = {PostgreSQL: PostgreSQLNote, ZooKeeper: ZooKeeperNote, Redis: RedisNote, Etcd: EtcdNote}


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, id=kind.scheme, marks=pytest.mark.xdist_group(kind.scheme)) for kind in NOTES],
)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """One of our own: those of the session are not to be broken."""
    require(request.param)
    with request.param() as server:
        yield server


@pytest.fixture
def note(server: ServerProcess) -> PostgreSQLNote | ZooKeeperNote | RedisNote | EtcdNote:
    return NOTES[type(server)](server)


def test_it_answers(server, note):
    note.write("here")
    assert note.read() == "here"
    assert server.hosts == f"{LOOPBACK}:{server.port}"
    assert server.hosts in server.url


def test_killed_it_comes_back_with_its_data(server, note):
    note.write("before the crash")
    server.kill()
    assert not server.running
    assert not server.answers()
    server.restart()
    assert note.read() == "before the crash"


def test_restarted_in_order_it_keeps_its_data(server, note):
    note.write("before the restart")
    server.restart()
    assert note.read() == "before the restart"


def test_frozen_it_is_silent_until_thawed(server, note):
    note.write("before the frost")
    server.freeze()
    assert server.running
    assert not server.answers(timeout_s=0.2)
    server.thaw()
    until(server.answers, what="an answer after the thaw")
    assert note.read() == "before the frost"


def test_frozen_it_can_be_killed_and_restarted(server):
    server.freeze()
    server.kill()
    server.restart()
    assert server.answers()


def test_a_kill_spares_no_child_of_postgresql(postgresql_alone):
    with postgresql_alone.connect() as connection:
        backend = psutil.Process(connection.info.backend_pid)
        postgresql_alone.kill()
        assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def postgresql_alone() -> Iterator[PostgreSQL]:
    require(PostgreSQL)
    with PostgreSQL() as server:
        yield server


def test_a_database_is_made_from_a_template_and_dropped(postgresql):
    template = postgresql.create_database()
    with postgresql.connect(template) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE thing AS SELECT 7 AS number")
    copy = postgresql.create_database(template=template)
    with postgresql.connect(copy) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT number FROM thing")
        assert cursor.fetchone() == (7,)
        postgresql.drop_database(copy)  # although we are connected
    with pytest.raises(psycopg2.OperationalError, match="does not exist"), postgresql.connect(copy):
        pass


def test_a_database_is_migrated_and_fresh_each_time(database_url):
    database = open_database(database_url)
    with closing(database), database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM jobs")).scalar_one() == 0


def test_one_that_cannot_start_says_why():
    require(Redis)

    class Misconfigured(Redis):
        def command(self) -> list[str]:
            return [*super().command(), "--no-such-setting", "1"]

    server = Misconfigured()
    with pytest.raises(ServerError, match=r"(?s)Redis ended with 1:.*no-such-setting"), server:
        pass
    assert not server.folder.exists()


def test_it_goes_with_the_process_that_started_it():
    require(Redis)
    program = """
        import time
        from tests.servers import Redis
        with Redis() as server:
            print(server._process.pid, server.folder, flush=True)
            time.sleep(60)
    """
    argv = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        pid, folder = owner.stdout.readline().split()
        process = psutil.Process(int(pid))
        owner.kill()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, what="its end")
    until(lambda: not Path(folder).exists(), what="its folder's end")
