"""A posting of the `sql` board as TaskFlow's `Job`, and the iterator over many."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from taskflow import states
from taskflow.jobs import base

from jobboard.models import PRIORITIES

if TYPE_CHECKING:
    import sqlalchemy as sa

    from jobboard.boards.sql import SqlJobBoard

PAGE: Final = 100
"""How many postings an iteration reads at once."""


@dataclass(frozen=True)
class Sight:
    """What changes about a posting, as read at one moment."""

    state: str  # TaskFlow's: UNCLAIMED, CLAIMED
    owner: str | None  # whose claim holds; None also when its session has died
    created_at: datetime
    modified_at: datetime


class SqlJob(base.Job):
    """A posting. What never changes was read with it; `state` and `last_modified` are asked for each time.

    Equal to every other object for the same posting.
    """

    def __init__(
        self,
        board: SqlJobBoard,
        name: str,
        *,
        uuid: str,
        priority: base.JobPriority,
        details: dict[str, Any],
        book_data: dict[str, Any] | None,
        book: Any = None,
        backend: Any = None,
    ) -> None:
        super().__init__(board, name, uuid=uuid, details=details, backend=backend, book=book, book_data=book_data)
        self._priority = priority
        self._created_on: datetime | None = None

    @property
    def priority(self) -> base.JobPriority:
        """TaskFlow's `JobPriority`."""
        return self._priority

    @property
    def state(self) -> str:
        """UNCLAIMED, CLAIMED; COMPLETE once it has left the board. Raises `JobFailure`."""
        sight = self._look()
        return states.COMPLETE if sight is None else sight.state

    @property
    def created_on(self) -> datetime | None:
        """When it was posted, in UTC without a time zone, as on TaskFlow's Redis and etcd boards.

        None once it has left the board, unless it was asked before.
        """
        if self._created_on is None and (sight := self._look()):
            self._created_on = _without_zone(sight.created_at)
        return self._created_on

    @property
    def last_modified(self) -> datetime | None:
        """When it was posted, claimed or given back last; None once it has left the board."""
        sight = self._look()
        return None if sight is None else _without_zone(sight.modified_at)

    def _look(self) -> Sight | None:
        sight: Sight | None = self.board.look(self)
        return sight

    def __eq__(self, other: object) -> bool:
        return self.uuid == other.uuid if isinstance(other, SqlJob) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uuid)


Place = tuple[int, int]
"""Where in the order of the board: priority, sequence."""


@dataclass(frozen=True)
class Posted:
    """A posting as an iteration found it."""

    place: Place
    claimed: bool
    job: SqlJob | None  # None: malformed


class SqlJobIterator(base.JobBoardIterator):
    """Postings by priority, then oldest first, read a page at a time and never asked for one by one."""

    def __init__(
        self,
        board: SqlJobBoard,
        logger: Any,
        read_page: Callable[[Place, bool], Sequence[Posted]],
        *,
        only_unclaimed: bool,
        ensure_fresh: bool,
    ) -> None:
        super().__init__(board, logger, only_unclaimed=only_unclaimed, ensure_fresh=ensure_fresh)
        self._read_page = read_page
        self._page: deque[Posted] = deque()
        self._last: Place = (-1, -1)
        self._ended = False

    def __next__(self) -> SqlJob:
        while posted := self._next_posted():
            if posted.job is not None and not (posted.claimed and self.only_unclaimed):
                return posted.job
        raise StopIteration

    def _next_posted(self) -> Posted | None:
        if not self._page and not self._ended:
            self._page.extend(self._read_page(self._last, self.only_unclaimed))
            self._ended = len(self._page) < PAGE
        if not self._page:
            return None
        posted = self._page.popleft()
        self._last = posted.place
        return posted


def job_of(row: sa.Row[Any], board: SqlJobBoard, backend: Any) -> SqlJob:
    """The job that a row describes. Raises `ValueError` for a malformed one."""
    return SqlJob(
        board,
        row.name,
        uuid=row.uuid,
        priority=_priority(row.priority),
        details=_object(row.details, "details") or {},
        book_data=_object(row.book, "book"),
        backend=backend,
    )


def _priority(index: int) -> base.JobPriority:
    if index not in range(len(PRIORITIES)):
        raise ValueError(f"priority {index} is none")
    return base.JobPriority.convert(PRIORITIES[index])


def _object(text: str | None, what: str) -> dict[str, Any] | None:
    if text is None:
        return None
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"its {what} are no JSON object")  # noqa: TRY004 - the text is at fault, not a type
    return value


def _without_zone(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
