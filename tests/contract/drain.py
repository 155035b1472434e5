"""A process that claims and consumes what is on a board, and prints what that was."""

from __future__ import annotations

import sys

from taskflow import exceptions as excp

from jobboard.boards.sql import SqlJobBoard
from jobboard.boards.zookeeper import ZookeeperOptions, open_board


def main(kind: str, *where: str) -> None:
    if kind == "sql":
        board = SqlJobBoard("contract", {"connection": where[0]})
    else:
        board = open_board("contract", ZookeeperOptions(*where))
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


if __name__ == "__main__":
    main(*sys.argv[1:])
