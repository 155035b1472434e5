"""An iteration over a board of TaskFlow's that asks its server once, and not for each posting."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from taskflow.jobs import base

from jobboard.models import PRIORITIES

LOG = logging.getLogger(__name__)


class PostingIterator(base.JobBoardIterator):
    """Jobs in the order of `board.postings`; which are claimed is read once, when the iteration begins."""

    def __init__(self, board: Any, *, only_unclaimed: bool, ensure_fresh: bool) -> None:
        super().__init__(board, LOG, only_unclaimed=only_unclaimed, ensure_fresh=ensure_fresh)
        self._left: Iterator[tuple[Any, bool]] | None = None

    def __next__(self) -> Any:
        if self._left is None:
            self._left = iter(self.board.postings(ensure_fresh=self.ensure_fresh))
        for job, claimed in self._left:
            if not (claimed and self.only_unclaimed):
                return job
        raise StopIteration


def place(job: Any) -> tuple[int, int]:
    """Where a job stands: high priorities first, then the oldest. TaskFlow's own order puts high ones last."""
    return rank(job), job.sequence


def rank(job: Any) -> int:
    """A job's priority as a record stores it: the most urgent is 0."""
    return PRIORITIES.index(job.priority.value.lower())


def why_no_posting(posting: dict[str, Any]) -> str | None:
    """Why what was read is no posting; None if it is one."""
    try:
        base.JobPriority.convert(posting.get("priority", base.JobPriority.NORMAL))
    except ValueError as error:
        return str(error)
    for name, kinds in (("uuid", str), ("name", str), ("details", dict), ("book", dict | None)):
        if not isinstance(posting.get(name, {} if name == "details" else None), kinds):
            return f"{name} is missing or of the wrong type"
    return None
