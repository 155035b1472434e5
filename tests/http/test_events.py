"""Live events: what happens is told at once, whoever listens, and nothing is lost or told twice over a break."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from jobboard import history
from jobboard.history import NewLine
from jobboard.schema import events as events_table
from jobboard.tokens import Role
from poster.post_request import PostRequest
from poster.web.api import live
from poster.web.live import readers, stream, subscription
from tests.http.served import Served, Told, read_events
from tests.integration.house import Gate, Hold, House
from tests.waiting import until

STORED = ("state", "task", "log")


@pytest.fixture
def simple(house):
    """A flow of two steps that log a line."""
    logging.getLogger("tests").setLevel(logging.INFO)
    log = logging.getLogger("tests.events")
    house.flow(lambda: [house.step(name, lambda task: log.info("in %s", task.name)) for name in ("a", "b")])


def all_lines(house: House, job: str) -> list[int]:
    return [line.seq for line in house.lines(job, *STORED)]


def lines_of(told: list[Told]) -> list[int]:
    return [event.data["seq"] for event in told if event.event in STORED]


def until_state(told: Iterator[Told], state: str) -> list[Told]:
    """Events up to the one that says so."""
    found: list[Told] = []
    for event in told:
        found.append(event)
        if event.event == "state" and event.data["state"] == state:
            return found
    raise AssertionError(f"the stream ended before {state}")


def test_all_that_happens_is_told_in_its_order(served, simple, house):
    with served.events() as told:
        job = served.post()
        house.drain()
        found = until_state(told, "completed")
    stored = [event for event in found if event.event in STORED]
    assert lines_of(found) == all_lines(house, job)
    assert {event.data["job"] for event in found} == {job}
    assert [event.data["state"] for event in stored if event.event == "state"] == [
        "pending",
        "running",
        "completed",
    ]
    assert [(event.data["task"], event.data["state"]) for event in stored if event.event == "task"] == [
        ("a", "running"),
        ("a", "success"),
        ("b", "running"),
        ("b", "success"),
    ]
    logs = [event.data for event in stored if event.event == "log"]
    assert [(line["message"], line["level"]) for line in logs] == [("in a", "info"), ("in b", "info")]
    assert all(event.id for event in stored)


def test_a_stream_of_one_job_tells_of_no_other(served, simple, house):
    one, other = served.post(), served.post()
    with served.events(f"/api/jobs/{one}/events", after="0") as told:
        house.drain()
        found = until_state(told, "completed")
    assert {event.data["job"] for event in found} == {one}
    assert lines_of(found) == all_lines(house, one)
    assert other


@pytest.mark.parametrize("of_one", [True, False])
def test_after_a_break_it_goes_on_where_it_was(served, simple, house, of_one):
    job = served.post()
    house.drain()
    path = f"/api/jobs/{job}/events" if of_one else "/api/events"
    with served.events(path, after="0") as told:
        whole = until_state(told, "completed")
    assert lines_of(whole) == all_lines(house, job)
    for cut in range(len(whole)):
        with served.events(path, headers={"Last-Event-ID": whole[cut].id}) as told:
            rest = list(itertools.islice(told, len(whole) - cut - 1))
        assert rest == whole[cut + 1 :]


def test_the_id_of_the_opening_is_a_place_to_go_on_from(served, simple, house):
    with served.http.stream("GET", "/api/events") as answered:
        opened = next(read_events(answered))
    job = served.post()
    house.drain()
    with served.events(after=opened.id) as told:
        assert lines_of(until_state(told, "completed")) == all_lines(house, job)


def test_progress_comes_as_it_is_stored_and_not_more_often(served, house):
    def work(task):
        for number in range(1000):
            task.update_progress(number / 1000)
            if number == 500:
                middle(task)

    middle = Gate()
    house.flow(lambda: [house.step("a", work)])
    job = served.post()
    with served.events(kind="progress") as told, house.running():
        found = next(event for event in told if event.data["progress"] > 0)
        assert (found.event, found.id, found.data["job"]) == ("progress", None, job)
        assert [(task["name"], task["progress"]) for task in found.data["tasks"]] == [("a", 0.5)]
        middle.open.set()
        house.comes_to(job)


def test_only_the_kinds_that_one_wants(served, simple, house):
    with served.events(kind=["state"]) as told:
        served.post()
        house.drain()
        assert {event.event for event in until_state(told, "completed")} == {"state"}


def test_the_receipt_of_a_cancel_is_told(served, house):
    hold = Hold()
    house.flow(lambda: [house.step("a", hold)])
    job = served.post()
    with served.events(f"/api/jobs/{job}/events") as told, house.running():
        hold.arrived()
        served.http.post(f"/api/jobs/{job}/cancel", json={"reason": "enough"})
        found = until_state(told, "cancelled")
    states = [event.data["state"] for event in found if event.event == "state"]
    assert [state for state in states if state != "pending"] == ["running", "cancelling", "cancelled"]
    assert "a reverted" in [
        f"{event.data['task']} {event.data['state']}" for event in found if event.event == "task"
    ]


def test_that_a_job_is_gone_is_told(served, house):
    hold = Hold()
    house.flow(lambda: [house.step("a", hold)])
    job = served.post()
    with served.events() as told, house.running():
        hold.arrived()
        until(lambda: next(told).event == "progress", what="its progress")
        assert served.http.delete(f"/api/jobs/{job}").status_code == 202
        assert next(event for event in told if event.event == "gone").data == {"job": job}


def test_that_jobs_at_rest_are_gone_is_told_each_once(served, simple):
    first, second = served.post(), served.post()
    with served.events(kind="gone") as told, served.events(f"/api/jobs/{second}/events", kind="gone") as of_second:
        for job in (first, second):
            assert served.http.delete(f"/api/jobs/{job}").status_code == 204
            assert next(event for event in told if event.event == "gone").data == {"job": job}
        assert next(event for event in of_second if event.event == "gone").data == {"job": second}


def test_when_nothing_happens_it_says_that_it_lives(served, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    with served.http.stream("GET", "/api/events") as answered:
        kinds = [event.event for event in itertools.islice(read_events(answered), 4)]
    assert kinds == ["begin", "heartbeat", "heartbeat", "heartbeat"]


@pytest.mark.only_on("postgresql")
def test_a_line_whose_transaction_commits_late_is_told_and_once(served, house):
    job = house.post()
    begun, overtaken = threading.Event(), threading.Event()

    def write(number: int) -> NewLine:
        return NewLine(job, 1, house.database.now(), history.LOG, message=f"line {number}")

    def slow() -> None:
        with house.database.write() as connection:
            history.append(connection, [write(1)])
            begun.set()
            assert overtaken.wait(30)

    writer = threading.Thread(target=slow)
    with served.events(kind="log") as told, served.events(f"/api/jobs/{job}/events", kind="log") as told_of_job:
        writer.start()
        assert begun.wait(30)
        with house.database.write() as connection:
            history.append(connection, [write(2)])
            connection.execute(sa.text("NOTIFY countermand_change"))
        second, second_of_job = next(told), next(told_of_job)
        assert {second.data["message"], second_of_job.data["message"]} == {"line 2"}
        with served.events(after=second.id, kind="log") as resumed:
            overtaken.set()
            writer.join()
            first = next(told)
            assert first == next(told_of_job)
            assert first.data["message"] == next(resumed).data["message"] == "line 1"
    with house.database.write() as connection:
        history.append(connection, [write(3)])
    for after, wanted in ((second.id, ["line 1", "line 3"]), (first.id, ["line 3"])):
        for path in ("/api/events", f"/api/jobs/{job}/events"):
            with served.events(path, after=after, kind="log") as told:
                assert [event.data["message"] for event in itertools.islice(told, len(wanted))] == wanted


def test_much_that_was_missed_comes_in_pages(served, house, monkeypatch):
    monkeypatch.setattr(stream, "_PAGE", 7)
    job = house.post()
    lines = [NewLine(job, 1, house.database.now(), history.LOG, message=str(number)) for number in range(50)]
    with house.database.write() as connection:
        history.append(connection, lines)
    for path in ("/api/events", f"/api/jobs/{job}/events"):
        with served.events(path, after="0", kind="log") as told:
            assert [event.data["message"] for event in itertools.islice(told, 50)] == [str(n) for n in range(50)]


def test_a_reader_that_is_too_slow_is_dropped_and_can_go_on(served, house, monkeypatch):
    monkeypatch.setattr(subscription, "MOST_WAITING", 50)
    monkeypatch.setattr(live, "_SLOWEST_S", 0.3)
    job = house.post()
    address = urlsplit(served.url)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((address.hostname, address.port))
        slow.settimeout(30)
        slow.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: served.app.state.feed.streams == 1, what="the stream")
        said = "x" * 10_000
        for _ in range(100):
            with house.database.write() as connection:
                lines = [NewLine(job, 1, house.database.now(), history.LOG, message=said) for _ in range(10)]
                history.append(connection, lines)
        until(lambda: served.app.state.feed.streams == 0, timeout=30, what="it to be dropped")
        text = b""
        while more := slow.recv(65536):
            text += more
    whole = text.decode(errors="replace").rpartition("\n\n")[0]  # it may have been dropped within an event
    last = [line for line in whole.splitlines() if line.startswith("id: ")][-1].removeprefix("id: ")
    with served.events(after=last) as told:
        seen = lines_of(list(itertools.islice(told, 1)))
    with house.database.read() as connection:
        stored = connection.execute(sa.select(events_table.c.seq).order_by(events_table.c.seq)).scalars().all()
    # The last one may be the beginning, which is before all: what was written since may be too much at once.
    assert seen == [next(seq for seq in stored if seq > int(last))]


def test_so_many_streams_a_client_may_have(served, monkeypatch):
    monkeypatch.setattr(readers, "MOST_OF_ONE", 2)
    with served.events(), served.events():
        refused = served.http.get("/api/events")
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
    until(lambda: served.app.state.feed.streams == 0, what="the streams to be left")
    with served.events():
        pass


def test_a_stream_ends_when_its_token_is_revoked(serve, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    served: Served = serve(token_needed=True)
    token, text = served.client.create_token("t", Role.READ)
    with served.events(headers={"authorization": f"Bearer {text}"}) as told:
        assert next(told).event == "heartbeat"
        served.client.revoke_token(token.id)
        assert {event.event for event in told} <= {"heartbeat"}


def test_a_stream_on_which_much_happens_ends_then_too_and_says_that_it_lives(serve, simple, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_S", 1.0)
    served: Served = serve(token_needed=True)
    token, text = served.client.create_token("t", Role.READ)
    with served.events(headers={"authorization": f"Bearer {text}"}) as told:
        served.client.post(PostRequest("f"))
        for event in told:  # each is followed by the next: the stream is never still
            served.client.post(PostRequest("f"))
            if event.event == "heartbeat":
                served.client.revoke_token(token.id)
    assert event.event in ("state", "heartbeat")


@pytest.mark.parametrize("params", [{"after": "x"}, {"after": "-1"}, {"kind": "all"}, {"after": "5,3-2"}])
def test_what_is_no_id_and_no_kind_is_said(served, params):
    answered = served.http.get("/api/events", params=params)
    assert answered.status_code == 422
    assert answered.json()["errors"][0]["field"] in ("after", "kind")


def test_a_database_that_was_away_loses_no_event(served, simple, house):
    """All connections of the server are cut, as by a restart."""
    with served.events() as told:
        served.post()
        until_state(told, "pending")
        served.client.database.engine.dispose()
        if house.database.dialect == "postgresql":
            with house.database.write() as connection:
                connection.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
        job = house.post()
        house.drain()
        found = until_state(told, "completed") + until_state(told, "completed")
    assert [line for line in lines_of(found) if line in all_lines(house, job)] == all_lines(house, job)


# The same over a WebSocket


def socket_of(served: Served, path: str = "/api/ws", **headers: str):
    return connect(served.url.replace("http:", "ws:") + path, additional_headers=headers)


def test_a_websocket_tells_the_same(served, simple, house):
    with served.events() as told, socket_of(served) as websocket:
        assert json.loads(websocket.recv(20))["event"] == "begin"
        job = served.post()
        house.drain()
        stored = [event for event in until_state(told, "completed") if event.event in STORED]
        messages: list[Told] = []
        while len(messages) < len(stored):
            message = json.loads(websocket.recv(20))
            if message["event"] in STORED:
                messages.append(Told(message["event"], message["data"], message["id"]))
    assert messages == stored
    with socket_of(served, f"/api/ws?job={job}&after={stored[2].id}&kind=state") as websocket:
        assert json.loads(websocket.recv(20))["event"] == "begin"
        assert json.loads(websocket.recv(20))["data"]["state"] == "completed"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/ws?job=" + "0" * 26, {}, 404),
        ("/api/ws?job=%00", {}, 404),
        ("/api/ws?after=x", {}, 422),
        ("/api/ws", {"Origin": "http://evil.example"}, 403),
        ("/api/ws", {"Authorization": "Bearer x"}, 401),
        ("/api/nothing", {}, 404),
        ("/api/jobs", {}, 405),
    ],
    ids=str,
)
def test_a_websocket_that_is_refused(served, path, headers, status):
    with pytest.raises(InvalidStatus) as refused, socket_of(served, path, **headers):
        pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["status"] == status


def test_a_websocket_takes_nothing_and_ends_with_the_server(served):
    with socket_of(served) as websocket:
        websocket.send("hello")
        websocket.send(b"\xff")
        served.app.state.feed.end_streams()
        told = [json.loads(message)["event"] for message in websocket]  # until it is closed, in order
        assert set(told) <= {"begin"}
        assert websocket.close_code in (1001, 1012)
