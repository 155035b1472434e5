"""What is read whenever it is asked for: of the database, and of the server's open streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jobboard.metrics import gauge, gauges, heartbeat_ages
from jobboard.states import State

if TYPE_CHECKING:
    from poster.client import Client
    from poster.stats import Stats
    from poster.web.live.feed import Feed


class Gauges(Collector):
    """Belongs to a registry. Thread-safe."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self._client = client
        self._feed = feed

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is asked for now. Raises `Unreachable`: nothing is told then, rather than half of it."""
        yield from of_stats(self._client.stats())
        yield gauge("open_streams", "Streams of live events that are open.", self._feed.streams)


def of_stats(stats: Stats) -> Iterator[GaugeMetricFamily]:
    """Jobs and conductors. Of a flow that has jobs each state is told, also one that no job is in."""
    yield gauges(
        "jobs",
        "Jobs that are stored.",
        ["flow", "state"],
        (
            ((flow, str(state)), states.get(str(state), 0))
            for flow, states in stats.flows.items()
            for state in State
        ),
    )
    yield gauge(
        "queue_age_seconds",
        "For how long the job that waits longest could have run; 0 if none waits.",
        stats.oldest_waiting_s or 0.0,
    )
    yield gauge("conductors", "Conductors that live.", stats.conductors)
    yield gauge("slots", "How many jobs all live conductors together run at once.", stats.slots)
    yield gauge("busy_slots", "How many of these slots have a job.", stats.busy)
    yield heartbeat_ages(stats.heartbeat_age_s)
