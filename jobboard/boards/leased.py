"""What TaskFlow's boards lack whose servers know no sessions, and the `redis` and `etcd` boards have in common."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

import tenacity
from taskflow import exceptions as excp
from taskflow.jobs import base

from jobboard.boards.iteration import PostingIterator
from jobboard.boards.lease import Lease
from jobboard.boards.who import check_who

LOG = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 1.0
_LONGEST_REQUEST_S: Final = 5.0
_SHORTEST_REQUEST_S: Final = 1.0


def request_s(lease_s: float) -> float:
    """How long an answer is waited for: so short that a lease can be renewed after one that never came."""
    return max(_SHORTEST_REQUEST_S, min(_LONGEST_REQUEST_S, lease_s / 3))


class NoAnswer(excp.JobFailure):
    """The server did not answer. If the request was sent, it may have been served all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class LeasedBoard(base.NotifyingJobBoard):
    """Comes before TaskFlow's board among the bases of a board. Thread-safe.

    - Claims belong to a session of this object, not to a name, and die with it; a thread keeps it alive.
    - A claim or a posting whose reply was lost is asked for again, until it is known to be there.
    - What is no posting is passed over and noted in `malformed`.
    - An iteration is one request, and always fresh.
    - It notifies of what is posted and removed through this object.
    """

    lease_s: float
    address: str
    """Fit to be shown."""

    def __init__(self, name: str, conf: dict[str, Any], persistence: Any = None) -> None:
        super().__init__(name, conf)
        self._persistence = persistence
        self._lease: Lease | None = None
        self._answers = False
        self._entity: Any = None
        self.malformed: dict[str, str] = {}
        """What was found among the postings and is none, by key, and why."""

    # What a board's server is asked

    @abstractmethod
    def begin_session(self) -> str:
        """See `lease.Server`."""

    @abstractmethod
    def prolong_session(self, session: str) -> bool:
        """See `lease.Server`."""

    @abstractmethod
    def end_session(self, session: str) -> None:
        """See `lease.Server`."""

    @abstractmethod
    def postings(self, *, ensure_fresh: bool) -> list[tuple[Any, bool]]:
        """All jobs in order, and whether they are claimed."""

    @abstractmethod
    def _open_client(self) -> None:
        """Have a client that answered."""

    @abstractmethod
    def _close_client(self) -> None:
        """Have none."""

    @abstractmethod
    def _asking(self, doing: str) -> AbstractContextManager[Any]:
        """Around every request: `NoAnswer` if the server does not answer, `JobFailure` for other errors."""

    @abstractmethod
    def _claim(self, job: Any, who: str, session: str, mark: str) -> bool:
        """Claim it; False if the session has ended. No other claim has this mark: it may be made again.

        Raises `UnclaimableJob`, `NotFound`.
        """

    @abstractmethod
    def _post(self, name: str, book: Any, details: dict[str, Any] | None, priority: base.JobPriority) -> Any:
        """Post it, in requests that are made again if need be."""

    @abstractmethod
    def _register(self, session: str, entity: Any) -> None:
        """Store who uses the board for as long as the session lasts."""

    # TaskFlow's interface

    @property
    def connected(self) -> bool:
        """Does the server answer, as far as we know, and is there a session? Also after one was lost."""
        lease = self._lease
        return lease is not None and self._answers and lease.holds(lease.last)

    @property
    def alive(self) -> bool:
        """Do the claims of this board certainly hold still? False is final, until `connect` is called again."""
        lease = self._lease
        return lease is not None and lease.alive

    def connect(self) -> None:
        """Connect, or raise `JobFailure`. A session that was lost is begun anew."""
        with self._open_close_lock:
            if self._lease is not None and not self.alive:
                self.close()
            if self._lease is None:
                try:
                    self._open_client()
                    lease = Lease(self, self.lease_s)
                    lease.open()
                except BaseException:
                    self._close_client()
                    raise
                self._lease = lease

    def close(self) -> None:
        """End the session and with it the claims."""
        with self._open_close_lock:
            lease, self._lease = self._lease, None
            try:
                if lease is not None:
                    lease.close()
            except excp.JobFailure as error:
                LOG.warning("jobboard %s: its lease was not ended, and runs out by itself: %s", self.name, error)
            finally:
                self._answers = False
                self._close_client()

    def iterjobs(self, only_unclaimed: bool = False, ensure_fresh: bool = False) -> PostingIterator:
        """Iterate by priority, then oldest first, over what is on the board when the iteration begins."""
        return PostingIterator(self, only_unclaimed=only_unclaimed, ensure_fresh=ensure_fresh)

    def wait(self, timeout: float | None = None) -> PostingIterator:
        """Wait until there are jobs on the board, claimed or not, and iterate over them. `NotFound`: none came."""
        ends_at = float("inf") if timeout is None else time.monotonic() + timeout
        pause_s = _FIRST_PAUSE_S
        while not self.postings(ensure_fresh=True):
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                raise excp.NotFound(f"jobboard {self.name}: no job came in {timeout} s")
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return self.iterjobs()

    def post(
        self,
        name: str,
        book: Any = None,
        details: dict[str, Any] | None = None,
        priority: base.JobPriority | str = base.JobPriority.NORMAL,
    ) -> Any:
        """Put a job on the board."""
        job = self._post(name, book, details, base.JobPriority.convert(priority))
        self.notifier.notify(base.POSTED, {"job": job})
        return job

    def claim(self, job: Any, who: str) -> None:
        """Claim it, or raise `UnclaimableJob`, also if it is `who` that has it; `NotFound` when it is gone."""
        check_who(who)
        lease = self._required_lease()
        for _ in range(2):
            session = lease.session()
            if self._is_claimed(job, who, session):
                return
            lease.lost(session)
        raise excp.JobFailure(f"job {job.uuid} cannot be claimed by {who}: the board's session was lost")

    def consume(self, job: Any, who: str) -> None:
        """Take it off the board for good. `NotFound` if nobody has claimed it, `JobFailure` if another has."""
        super().consume(job, who)
        self.notifier.notify(base.REMOVAL, {"job": job})

    def trash(self, job: Any, who: str) -> None:
        """Take it off the board, but keep it in another place. Raises as `consume`."""
        super().trash(job, who)
        self.notifier.notify(base.REMOVAL, {"job": job})

    def register_entity(self, entity: Any) -> None:
        """Store who uses the board, and again whenever a new session begins."""
        self._register(self._required_lease().session(), entity)
        self._entity = entity

    def _is_claimed(self, job: Any, who: str, session: str) -> bool:
        mark = str(uuid.uuid4())
        return self._known(lambda: self._claim(job, who, session, mark))

    def _required_lease(self) -> Lease:
        lease = self._lease
        if lease is None:
            raise excp.JobFailure(f"jobboard {self.name} is not connected")
        return lease

    def _known(self, request: Callable[[], T]) -> T:
        """Make a request until its answer is known, or the session lost: whether it was served must be known."""
        lease = self._required_lease()
        session = lease.session()

        def may_be_served(attempt: tenacity.RetryCallState) -> bool:
            error = attempt.outcome.exception() if attempt.outcome else None
            unclear = isinstance(error, NoAnswer) and (error.sent or attempt.attempt_number > 1)
            return unclear and lease.holds(session)

        again = tenacity.Retrying(
            retry=may_be_served,
            wait=tenacity.wait_exponential(_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            stop=tenacity.stop_after_delay(self.lease_s),
            reraise=True,
        )
        return again(request)

    def _note_malformed(self, found: dict[str, str]) -> None:
        for key in found.keys() - self.malformed.keys():
            LOG.warning("jobboard %s: %s is passed over: %s", self.name, key, found[key])
        self.malformed = found

    @contextlib.contextmanager
    def _answered(
        self, doing: str, silence: tuple[type[Exception], ...], unsent: tuple[str, ...]
    ) -> Iterator[None]:
        """Notes whether the server answers.

        `silence` are the client's errors that say it does not; those with one of these texts came up while it
        tried to connect, before a request was sent.
        """
        try:
            yield
        except silence as error:
            self._answers = False
            why = reason(error)
            sent = not any(text in why for text in unsent)
            raise NoAnswer(f"{doing}: {self.address} does not answer: {why}", sent=sent) from error
        self._answers = True


def reason(error: Exception) -> str:
    """What a client's error says, without what it is made of."""
    return getattr(error, "detail_text", None) or str(error) or type(error).__name__
