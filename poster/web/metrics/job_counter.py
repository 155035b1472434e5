"""Counts what becomes of jobs, as the lines of their histories tell it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from jobboard import history, receipts
from jobboard.metrics import PREFIX, CancelSeconds
from jobboard.states import ENDED, State

if TYPE_CHECKING:
    from datetime import datetime

    from prometheus_client import CollectorRegistry

    from jobboard.models import HistoryLine
    from jobboard.receipts import Receipt
    from poster.client import Client

_ENDS: Final = {
    State.COMPLETED: "Jobs that have completed.",
    State.FAILED: "Jobs that have failed; not attempts after which a job goes on by itself.",
    State.CANCELLED: "Jobs that were cancelled, and reverted.",
    State.REVERT_FAILED: "Jobs of which a revert failed.",
}


class JobCounter:
    """An observer of the feed, which calls it in its thread. A job that is removed at once is not counted."""

    def __init__(self, client: Client, registry: CollectorRegistry) -> None:
        self._client = client
        self._posted = Counter(f"{PREFIX}_jobs_posted", "Jobs that were posted.", ["flow"], registry=registry)
        self._ended = {
            str(state): Counter(f"{PREFIX}_jobs_{state}", said, ["flow"], registry=registry)
            for state, said in _ENDS.items()
        }
        self._cancels = CancelSeconds(registry)
        # Cancels that ended revert_failed, each by its moment: what a cleanup makes of one is no news of it.
        self._observed: set[tuple[str, datetime]] = set()
        self._begin_with_nothing()

    def _begin_with_nothing(self) -> None:
        """Of flows that are known: who sees a counter first when it is 1 does not see it rise."""
        for spec in self._client.flows():
            for counter in (self._posted, *self._ended.values()):
                counter.labels(spec.name)

    def __call__(self, lines: Sequence[HistoryLine]) -> None:
        """Take in lines that were not seen before. Raises `Unreachable`: nothing is counted then."""
        told = lines_that_count(lines)
        if not told:
            return
        found = receipts.read(self._client.database, {line.job for line in told})
        for line in told:
            if (receipt := found.get(line.job)) is not None:
                self._count(line, receipt)

    def _count(self, line: HistoryLine, receipt: Receipt) -> None:
        if is_posting(line):
            self._posted.labels(receipt.flow).inc()
            return
        self._ended[str(line.state)].labels(receipt.flow).inc()
        if line.state in (State.CANCELLED, State.REVERT_FAILED) and line.attempt == receipt.attempt:
            self._observe(line, receipt)

    def _observe(self, line: HistoryLine, receipt: Receipt) -> None:
        if receipt.requested_at is None or line.at < receipt.requested_at:
            return  # lines are read late: the job may have been cancelled since
        cancel = (line.job, receipt.requested_at)
        if cancel not in self._observed:
            self._cancels.observe(receipt)
        if line.state == State.REVERT_FAILED:
            self._observed.add(cancel)
        else:
            self._observed.discard(cancel)


def lines_that_count(lines: Iterable[HistoryLine]) -> list[HistoryLine]:
    """The lines that tell of a job that was posted or has ended.

    A job that failed, keeps its results and goes on by itself comes to `failed` and leaves it in one transaction:
    it has not ended.
    """
    of_job: dict[str, HistoryLine] = {}
    goes_on: set[int] = set()
    states = [line for line in lines if line.kind == history.STATE]
    for line in states:
        before = of_job.get(line.job)
        if before and before.state == State.FAILED and line.state == State.PENDING and line.by is None:
            goes_on.add(before.seq)
        of_job[line.job] = line
    return [line for line in states if (line.state in ENDED or is_posting(line)) and line.seq not in goes_on]


def is_posting(line: HistoryLine) -> bool:
    """Whether it is a job's first line."""
    return line.state == State.PENDING and line.message == history.POSTED
