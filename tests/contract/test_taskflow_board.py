"""TaskFlow's own tests of a jobboard, which its wheel carries, on our boards."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from taskflow import test
from taskflow.tests.unit.jobs import base

from jobboard.boards import etcd as etcd_boards
from jobboard.boards import redis as redis_boards
from jobboard.boards.etcd import EtcdOptions
from jobboard.boards.redis import RedisOptions
from jobboard.boards.sql import SqlJobBoard
from jobboard.boards.zookeeper import ZookeeperOptions, open_board
from tests.servers import Etcd, Redis, ZooKeeper
from tests.servers.ports import LOOPBACK


class BoardContract(base.BoardTestMixin):
    """The mixin asks for a client, which it closes to see a board without one: ours close with their board."""

    def setUp(self) -> None:
        super().setUp()
        self.client, self.board = self.create_board()

    def create_board(self, persistence: Any = None) -> tuple[Any, Any]:
        board = self.make_board(persistence)
        self.addCleanup(board.close)
        return board, board


class TestSqlBoardOnSQLite(BoardContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _database(self, sqlite_url: str) -> None:
        self.url = sqlite_url

    def make_board(self, persistence: Any) -> SqlJobBoard:
        return SqlJobBoard("test-board", {"connection": self.url}, persistence=persistence)


class TestSqlBoardOnPostgreSQL(BoardContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _database(self, postgresql_url: str) -> None:
        self.url = postgresql_url

    def make_board(self, persistence: Any) -> SqlJobBoard:
        return SqlJobBoard("test-board", {"connection": self.url}, persistence=persistence)


class TestZookeeperBoard(BoardContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, zookeeper: ZooKeeper) -> None:
        self.options = ZookeeperOptions(zookeeper.hosts, f"/{uuid.uuid4()}")

    def make_board(self, persistence: Any) -> Any:
        return open_board("test-board", self.options, persistence)


class TestRedisBoard(BoardContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, redis: Redis) -> None:
        self.options = RedisOptions(LOOPBACK, redis.port, namespace=str(uuid.uuid4()))

    def make_board(self, persistence: Any) -> Any:
        return redis_boards.open_board("test-board", self.options, persistence)


class TestEtcdBoard(BoardContract, test.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, etcd: Etcd) -> None:
        self.options = EtcdOptions(LOOPBACK, etcd.port, f"/{uuid.uuid4()}")

    def make_board(self, persistence: Any) -> Any:
        return etcd_boards.open_board("test-board", self.options, persistence)
