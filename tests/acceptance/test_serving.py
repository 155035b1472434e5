"""`poster serve` as a process: how it begins, what it says, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.acceptance.place import Place
from tests.acceptance.serving import Serving
from tests.servers import PostgreSQL
from tests.servers.required import require
from tests.waiting import until


@contextmanager
def open_stream(url: str, path: str = "/api/events") -> Iterator[httpx.Response]:
    with httpx.stream("GET", url + path, timeout=30) as answered:
        assert answered.status_code == 200
        yield answered


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_do_not_hold_it_up(serving, embedded, number):
    server = serving(embedded)
    with ExitStack() as streams:
        opened = [streams.enter_context(open_stream(server.url)) for _ in range(20)]
        readers = [threading.Thread(target=stream.read) for stream in opened]
        for reader in readers:
            reader.start()
        ended = server.ends(number)
        for reader in readers:
            reader.join(20)
            assert not reader.is_alive()
    assert ended == (0, "")


def test_a_reader_that_reads_nothing_does_not_hold_it_up(serving, embedded):
    server = serving(embedded)
    embedded.post(300)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, int(port)))
        slow.sendall(b"GET /api/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        slow.recv(1)
        assert server.ends()[0] == 0


def test_a_job_by_http_from_post_to_retry(serving, place):
    server, conductor = serving(place), place.start("one", "--slots", "2")
    arguments = {"log": str(place.effects), "seconds": 30.0}
    with httpx.Client(base_url=server.url, timeout=30) as http:
        job = http.post("/api/jobs", json={"flow": "work", "arguments": arguments}).json()["id"]

        def state() -> str:
            return str(http.get(f"/api/jobs/{job}").json()["state"])

        until(
            lambda: [one["id"] for one in http.get("/api/jobs/current").json()] == [job],
            timeout=60,
            what="it to run",
        )
        assert http.post(f"/api/jobs/{job}/cancel", json={"reason": "enough"}).status_code == 202
        until(lambda: state() == "cancelled", timeout=60, what="it to be cancelled")
        receipt = http.get(f"/api/jobs/{job}").json()["cancel"]
        assert receipt["reason"] == "enough"
        assert receipt["delivered_at"]
        assert receipt["stopped_at"]
        assert http.post(f"/api/jobs/{job}/retry", json={"arguments": {"seconds": 0.0}}).status_code == 202
        until(lambda: state() == "completed", timeout=60, what="the retry to complete")
    conductor.send(signal.SIGTERM)
    conductor.ends_with(0)
    assert server.ends()[0] == 0


def test_where_others_can_reach_it_it_wants_a_token(serving, embedded):
    refused = embedded.poster("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 2
    assert "0.0.0.0 can be reached by others: " in refused.err
    assert "poster token create" in refused.err
    token = embedded.poster("token", "create", "--role", "read", "--name", "screen").out.strip()
    server = serving(embedded, "--host", "0.0.0.0")
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    assert httpx.get(f"{url}/api/jobs").status_code == 401
    assert httpx.get(f"{url}/api/jobs", headers={"authorization": f"Bearer {token}"}).status_code == 200
    assert httpx.get(f"{url}/healthz").status_code == 200
    embedded.poster("token", "revoke", embedded.poster("token", "list", "--json").json[0]["id"])
    assert httpx.get(f"{url}/api/jobs", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_on_this_machine_a_token_is_wanted_where_one_asks_for_it(serving, embedded):
    refused = embedded.poster("serve", "--require-token", "--port", "0")
    assert (refused.code, "--require-token: who asks has to show a token" in refused.err) == (2, True), refused.err
    embedded.poster("token", "create", "--role", "read", "--name", "screen")
    server = serving(embedded, "--require-token", "--json")
    assert set(json.loads(server.said)) == {"url"}
    assert httpx.get(f"{server.url}/api/jobs").status_code == 401


def test_a_port_that_is_taken_is_said(embedded):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = embedded.poster("serve", "--port", str(port))
    assert refused.code == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in refused.err


@pytest.mark.parametrize("host", ["not-a-host.invalid", "256.1.1.1"])
def test_an_address_that_there_is_not_is_said(embedded, host):
    embedded.poster("token", "create", "--role", "read", "--name", "screen")
    refused = embedded.poster("serve", "--host", host)
    assert refused.code == 2
    assert "cannot listen on" in refused.err


def test_without_its_database_it_says_so_and_goes_on_when_that_is_back(tmp_path):
    """The server is stopped under it, and started again."""
    require(PostgreSQL)
    with PostgreSQL() as postgresql, ExitStack() as until_the_end:
        place = Place(tmp_path, postgresql.create_database())
        server = Serving(place)
        until_the_end.callback(server.process.communicate)
        until_the_end.callback(server.process.kill)
        with httpx.Client(base_url=server.url, timeout=60) as http, open_stream(server.url) as stream:
            assert http.get("/readyz").status_code == 200
            postgresql.stop()
            answered = http.get("/api/jobs")
            assert (answered.status_code, answered.headers["retry-after"]) == (503, "2")
            assert "does not answer" in answered.json()["detail"] or "database" in answered.json()["detail"]
            assert http.get("/readyz").status_code == 503
            assert http.get("/healthz").status_code == 200
            assert http.post("/api/jobs", json={"flow": "work", "arguments": {}}).status_code in (422, 503)
            postgresql.start()
            until(lambda: http.get("/readyz").status_code == 200, timeout=60, what="it to be ready again")
            [job] = place.post(1)
            assert next(line for line in stream.iter_lines() if line.startswith("data:") and job in line)
            postgresql.stop()
            assert server.ends()[0] == 0
