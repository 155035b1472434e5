"""`conductor run --metrics-port`: a real conductor, asked as Prometheus asks."""

from __future__ import annotations

import re
import signal
import socket

import httpx

from jobboard.states import State
from tests.acceptance.place import Conductor, Place
from tests.metrics_seen import Seen
from tests.servers.ports import LOOPBACK, free_port
from tests.waiting import until

S = State


def address(conductor: Conductor) -> str:
    """Where its log says that its metrics are."""

    def look() -> re.Match[str] | None:
        return re.search(r"metrics are at (http://\S+/metrics)", conductor.log)

    return until(look, what="the address of its metrics")[1]


def seen(url: str) -> Seen:
    answered = httpx.get(url, timeout=30)
    assert answered.status_code == 200
    assert answered.headers["content-type"].startswith("text/plain")
    return Seen(answered.text)


def test_a_conductor_shows_what_it_does(place: Place):
    conductor = place.start("one", "--slots=3", "--metrics-port=0")
    url = address(conductor)
    assert url.startswith(f"http://{LOOPBACK}:")
    [done], [held] = place.post(1), place.post(1, seconds=600.0)
    place.await_states([done], S.COMPLETED)
    until(lambda: (held, "began", "work") in place.done(), what="the job that is to be cancelled")
    found = seen(url)
    assert found["countermand_conductor_slots"] == 3
    assert found["countermand_conductor_busy_slots"] == 1
    assert found['countermand_conductor_heartbeat_age_seconds{conductor="one"}'] < 15
    assert found['countermand_conductor_jobs_claimed_total{flow="work"}'] == 2
    assert found['countermand_conductor_jobs_claimed_total{flow="blocked"}'] == 0
    assert place.poster("cancel", held, "--wait").code == 0
    ended = 'countermand_conductor_jobs_ended_total{{flow="work",state="{}"}}'
    until(lambda: seen(url)[ended.format("cancelled")] == 1, what="the end of what was cancelled")
    found = until(lambda: (look := seen(url))['countermand_cancel_seconds_count{phase="reverted"}'] and look)
    assert found[ended.format("completed")] == 1
    assert found['countermand_cancel_seconds_bucket{le="600.0",phase="stopped"}'] == 1
    assert not [name for name in found if name.startswith(("python_", "process_"))]
    conductor.send(signal.SIGTERM)
    conductor.ends_with(0)


def test_it_answers_while_the_database_is_away(embedded: Place):
    conductor = embedded.start(
        "one", f"--database-url=postgresql://{LOOPBACK}:{free_port()}/x", "--metrics-port=0"
    )
    url = address(conductor)
    until(lambda: "waiting for database" in conductor.log, what="a word on what it waits for")
    assert seen(url) == {}
    conductor.send(signal.SIGTERM)
    conductor.ends_with(0)


def test_a_port_that_is_taken_is_a_wrong_setting(embedded: Place):
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        conductor = embedded.start("one", f"--metrics-port={port}")
        conductor.ends_with(2)
    assert conductor.log == (
        f"conductor: --metrics-port={port}: cannot listen on {LOOPBACK}: Address already in use\n"
    )


def test_an_address_that_is_not_ours_is_a_wrong_setting(embedded: Place):
    conductor = embedded.start("one", "--metrics-port=0", "--metrics-host=203.0.113.1")
    conductor.ends_with(2)
    assert "conductor: --metrics-port=0: cannot listen on 203.0.113.1: " in conductor.log
    assert "Traceback" not in conductor.log
