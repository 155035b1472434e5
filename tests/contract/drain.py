"""A process that claims and consumes what is on a board, and prints what that was."""

from __future__ import annotations

import sys
from typing import Any

from taskflow import exceptions as excp

from jobboard.boards import etcd, redis, zookeeper
from jobboard.boards.sql import SqlJobBoard
from tests.servers.ports import LOOPBACK


def main(kind: str, *where: str) -> None:
    board = _board(kind, where)
    board.connect()
    shared = False
    while jobs := list(board.iterjobs(only_unclaimed=True, ensure_fresh=True)):
        for job in jobs:
            try:
                board.claim(job, "drain")
            except (excp.UnclaimableJob, excp.NotFound):
                continue
            print(job.name, flush=True)
            board.consume(job, "drain")
            if not shared:
                sys.stdin.readline()  # until all have got one
                shared = True
    board.close()


def _board(kind: str, where: tuple[str, ...]) -> Any:
    if kind == "sql":
        return SqlJobBoard("contract", {"connection": where[0]})
    if kind == "redis":
        port, namespace = where
        return redis.open_board("contract", redis.RedisOptions(LOOPBACK, int(port), namespace=namespace))
    if kind == "etcd":
        port, path = where
        return etcd.open_board("contract", etcd.EtcdOptions(LOOPBACK, int(port), path))
    return zookeeper.open_board("contract", zookeeper.ZookeeperOptions(*where))


if __name__ == "__main__":
    main(*sys.argv[1:])
