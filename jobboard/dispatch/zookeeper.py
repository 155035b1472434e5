"""Claims on the `zookeeper` board: what a pass has to ask goes in a few requests, however much it is of."""

from __future__ import annotations

import queue
from collections.abc import Collection, Sequence
from typing import Any

from taskflow.jobs.base import JobPriority

from jobboard.boards.zookeeper import ZookeeperBoard
from jobboard.claims import Claim
from jobboard.database import Database
from jobboard.dispatch.base import reached
from jobboard.dispatch.taskflow import TaskflowDispatch, details_of, priority_of
from jobboard.owner import Owner
from jobboard.schema import Row


class ZookeeperDispatch(TaskflowDispatch):
    """As on TaskFlow's other boards. Postings of jobs that rest are removed together, by the next pass."""

    def __init__(self, database: Database, board: ZookeeperBoard) -> None:
        super().__init__(database, board)
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def close(self) -> None:
        """As of the others."""
        if self.board.connected:
            self._remove_done()
        super().close()

    def claim(self, owner: Owner, flows: Sequence[str], limit: int, *, busy: Collection[str] = ()) -> list[Claim]:
        """As on the others."""
        self._remove_done()
        return super().claim(owner, flows, limit, busy=busy)

    def mend(self, owner: Owner, running: Collection[str]) -> int:
        """As on the others."""
        self._remove_done()
        return super().mend(owner, running)

    def was_put_down(self, claim: Claim, *, keep_posting: bool) -> None:
        """As on the others."""
        if keep_posting:
            super().was_put_down(claim, keep_posting=True)
        else:
            self._done.put(claim.handle[1])

    def _remove_done(self) -> None:
        # What is lost here by a failure is found at rest by whoever claims it next.
        done = [self._done.get() for _ in range(self._done.qsize())]
        if done:
            with reached(self.board):
                self.board.remove_all(done)

    def _post(self, rows: Sequence[Row]) -> None:
        self.board.post_all(
            [(row["flow"], details_of(row), JobPriority.convert(priority_of(row))) for row in rows]
        )

    def _hold(self, owner: Owner, postings: Sequence[Any]) -> list[Any]:
        held: list[Any] = self.board.claim_all(postings, owner.id)
        return held
