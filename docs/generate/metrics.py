"""The metrics, from the registries that show them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client.metrics_core import Metric

from conductor.meter import Vitals
from conductor.metrics import JobMeter, of_vitals
from docs.generate.markdown import page, prose, table
from flows.registry import Registry, flow
from jobboard.metrics import new_registry
from jobboard.settings import read_settings
from jobboard.states import State
from poster.client import Client
from poster.stats import Stats
from poster.web.live.feed import Feed
from poster.web.metrics.gauges import Gauges, of_stats
from poster.web.metrics.job_counter import JobCounter
from poster.web.metrics.request_meter import Requests

_STATS = Stats({}, {"f": {str(State.PENDING): 1}}, None, None, 1, 1, 0, {"one": 0.0})
_HEAD = ("name", "type", "labels", "meaning")


_INTRO = """\
For Prometheus. Counters and histograms begin anew with each process. Scrape one `poster serve` of a database, and
every conductor."""


def metrics() -> str:
    """Those of `poster serve` and those of a conductor."""
    with _client() as client:
        server, conductor = _of_server(client), _of_conductor(client)
    return page(
        "Metrics",
        _INTRO,
        "## `/metrics` of `poster serve`",
        "It wants a token of role `read` where one is needed.",
        table(_HEAD, map(_row, server)),
        "## `/metrics` of a conductor",
        "With `conductor run --metrics-port 9100`.",
        table(_HEAD, map(_row, conductor)),
    )


@contextmanager
def _client() -> Iterator[Client]:
    """One that knows a flow: its name is the value of a label."""
    registry = Registry()
    flow("f", registry=registry)(lambda: None)
    with (
        tempfile.TemporaryDirectory() as home,
        Client.open(read_settings({}, home=home), registry=registry) as client,
    ):
        yield client


def _of_server(client: Client) -> list[Metric]:
    registry = new_registry()
    counter = JobCounter(client, registry)
    requests = Requests(registry)
    requests.answered("/", "GET", 200)
    requests.took("/", "GET", 0.1)
    stored = of_stats(_STATS)
    streams = (
        one for one in Gauges(client, Feed(client, [counter])).collect() if one.name.endswith("open_streams")
    )
    return [*stored, *streams, *registry.collect()]


def _of_conductor(client: Client) -> list[Metric]:
    registry = new_registry()
    JobMeter(registry, client.database, ["f"])
    return [*of_vitals(Vitals("one", 1, 0, 0.0, 0)), *registry.collect()]


def _row(metric: Metric) -> tuple[str, ...]:
    labels = sorted({label for sample in metric.samples for label in sample.labels} - {"le"})
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return (f"`{name}`", metric.type, _listed(labels), prose(metric.documentation))


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)
