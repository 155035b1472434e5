"""Opens the database and the board that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from jobboard.database import Database
from jobboard.errors import SettingError
from jobboard.records import Records
from jobboard.settings import Settings

if TYPE_CHECKING:
    from jobboard.dispatch.base import Dispatch  # brings TaskFlow along, which a poster does not need

BOARD = "countermand"
"""The name of our board: on the `sql` board's table, and as a folder on the others."""


def open_records(database: Database, settings: Settings) -> Records:
    """The records of `database`, which also feed its `sql` board if that is the one in use."""
    return Records(database, BOARD if settings.board_kind == "sql" else None)


def open_dispatch(database: Database, settings: Settings) -> Dispatch:
    """A conductor's access to the board that the settings name; not connected yet.

    Raises `SettingError` for a board whose client is not installed.
    """
    return _OPENERS[settings.board_kind](database, settings)


def _open_sql(database: Database, settings: Settings) -> Dispatch:
    from jobboard.boards.sql import SqlJobBoard
    from jobboard.dispatch.sql import SqlDispatch

    return SqlDispatch(database, SqlJobBoard(BOARD, {"lease": settings.lease}, database=database))


def _open_zookeeper(database: Database, settings: Settings) -> Dispatch:
    from jobboard.boards import zookeeper
    from jobboard.dispatch.zookeeper import ZookeeperDispatch

    options = zookeeper.parse_zookeeper_url(settings.jobboard_url, timeout_s=settings.lease)
    return ZookeeperDispatch(database, zookeeper.open_board(BOARD, options))


def _open_redis(database: Database, settings: Settings) -> Dispatch:
    from jobboard.boards.redis_options import parse_redis_url
    from jobboard.dispatch.taskflow import TaskflowDispatch

    options = parse_redis_url(settings.jobboard_url, lease_s=settings.lease)
    with _installed("redis"):
        from jobboard.boards import redis
    return TaskflowDispatch(database, redis.open_board(BOARD, options))


def _open_etcd(database: Database, settings: Settings) -> Dispatch:
    from jobboard.boards.etcd_options import parse_etcd_url
    from jobboard.dispatch.taskflow import TaskflowDispatch

    options = parse_etcd_url(settings.jobboard_url, lease_s=settings.lease)
    with _installed("etcd"):
        from jobboard.boards import etcd
    return TaskflowDispatch(database, etcd.open_board(BOARD, options))


_OPENERS: Final = {"sql": _open_sql, "zookeeper": _open_zookeeper, "redis": _open_redis, "etcd": _open_etcd}


@contextmanager
def _installed(kind: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise SettingError(
            f'jobboard {kind}: its client is not installed ({error}): pip install "countermand[{kind}]"'
        ) from error
