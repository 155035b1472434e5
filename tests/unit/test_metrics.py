"""Metrics: what is counted, what is measured, and how it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.registry import Collector

from conductor.meter import Vitals
from conductor.metrics import of_vitals
from jobboard.metrics import CancelSeconds, new_registry, seconds_of
from jobboard.models import ConductorRow, HistoryLine
from jobboard.receipts import Receipt
from poster.stats import stats_of
from poster.web.gate import permissions
from poster.web.metrics.gauges import of_stats
from poster.web.metrics.job_counter import lines_that_count
from poster.web.metrics.request_meter import RequestMeter, Requests
from tests.metrics_seen import Seen

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def receipt(*seconds: float | None, requested: bool = True) -> Receipt:
    moments = [None if one is None else later(one) for one in seconds]
    return Receipt("01j", "f", 1, AT if requested else None, *moments)


# How long cancels take


def test_each_phase_is_measured_from_the_request_on():
    assert seconds_of(receipt(0.25, 1.5, 60.0)) == {"delivered": 0.25, "stopped": 1.5, "reverted": 60.0}


def test_a_phase_that_a_cancel_did_not_come_to_is_not_measured():
    assert seconds_of(receipt(0.25, None, None)) == {"delivered": 0.25}
    assert seconds_of(receipt(1, 2, 3, requested=False)) == {}


def test_no_phase_takes_less_than_no_time():
    assert seconds_of(receipt(-0.001, 0, 1)) == {"delivered": 0, "stopped": 0, "reverted": 1}


def test_phases_are_told_before_the_first_cancel():
    registry = new_registry()
    cancels = CancelSeconds(registry)
    assert Seen(generate_latest(registry).decode())['countermand_cancel_seconds_count{phase="stopped"}'] == 0
    cancels.observe(receipt(0.004, 0.3, 400))
    seen = Seen(generate_latest(registry).decode())
    counts = seen.of("countermand_cancel_seconds_count")
    assert counts == {'phase="delivered"': 1, 'phase="stopped"': 1, 'phase="reverted"': 1}
    assert seen['countermand_cancel_seconds_bucket{le="0.005",phase="delivered"}'] == 1
    assert seen['countermand_cancel_seconds_bucket{le="0.25",phase="stopped"}'] == 0
    assert seen['countermand_cancel_seconds_bucket{le="600.0",phase="reverted"}'] == 1
    assert not [key for key in seen if "created" in key]


# What lines of history count


class Lines:
    """A history that grows."""

    def __init__(self) -> None:
        self.lines: list[HistoryLine] = []

    def add(self, job: str, state: str, message: str = "", by: str | None = None, kind: str = "state") -> None:
        seq = len(self.lines) + 1
        self.lines.append(HistoryLine(seq, job, 1, AT, kind, None, state, by, message, None))

    @property
    def that_count(self) -> list[str]:
        return [f"{line.job} {line.state}" for line in lines_that_count(self.lines)]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_the_first_line_and_the_last_count(lines: Lines):
    lines.add("a", "pending", "posted", "ann")
    lines.add("b", "pending", "posted", "ann")
    lines.add("a", "running", "claimed by one", "one")
    lines.add("a", "completed")
    lines.add("b", "cancelled", by="ann")
    assert lines.that_count == ["a pending", "b pending", "a completed", "b cancelled"]


def test_what_comes_back_to_pending_was_not_posted(lines: Lines):
    lines.add("a", "pending", "retried by hand", "ann")
    lines.add("a", "pending", "resumed by ann", "ann")
    lines.add("a", "pending", "its conductor shut down in order; results are kept")
    assert lines.that_count == []


def test_only_lines_of_states_count(lines: Lines):
    lines.add("a", "failed", kind="task")
    lines.add("a", "completed", kind="log")
    lines.add("a", "pending", "posted", kind="log")
    assert lines.that_count == []


def test_a_failure_after_which_a_job_goes_on_by_itself_does_not_count(lines: Lines):
    lines.add("a", "failed", "boom")
    lines.add("b", "failed", "boom")
    lines.add("a", "pending", "retry 1 of 3 in 1s")
    lines.add("b", "pending", "retried by hand", "ann")
    lines.add("a", "failed", "boom")
    assert lines.that_count == ["b failed", "a failed"]
    assert [line.seq for line in lines_that_count(lines.lines)] == [2, 5]


# Gauges


class Fixed(Collector):
    def __init__(self, families: Any) -> None:
        self.families = [*families]

    def collect(self) -> Any:
        return self.families


def shown(families: Any) -> Seen:
    registry = new_registry()
    registry.register(Fixed(families))
    return Seen(generate_latest(registry).decode())


def row(name: str, slots: int, seen_at: datetime, *jobs: str, alive: bool = True) -> ConductorRow:
    return ConductorRow(name, f"host:1:{name}", "host", 1, slots, ("f",), AT, seen_at, alive, jobs)


def test_jobs_and_conductors():
    rows = [
        row("one", 4, later(8), "a", "b"),
        row("two", 2, later(9), "c", "d", "e"),
        row("two", 2, later(5)),
        row("dead", 8, later(0), alive=False),
    ]
    seen = shown(of_stats(stats_of({"f": {"pending": 2, "failed": 1}}, later(3), rows, later(10))))
    assert seen.of("countermand_jobs") == {'flow="f",state="pending"': 2, 'flow="f",state="failed"': 1}
    assert seen['countermand_jobs{flow="f",state="running"}'] == 0
    assert seen["countermand_queue_age_seconds"] == 7
    assert (seen["countermand_conductors"], seen["countermand_slots"], seen["countermand_busy_slots"]) == (3, 8, 4)
    # Of two with one name it is one line, of the one that is longer silent.
    assert seen.of("countermand_conductor_heartbeat_age_seconds") == {'conductor="one"': 2, 'conductor="two"': 5}


def test_nothing_is_there():
    seen = shown(of_stats(stats_of({}, None, [], AT)))
    names = ("queue_age_seconds", "conductors", "slots", "busy_slots")
    assert seen == {f"countermand_{name}": 0 for name in names}


def test_a_name_that_people_made_up_is_quoted():
    name = 'a "b"\\c\nd'
    seen = shown(of_stats(stats_of({name: {"pending": 1}}, None, [], AT)))
    assert seen.of("countermand_jobs") == {f'flow="{name}",state="pending"': 1}


def test_a_conductor():
    seen = shown(of_vitals(Vitals("one", slots=4, busy=3, heartbeat_age_s=1.5, not_responding=2)))
    assert seen == {
        "countermand_conductor_slots": 4,
        "countermand_conductor_busy_slots": 3,
        "countermand_conductor_tasks_not_responding": 2,
        'countermand_conductor_heartbeat_age_seconds{conductor="one"}': 1.5,
    }
    seen = shown(of_vitals(Vitals("one", slots=4, busy=0, heartbeat_age_s=None, not_responding=0)))
    assert seen.of("countermand_conductor_heartbeat_age_seconds") == {}


# Requests


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/jobs", "/api/jobs"),
        ("/api/jobs/current", "/api/jobs/current"),
        ("/api/jobs/01j", "/api/jobs/{job}"),
        ("/api/jobs/01j/events", "/api/jobs/{job}/events"),
        ("/api/stats/day", "/api/stats/day"),
        ("/api/jobs/", None),
        ("/wp-admin", None),
    ],
)
def test_the_route_of_a_path(path: str, template: str | None):
    assert permissions.template_of(path) == template
    assert permissions.find(path) == (permissions.PERMISSIONS[template] if template else None)


def metered(scope: Mapping[str, Any], messages: list[dict[str, Any]], error: BaseException | None = None) -> Seen:
    """What is counted of a request that is answered so."""
    registry = new_registry()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    async def ask() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError("nothing is to be read")

        meter = RequestMeter(app, Requests(registry))
        with pytest.raises(type(error)) if error else nullcontext():
            await meter(dict(scope), receive, send)
        assert sent == messages

    asyncio.run(ask())
    return Seen(generate_latest(registry).decode())


HTTP = {"type": "http", "method": "GET", "path": "/api/jobs/01j"}
SOCKET = {"type": "websocket", "path": "/api/ws"}
COUNT = "countermand_http_requests_total"
SECONDS = "countermand_http_request_seconds_count"


def start(status: int, kind: str = "application/json", of: str = "http") -> dict[str, Any]:
    headers = [(b"content-type", kind.encode())]
    return {"type": f"{of}.response.start", "status": status, "headers": headers}


def test_a_request_is_counted_and_measured_by_its_route():
    seen = metered(HTTP, [start(200), {"type": "http.response.body", "body": b"{}"}])
    assert seen.of(COUNT) == {'method="GET",route="/api/jobs/{job}",status="200"': 1}
    assert seen.of(SECONDS) == {'method="GET",route="/api/jobs/{job}"': 1}


def test_what_clients_make_up_is_no_label():
    seen = metered({**HTTP, "method": "BREW", "path": "/coffee"}, [start(404)])
    assert seen.of(COUNT) == {'method="other",route="other",status="404"': 1}


def test_a_stream_is_counted_and_not_measured():
    seen = metered({**HTTP, "path": "/api/events"}, [start(200, "text/event-stream; charset=utf-8")])
    assert seen.of(COUNT) == {'method="GET",route="/api/events",status="200"': 1}
    assert seen.of(SECONDS) == {}


def test_a_socket_is_counted_and_not_measured():
    seen = metered(SOCKET, [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "x"}])
    assert seen.of(COUNT) == {'method="WEBSOCKET",route="/api/ws",status="101"': 1}
    assert seen.of(SECONDS) == {}


def test_a_socket_that_is_refused():
    seen = metered(SOCKET, [start(401, of="websocket.http")])
    assert seen.of(COUNT) == {'method="WEBSOCKET",route="/api/ws",status="401"': 1}


def test_a_fault_of_ours_is_counted_as_such():
    seen = metered(HTTP, [], ValueError("boom"))
    assert seen.of(COUNT) == {'method="GET",route="/api/jobs/{job}",status="500"': 1}
    assert seen.of(SECONDS) == {'method="GET",route="/api/jobs/{job}"': 1}


def test_who_goes_away_before_there_is_an_answer_is_not_counted():
    seen = metered(HTTP, [], asyncio.CancelledError())
    assert (seen.of(COUNT), seen.of(SECONDS)) == ({}, {})
