"""`/metrics` of the server: what it reads of a real database, and what it counts of what happens there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from prometheus_client import generate_latest

from jobboard import receipts
from jobboard.database import open_database
from jobboard.errors import Unreachable
from jobboard.metrics import new_registry
from jobboard.states import State
from jobboard.tokens import Role
from poster.client import Client
from poster.web.metrics.job_counter import JobCounter
from tests.http.served import Served
from tests.integration.house import Gate, Hold, House, Step, settings_for
from tests.metrics_seen import Seen
from tests.servers import PostgreSQL
from tests.servers.required import require
from tests.waiting import until

S = State
PHASES = ("delivered", "stopped", "reverted")


@pytest.fixture
def house(house: House) -> House:
    """With a flow for each end."""
    house.flow(lambda: [house.step("a")], "works")
    house.flow(lambda: [house.step("a", fail)], "fails")
    return house


@pytest.fixture
def server(house: House) -> Iterator[Served]:
    with Served(house) as server:
        # What happens before the feed has begun is not counted.
        until(server.app.state.feed._begun.is_set, what="the feed")
        yield server


def fail(_task: Step) -> None:
    raise ValueError("boom")


def seen(server: Served) -> Seen:
    answered = server.http.get("/metrics")
    assert answered.status_code == 200, answered.text
    return Seen(answered.text)


def sees(server: Served, condition: Callable[[Seen], bool], what: str) -> Seen:
    def look() -> Seen | None:
        found = seen(server)
        return found if condition(found) else None

    return until(look, what=what)


def total(found: Seen, what: str, flow: str) -> float:
    """0 also of a flow that the server does not know, and has not met yet."""
    return found.get(f'countermand_jobs_{what}_total{{flow="{flow}"}}', 0.0)


def observed(found: Seen) -> list[float]:
    """How many cancels were observed, phase by phase."""
    return [found[f'countermand_cancel_seconds_count{{phase="{phase}"}}'] for phase in PHASES]


# Counters


def test_what_becomes_of_jobs_is_counted_by_flow(house: House, server: Served):
    assert seen(server)['countermand_jobs_posted_total{flow="works"}'] == 0
    jobs = [house.post("works"), house.post("works"), house.post("fails")]
    house.drain()
    assert {house.get(job).state for job in jobs} == {S.COMPLETED, S.FAILED}
    found = sees(
        server,
        lambda found: total(found, "completed", "works") == 2 and total(found, "failed", "fails") == 1,
        "the ends of the jobs",
    )
    assert found.of("countermand_jobs_posted_total") == {'flow="works"': 2, 'flow="fails"': 1}
    assert found.of("countermand_jobs_completed_total") == {'flow="works"': 2}
    assert found.of("countermand_jobs_failed_total") == {'flow="fails"': 1}
    assert observed(found) == [0, 0, 0]


def test_what_was_before_the_server_is_not_counted(house: House):
    house.post("works")
    with Served(house) as server:
        until(server.app.state.feed._begun.is_set, what="the feed")
        house.post("fails")
        found = sees(server, lambda found: total(found, "posted", "fails") == 1, "the new job")
        assert total(found, "posted", "works") == 0


def test_cancels_are_measured_once_each(house: House, server: Served):
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b", hold)], "holds")
    with house.running():
        job = house.post("holds")
        hold.arrived()
        house.records.cancel(job, by="ann")
        cancelled = house.comes_to(job, S.CANCELLED)
    found = sees(server, lambda found: total(found, "cancelled", "holds") == 1, "the cancel")
    assert observed(found) == [1, 1, 1]
    assert cancelled.cancel is not None
    assert cancelled.finished_at is not None
    took_s = (cancelled.finished_at - cancelled.cancel.requested_at).total_seconds()
    assert found['countermand_cancel_seconds_sum{phase="reverted"}'] == pytest.approx(took_s)
    house.records.cancel(house.post("works"), by="ann")  # nothing of it has begun
    found = sees(server, lambda found: total(found, "cancelled", "works") == 1, "the other cancel")
    assert observed(found) == [2, 2, 2]


def test_a_cleanup_is_no_second_cancel(house: House, server: Served):
    hold, stuck = Hold(), [fail]
    house.flow(lambda: [house.step("a", None, lambda task: [one(task) for one in stuck]), house.step("b", hold)])
    with house.running():
        job = house.post()
        hold.arrived()
        house.records.cancel(job, by="ann")
        house.comes_to(job, S.REVERT_FAILED)
        found = sees(server, lambda found: total(found, "revert_failed", "f") == 1, "its end")
        assert observed(found) == [1, 1, 1]
        house.records.cleanup(job, by="ann")
        sees(server, lambda found: total(found, "revert_failed", "f") == 2, "the end of a cleanup that fails")
        stuck.clear()
        house.records.cleanup(job, by="ann")
        house.comes_to(job, S.CANCELLED)
    found = sees(server, lambda found: total(found, "cancelled", "f") == 1, "the end of the cleanup")
    assert observed(found) == [1, 1, 1]


def test_a_cancel_of_a_cleanup_is_a_new_one(house: House):
    """What is cleaned up failed by itself; the cancel comes while that is done. The lines may be read late."""
    registry = new_registry()
    gate, blocked = Gate(), [fail]
    house.flow(lambda: [house.step("a", None, lambda task: [one(task) for one in blocked]), house.step("b", fail)])
    with Client.open(house.settings, registry=house.registry) as client, house.running():
        counter = JobCounter(client, registry)
        job = house.post()
        house.comes_to(job, S.REVERT_FAILED)
        blocked[:] = [gate]
        house.records.cleanup(job, by="ann")
        gate.arrived()
        house.records.cancel(job, by="ann")
        before = house.lines(job)
        counter(before)
        gate.open.set()
        house.comes_to(job, S.CANCELLED)
        counter(house.lines(job)[len(before) :])
    assert observed(Seen(generate_latest(registry).decode())) == [1, 1, 1]


@pytest.mark.parametrize("on_failure", ["revert", "keep"])
def test_a_job_that_goes_on_by_itself_has_not_failed(house: House, server: Served, on_failure: str):
    job = house.post("fails", max_retries=2, retry_interval_s=0.01, on_failure=on_failure)
    with house.running():
        until(lambda: house.get(job).state is S.FAILED, what="its last attempt")
    house.post("works")
    found = sees(server, lambda found: total(found, "posted", "works") == 1, "what came after it")
    assert total(found, "failed", "fails") == 1
    assert total(found, "posted", "fails") == 1


def test_what_could_not_be_read_is_counted_later_and_once(house: House, server: Served, monkeypatch):
    asked = []

    def read(*given):
        asked.append(given)
        if len(asked) == 1:
            raise Unreachable("the database is away just now")
        return original(*given)

    original = receipts.read
    monkeypatch.setattr(receipts, "read", read)
    job = house.post("works")
    found = sees(server, lambda found: total(found, "posted", "works") > 0, "the job")
    house.records.cancel(job, by="ann")
    found = sees(server, lambda found: total(found, "cancelled", "works") > 0, "its end")
    assert len(asked) >= 3
    assert total(found, "posted", "works") == 1
    assert total(found, "cancelled", "works") == 1


# Gauges


def test_jobs_and_conductors_are_as_the_database_has_them(house: House, server: Served):
    found = seen(server)
    assert [found[f"countermand_{name}"] for name in ("conductors", "slots", "busy_slots")] == [0, 0, 0]
    assert found["countermand_queue_age_seconds"] == 0
    gate = Gate()
    house.flow(lambda: [house.step("a", gate)], "gated")
    waits = house.post("nobody_knows_it")
    job = house.post("gated")
    with house.running("one", slots=3):
        gate.arrived()
        found = seen(server)
        assert [found[f"countermand_{name}"] for name in ("conductors", "slots", "busy_slots")] == [1, 3, 1]
        assert found['countermand_jobs{flow="gated",state="running"}'] == 1
        assert found['countermand_jobs{flow="gated",state="completed"}'] == 0
        assert found['countermand_jobs{flow="nobody_knows_it",state="pending"}'] == 1
        waited_s = (house.database.now() - house.get(waits).due_at).total_seconds()
        assert 0 < found["countermand_queue_age_seconds"] <= waited_s
        age_s = found['countermand_conductor_heartbeat_age_seconds{conductor="one"}']
        assert 0 <= age_s < house.settings.lease
        gate.open.set()
        house.comes_to(job, S.COMPLETED)
    found = seen(server)
    assert [found[f"countermand_{name}"] for name in ("conductors", "slots", "busy_slots")] == [0, 0, 0]
    assert found.of("countermand_conductor_heartbeat_age_seconds") == {}
    assert found.of("countermand_jobs")['flow="gated",state="completed"'] == 1


def test_without_its_database_it_says_so_and_nothing_else():
    require(PostgreSQL)
    with PostgreSQL() as postgresql:
        url = postgresql.create_database()
        with closing(open_database(url)) as database, Served(House(database, settings_for(url))) as server:
            assert server.http.get("/metrics").status_code == 200
            postgresql.kill()
            answered = server.http.get("/metrics")
            assert answered.status_code == 503
            assert answered.headers["content-type"] == "application/problem+json"
            assert answered.json()["detail"].startswith("database postgresql")
            assert "countermand" not in answered.json()["detail"].partition("\n")[2]
            postgresql.restart()
            found = sees(server, lambda _found: True, "the database again")
    assert found.of("countermand_http_requests_total")['method="GET",route="/metrics",status="503"'] == 1


# Requests


def test_requests_are_counted_by_their_routes(house: House, server: Served):
    job = house.post("works")
    server.http.get(f"/api/jobs/{job}")
    server.http.get("/api/jobs/nobody")
    server.http.get("/wp-login.php")
    server.http.request("BREW", "/api/jobs")
    server.http.post("/api/jobs", json={"flow": "works"})
    found = seen(server)
    assert found.of("countermand_http_requests_total") == {
        'method="GET",route="/api/jobs/{job}",status="200"': 1,
        'method="GET",route="/api/jobs/{job}",status="404"': 1,
        'method="GET",route="other",status="404"': 1,
        'method="other",route="/api/jobs",status="405"': 1,
        'method="POST",route="/api/jobs",status="201"': 1,
    }
    assert found['countermand_http_request_seconds_count{method="GET",route="/api/jobs/{job}"}'] == 2


def test_a_stream_is_shown_while_it_is_open_and_is_no_long_request(server: Served):
    assert seen(server)["countermand_open_streams"] == 0
    with server.http.stream("GET", "/api/events") as answered:
        lines = answered.iter_lines()  # kept: without it the stream is closed
        next(lines)
        found = sees(server, lambda found: found["countermand_open_streams"] == 1, "the stream")
        assert found.of("countermand_http_requests_total")['method="GET",route="/api/events",status="200"'] == 1
    found = sees(server, lambda found: found["countermand_open_streams"] == 0, "its end")
    assert 'method="GET",route="/api/events"' not in found.of("countermand_http_request_seconds_count")


def test_who_may_read_it(house: House):
    with Served(house, token_needed=True) as server:
        assert server.http.get("/metrics").status_code == 401
        _token, text = server.client.create_token("prometheus", Role.READ)
        answered = server.http.get("/metrics", headers={"authorization": f"Bearer {text}"})
        assert answered.status_code == 200
        found = Seen(answered.text)
    assert found.of("countermand_http_requests_total") == {'method="GET",route="/metrics",status="401"': 1}


def test_the_document_of_the_api_tells_of_it(server: Served):
    answers = server.http.get("/api/openapi.json").json()["paths"]["/metrics"]["get"]["responses"]
    assert list(answers["200"]["content"]) == ["text/plain"]
    assert {"401", "403", "503"} <= answers.keys()
    assert server.http.get("/metrics").headers["content-type"].startswith("text/plain; version=")
