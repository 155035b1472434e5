"""`/metrics` of one conductor. Imported only where they are asked for, since prometheus_client is."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jobboard import receipts
from jobboard.errors import JobboardError
from jobboard.metrics import PREFIX, CancelSeconds, gauge, heartbeat_ages, new_registry
from jobboard.states import ENDED, State

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from conductor.meter import Vitals
    from conductor.service import Conductor
    from jobboard.claims import Claim
    from jobboard.database import Database

LOG = logging.getLogger(__name__)

_OF = f"{PREFIX}_conductor"


def serve(host: str, port: int) -> AbstractContextManager[CollectorRegistry]:
    """Listen, and serve what is put into the registry until the context ends. Raises `OSError`."""
    registry = new_registry()
    server, thread = start_http_server(port, host, registry=registry)
    return _serving(registry, server, thread)


@contextmanager
def _serving(registry: CollectorRegistry, server: WSGIServer, thread: Thread) -> Iterator[CollectorRegistry]:
    host, port = server.server_address[:2]
    LOG.info("metrics are at http://%s:%d/metrics", f"[{host!s}]" if ":" in str(host) else host, port)
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class JobMeter:
    """Counts a conductor's jobs: a `Meter`. Thread-safe."""

    def __init__(self, registry: CollectorRegistry, database: Database, flows: Iterable[str]) -> None:
        """`flows`: those that the conductor knows."""
        self._registry = registry
        self._database = database
        self._claimed = Counter(
            f"{_OF}_jobs_claimed", "Claims of jobs by this conductor.", ["flow"], registry=registry
        )
        self._ended = Counter(
            f"{_OF}_jobs_ended", "Jobs that ended in this conductor.", ["flow", "state"], registry=registry
        )
        self._cancels = CancelSeconds(registry)
        for flow in flows:  # who sees a counter first when it is 1 does not see it rise
            self._claimed.labels(flow)
            for state in sorted(ENDED):
                self._ended.labels(flow, str(state))

    def watch(self, conductor: Conductor) -> None:
        """Show how this conductor is, too."""
        self._registry.register(_Gauges(conductor))

    def claimed(self, claim: Claim) -> None:
        """A job was claimed."""
        self._claimed.labels(claim.flow).inc()

    def ended(self, claim: Claim, state: State) -> None:
        """A job has ended. If it was cancelled, its record is read once more."""
        self._ended.labels(claim.flow, str(state)).inc()
        # What a cleanup makes of a cancel that has been measured is no news of it.
        is_known = claim.cleanup and claim.state is State.CANCELLING
        if state in (State.CANCELLED, State.REVERT_FAILED) and not is_known:
            self._observe(claim)

    def _observe(self, claim: Claim) -> None:
        try:
            receipt = receipts.read(self._database, [claim.job]).get(claim.job)
        except JobboardError as error:
            LOG.warning("job %s: how long its cancel took is not measured: %s", claim.job, error)
            return
        # A job that was deleted is gone by now; one that was retried at once has another attempt.
        if receipt is not None and receipt.attempt == claim.attempt:
            self._cancels.observe(receipt)


class _Gauges(Collector):
    """What is asked for when it is shown."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """As it is now."""
        yield from of_vitals(self._conductor.vitals())


def of_vitals(vitals: Vitals) -> Iterator[GaugeMetricFamily]:
    """How a conductor is."""
    yield gauge("conductor_slots", "How many jobs this conductor runs at once.", vitals.slots)
    yield gauge("conductor_busy_slots", "How many of its slots have a job.", vitals.busy)
    yield gauge(
        "conductor_tasks_not_responding",
        "Tasks that go on here though their job is to stop.",
        vitals.not_responding,
    )
    known = {} if vitals.heartbeat_age_s is None else {vitals.name: vitals.heartbeat_age_s}
    yield heartbeat_ages(known)
