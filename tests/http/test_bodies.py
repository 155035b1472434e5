"""What a request may carry: JSON, not too large, not too deep, and not without end."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from poster.web.gate import body as bodies

pytestmark = pytest.mark.only_on("sqlite")  # the database has no part in it

JSON = {"content-type": "application/json"}
BEGUN = b"".join(
    line + b"\r\n"
    for line in (
        *(b"POST /api/jobs HTTP/1.1", b"Host: localhost"),
        *(b"Content-Type: application/json", b"Content-Length: 9", b""),
    )
)


@pytest.fixture
def post(served, house):
    """Posts bytes as a new job."""
    house.flow(lambda: [house.step("a")])
    return lambda content, headers=JSON: served.http.post("/api/jobs", content=content, headers=headers)


def test_other_than_json_is_refused(post):
    good = b'{"flow": "f"}'
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ):
        answered = post(good, {"content-type": kind})
        assert answered.status_code == 415
        assert kind.partition(";")[0] in answered.json()["detail"]
    assert post(good, {}).status_code == 415
    assert post(good, {"content-type": "Application/JSON; charset=utf-8"}).status_code == 201


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "not JSON"),
        (b'{"flow": "f"} x', "not JSON"),
        (b'{"flow": "f", "flow": "g"}', "given twice"),
        (b'{"flow": "f", "delay": NaN}', "NaN is not JSON"),
        (b'{"flow": "f", "delay": 1e999}', "too large"),
        (b'{"flow": "\xff"}', "not UTF-8"),
        (b'{"flow": "f", "arguments": ' + b"[" * 100_000, "too deeply"),
        (b'{"flow": "f", "max_retries": ' + b"9" * 5000 + b"}", "not usable JSON"),
        (b"[]", "valid dictionary"),
        (b"null", "valid dictionary"),
        (b'"f"', "valid dictionary"),
    ],
)
def test_what_is_no_usable_json_is_said(post, text, said):
    answered = post(text)
    assert answered.status_code == 422
    assert said in answered.text


def test_half_a_character_is_refused(post):
    assert post(b'{"flow": "f", "key": "\\ud800"}').status_code == 422
    assert post(b'{"flow": "f", "arguments": {"\\ud800": 1}}').status_code == 422


def test_arguments_that_nest_too_deeply_are_refused(post):
    deep = json.dumps({"flow": "f", "arguments": {"x": json.loads("[" * 500 + "]" * 500)}})
    assert post(deep.encode()).status_code == 422


def test_what_is_too_large_is_refused_before_it_is_read(post):
    answered = post(b'{"flow": "' + b"f" * 1_200_000 + b'"}')
    assert answered.status_code == 413
    assert "1,100,000 bytes" in answered.json()["detail"]


def test_what_does_not_say_how_large_it_is_is_read_no_further(post):
    answered = post(b"x" * 100_000 for _ in range(20))
    assert answered.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(served, monkeypatch):
    monkeypatch.setattr(bodies, "LONGEST_WAIT_S", 0.2)
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), 20) as slow:
        slow.sendall(BEGUN)
        assert b"408" in slow.recv(4096)


def test_an_empty_body_is_none(served, house):
    house.flow(lambda: [house.step("a")])
    job = served.post()
    assert served.http.post(f"/api/jobs/{job}/cancel").status_code == 202
    assert served.http.post("/api/jobs").status_code == 422


def test_who_leaves_in_the_middle_does_no_harm(served, house, caplog):
    house.flow(lambda: [house.step("a")])
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), 20) as gone:
        gone.sendall(BEGUN)
    assert served.post()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
