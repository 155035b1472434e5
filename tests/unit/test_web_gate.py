"""The pure parts of the gate: where a request comes from, and what it shows."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from poster.web.gate.origin import is_from_our_page, is_loopback, is_meant_for
from poster.web.gate.permissions import find
from poster.web.gate.who import Credentials


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.4", "example.org", "")),
    ],
)
def test_loopback(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "[::1]:80", "localhost", "LOCALHOST:9", "10.1.2.3", "jobs.example.org:443"]
)
def test_meant_for_us(host):
    assert is_meant_for(Headers({"host": host}), {"jobs.example.org"})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "jobs.example.org.evil.example", "", "localhost@evil.example", "a/b", "localhost:x", "[::1"],
)
def test_meant_for_others(host):
    assert not is_meant_for(Headers({"host": host}), {"jobs.example.org"})


HERE = {"host": "localhost:8080"}


@pytest.mark.parametrize(
    ("headers", "sure", "believed"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"origin": "http://localhost:8080"}, True, True),
        ({"origin": "https://localhost:8080"}, True, True),
        ({"origin": "http://localhost:8081"}, False, False),
        ({"origin": "http://evil.example"}, False, False),
        ({"origin": "null"}, False, False),
        ({"origin": ""}, False, False),
        ({"origin": "http://["}, False, False),
        ({"sec-fetch-site": "cross-site"}, False, False),
        ({"sec-fetch-site": "same-site"}, False, False),
        ({"sec-fetch-site": "same-origin"}, True, True),
        ({"sec-fetch-site": "none"}, True, False),
    ],
)
def test_from_our_page(headers, sure, believed):
    assert is_from_our_page(Headers(HERE | headers), sure=sure) is believed


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({}, None),
        ({"authorization": "Bearer abc"}, Credentials("abc", by_cookie=False)),
        ({"authorization": "bearer  abc "}, Credentials("abc", by_cookie=False)),
        ({"authorization": "Basic abc"}, None),
        ({"authorization": "Bearer"}, None),
        ({"cookie": "a=b; countermand_token=abc"}, Credentials("abc", by_cookie=True)),
        ({"cookie": "countermand_token="}, None),
        ({"cookie": ";;=;\x00"}, None),
        ({"authorization": "Bearer abc", "cookie": "countermand_token=def"}, Credentials("abc", by_cookie=False)),
    ],
)
def test_credentials(headers, shown):
    assert Credentials.of(Headers(headers)) == shown


def test_fixed_paths_come_before_those_with_ids():
    for path in ("/api/jobs/current", "/api/jobs/cancel", "/api/jobs/retry"):
        assert find(path) is not find("/api/jobs/01hx5c4v7e8q9r0s1t2v3w4x5y")


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/jobs/", "/nothing", "/docs/a/b", "/api/jobs/a/b", "//api/jobs"]
)
def test_what_is_not_in_the_table_is_not_there(path):
    assert find(path) is None
