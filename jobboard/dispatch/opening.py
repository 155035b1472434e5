"""Opens the database and the board that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobboard.address import without_password
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
    if settings.board_kind == "sql":
        from jobboard.boards.sql import SqlJobBoard
        from jobboard.dispatch.sql import SqlDispatch

        board = SqlJobBoard(BOARD, {"lease": settings.lease}, database=database)
        return SqlDispatch(database, board)
    from jobboard.dispatch.taskflow import TaskflowDispatch

    if settings.board_kind == "zookeeper":
        from jobboard.boards import zookeeper

        options = zookeeper.parse_zookeeper_url(settings.jobboard_url, timeout_s=settings.lease)
        return TaskflowDispatch(database, zookeeper.open_board(BOARD, options))
    address = without_password(settings.jobboard_url)
    raise SettingError(f"jobboard {address}: {settings.board_kind} is not supported yet")
