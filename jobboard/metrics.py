"""What poster and conductor both measure, under the same names: https://prometheus.io/docs/concepts/

Whoever imports this imports prometheus_client, which takes a tenth of a second: a conductor does only when it is
asked for metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily

from jobboard.receipts import Receipt

PREFIX: Final = "countermand"

# Seconds. A cancel takes milliseconds where tasks look, and minutes where there is much to revert.
_CANCEL_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

PHASES: Final = ("delivered", "stopped", "reverted")
"""How far a cancel gets: the flag is up in the conductor, no task runs any more, and the job has ended."""


def new_registry() -> CollectorRegistry:
    """One of our own: in the library's global one others of the process may have put theirs."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # as many again, of no use here
    return CollectorRegistry()


class CancelSeconds:
    """How long cancels take, phase by phase, from their request on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        histogram = Histogram(
            f"{PREFIX}_cancel_seconds",
            "From the request of a cancel until its flag was up in the conductor (delivered), until no task ran "
            "any more (stopped), and until the job ended as cancelled or revert_failed (reverted). "
            "A job that had not begun is cancelled in 0 seconds.",
            ["phase"],
            buckets=_CANCEL_BUCKETS,
            registry=registry,
        )
        self._of_phase = {phase: histogram.labels(phase) for phase in PHASES}

    def observe(self, receipt: Receipt) -> None:
        """Of a job that has ended. Without a cancel there is nothing to observe."""
        for phase, seconds in seconds_of(receipt).items():
            self._of_phase[phase].observe(seconds)


def seconds_of(receipt: Receipt) -> Mapping[str, float]:
    """How long each phase took that it came to. Hosts' clocks differ a little: nothing takes less than no time."""
    requested_at = receipt.requested_at
    if requested_at is None:
        return {}
    moments = zip(PHASES, (receipt.delivered_at, receipt.stopped_at, receipt.finished_at), strict=True)
    return {
        phase: max(0.0, (moment - requested_at).total_seconds()) for phase, moment in moments if moment is not None
    }


def gauge(name: str, said: str, value: float) -> GaugeMetricFamily:
    """A gauge as it is read now."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", said, value)


def gauges(
    name: str, said: str, labels: Iterable[str], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    """The same, one for each of the labels' values."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", said, labels=[*labels])
    for of, value in values:
        family.add_metric(of, value)
    return family


def heartbeat_ages(seconds: Mapping[str, float]) -> GaugeMetricFamily:
    """Since when live conductors, by their names, have not been heard of."""
    return gauges(
        "conductor_heartbeat_age_seconds",
        "Seconds since the conductor last said that it lives, which renews its lease.",
        ["conductor"],
        (((name,), age_s) for name, age_s in sorted(seconds.items())),
    )
