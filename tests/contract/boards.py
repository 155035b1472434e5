"""Boards of every kind, opened alike, for the tests that hold for all of them."""

from __future__ import annotations

import contextlib
import json
import uuid
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from kazoo.client import KazooClient

from jobboard.boards import etcd as etcd_boards
from jobboard.boards import redis as redis_boards
from jobboard.boards.etcd import EtcdOptions
from jobboard.boards.redis import RedisOptions
from jobboard.boards.sql import SqlJobBoard
from jobboard.boards.zookeeper import ZookeeperOptions, open_board
from jobboard.database import open_database
from jobboard.schema import postings, sessions
from tests.servers.ports import LOOPBACK
from tests.waiting import until

if TYPE_CHECKING:
    from tests.servers import Etcd, Redis, ZooKeeper

SHORT_S = 1.5  # a lease to be waited for


def expire_session(client: KazooClient) -> None:
    """Let the server end the client's session: another connection of the same session closes it."""
    session = client.client_id

    def expired() -> bool:
        other = KazooClient(",".join(f"{host}:{port}" for host, port in client.hosts), client_id=session)
        other.start()
        other.stop()
        other.close()
        return client.client_id not in (None, session)

    until(expired, what="another session")


class Boards(ABC):
    """Boards that share their jobs; all closed in the end."""

    where: list[str]
    """What `drain` is told to find them."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, lease_s: float = 15.0, persistence: Any = None) -> Any:
        """Another board, connected."""
        board = self.make(lease_s, persistence)
        self._stack.callback(board.close)
        board.connect()
        return board

    @abstractmethod
    def make(self, lease_s: float = 15.0, persistence: Any = None) -> Any:
        """Another board, not connected."""

    @abstractmethod
    def expire(self, board: Any) -> None:
        """Let the board's session die as if its process had been stopped for longer than the lease."""

    @abstractmethod
    def spoil(self, board: Any) -> set[str]:
        """Put things among the postings that are none; their keys in `board.malformed`."""

    @abstractmethod
    def trashed(self, board: Any) -> list[dict[str, Any]]:
        """The details of what was trashed."""


class SqlBoards(Boards):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.where = ["sql", url]
        self.database = open_database(url)
        self._stack.callback(self.database.close)

    def make(self, lease_s: float = 15.0, persistence: Any = None) -> SqlJobBoard:
        return SqlJobBoard("contract", {"connection": self.url, "lease": lease_s}, persistence)

    def expire(self, board: SqlJobBoard) -> None:
        before = datetime.now(UTC) - timedelta(hours=1)
        with self.database.write() as connection:
            mine = sessions.c.id == board.session.id
            connection.execute(sa.update(sessions).where(mine).values(expires_at=before))

    def spoil(self, board: SqlJobBoard) -> set[str]:
        good = {"priority": 0, "details": {}, "book": None}
        bad = [{"priority": 9}, {"details": [1]}, {"details": 7}, {"book": "none"}]
        return {self._insert(board, **(good | wrong)) for wrong in bad} | self._insert_no_json(board)

    def trashed(self, board: SqlJobBoard) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            query = sa.select(postings.c.details).where(postings.c.trashed_at.is_not(None))
            return list(connection.execute(query).scalars())

    def _insert(self, board: SqlJobBoard, **values: Any) -> str:
        now = datetime.now(UTC)
        row = {
            "uuid": str(uuid.uuid4()),
            "board": board.name,
            "name": "bad",
            "created_at": now,
            "modified_at": now,
        }
        with self.database.write() as connection:
            connection.execute(sa.insert(postings).values(row | values))
        return row["uuid"]

    def _insert_no_json(self, board: SqlJobBoard) -> set[str]:
        if self.database.dialect != "sqlite":  # PostgreSQL does not take it
            return set()
        key = self._insert(board, priority=0, details={}, book=None)
        with self.database.write() as connection:
            connection.execute(sa.text("UPDATE postings SET details = '{oh' WHERE uuid = :uuid"), {"uuid": key})
        return {key}


class ZookeeperBoards(Boards):
    def __init__(self, server: ZooKeeper) -> None:
        super().__init__()
        self.path = f"/{uuid.uuid4()}"
        self.hosts = server.hosts
        self.where = ["zookeeper", self.hosts, self.path]

    def make(self, lease_s: float = 15.0, persistence: Any = None) -> Any:
        return open_board("contract", ZookeeperOptions(self.hosts, self.path, lease_s), persistence)

    def expire(self, board: Any) -> None:
        expire_session(board._client)

    def spoil(self, board: Any) -> set[str]:
        bad = {
            "job1": b"no json",
            "job2": b"[]",
            "job3": b"{}",
            "job4": b'{"uuid": "u", "name": "n", "priority": "whenever"}',
            "job5": b'{"uuid": "u", "name": "n", "details": 1}',
            "jobfive": b'{"uuid": "u", "name": "n"}',
        }
        for name, data in bad.items():
            board._client.create(f"{board.path}/{name}", data)
        return {f"{board.path}/{name}" for name in bad}

    def trashed(self, board: Any) -> list[dict[str, Any]]:
        from taskflow.utils import misc

        names = board._client.get_children(board.trash_path)
        return [misc.decode_json(board._client.get(f"{board.trash_path}/{name}")[0])["details"] for name in names]


class RedisBoards(Boards):
    def __init__(self, server: Redis) -> None:
        super().__init__()
        self.port = server.port
        self.namespace = str(uuid.uuid4())
        self.where = ["redis", str(self.port), self.namespace]

    def make(self, lease_s: float = 15.0, persistence: Any = None) -> Any:
        options = RedisOptions(LOOPBACK, self.port, namespace=self.namespace, lease_s=lease_s)
        return redis_boards.open_board("contract", options, persistence)

    def expire(self, board: Any) -> None:
        board._client.delete(board._session_key(board._lease.last))

    def spoil(self, board: Any) -> set[str]:
        job = board.post("x")
        good = board._loads(board._client.hget(board.listings_key, job.key))
        board._client.hdel(board.listings_key, job.key)
        wrong = [
            {"priority": "whenever"},
            {"details": 1},
            {"sequence": "1"},
            {"created_on": "now"},
            {"name": None},
        ]
        bad = {f"bad {number}": board._dumps(good | change) for number, change in enumerate(wrong)}
        bad |= {"another's": board._dumps(good), "list": board._dumps([]), "text": b"no msgpack", "empty": b""}
        board._client.hset(board.listings_key, mapping=bad)
        return set(bad)

    def trashed(self, board: Any) -> list[dict[str, Any]]:
        return [board._loads(raw)["details"] for raw in board._client.hvals(board.trash_key)]


class EtcdBoards(Boards):
    def __init__(self, server: Etcd) -> None:
        super().__init__()
        self.port = server.port
        self.path = f"/{uuid.uuid4()}"
        self.where = ["etcd", str(self.port), self.path]

    def make(self, lease_s: float = 15.0, persistence: Any = None) -> Any:
        return etcd_boards.open_board(
            "contract", EtcdOptions(LOOPBACK, self.port, self.path, lease_s), persistence
        )

    def expire(self, board: Any) -> None:
        board.end_session(board._lease.last)

    def spoil(self, board: Any) -> set[str]:
        job = board.post("x")
        good = json.loads(board._client.get(f"{job.key}.data")[0])
        board._client.delete(f"{job.key}.data")
        wrong = [{"priority": "ever"}, {"details": 1}, {"created_on": 1}, {"created_on": "now"}, {"name": None}]
        bad = {f"bad{number}.data": json.dumps(good | change) for number, change in enumerate(wrong)}
        bad |= {"other.data": json.dumps(good), "a.data": "[]", "b.data": "no json", "c.data": "", "d": "{}"}
        bad["deep.data"] = "[" * 100_000
        for key, value in bad.items():
            board._client.put(f"{board._root_path}/{key}", value)
        return {f"{board._root_path}/{key}" for key in bad}

    def trashed(self, board: Any) -> list[dict[str, Any]]:
        return [json.loads(value)["details"] for value, _meta in board._client.get_prefix(board._trash_path)]
