"""`poster serve` behind the nginx of docs/http.md: TLS, tokens, names, and live events as they happen."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import httpx
from websockets.sync.client import connect

from tests.acceptance.conftest import Start
from tests.acceptance.place import Place
from tests.contract.tls import make_certificate
from tests.documents.given import read
from tests.servers import Nginx
from tests.servers.ports import LOOPBACK
from tests.servers.required import require

NAME = "jobs.example.org"


def as_the_page_has_it(port: int, served: str, certificate: str, key: str) -> str:
    """The site, with other ports and files."""
    [site] = [block.text for block in read("docs/http.md") if block.language == "nginx"]
    for shown, here in (
        ("listen 443 ssl", f"listen {LOOPBACK}:{port} ssl"),
        ("/etc/countermand/cert.pem", certificate),
        ("/etc/countermand/key.pem", key),
        ("http://127.0.0.1:8080", served),
    ):
        assert site.count(shown) == 1, shown
        site = site.replace(shown, here)
    return site


def test_all_of_it_goes_through(serving: Start, embedded: Place, tmp_path: Path) -> None:
    require(Nginx)
    certificate, key = make_certificate(tmp_path, f"DNS:{NAME}")
    token = embedded.poster("token", "create", "--role", "post", "--name", "ann").out.strip()
    served = serving(embedded, "--require-token", "--allowed-host", NAME)
    tls = ssl.create_default_context(cafile=certificate)
    bearer = {"Authorization": f"Bearer {token}"}
    nginx = Nginx()
    nginx.site = as_the_page_has_it(nginx.port, served.url, certificate, key)
    with nginx, httpx.Client(verify=tls, base_url=nginx.url, headers={"Host": NAME}, timeout=30) as client:

        def get(path: str, **headers: str) -> int:
            return client.get(path, headers=headers, extensions={"sni_hostname": NAME}).status_code

        assert (get("/healthz"), get("/api/jobs"), get("/api/jobs", **bearer)) == (200, 401, 200)
        assert get("/api/jobs", **bearer, Host="another.example.org") == 403
        how = {"headers": bearer, "extensions": {"sni_hostname": NAME}}
        with (
            client.stream("GET", "/api/events", **how) as events,
            socket.create_connection((LOOPBACK, nginx.port)) as wire,
            connect(f"wss://{NAME}/api/ws", sock=wire, ssl=tls, additional_headers=bearer) as messages,
        ):
            lines = events.iter_lines()
            assert next(lines) == "event: begin"
            assert json.loads(messages.recv(30))["event"] == "begin"
            [job] = embedded.post(1)
            assert next(line for line in lines if job in line)
            assert job in messages.recv(30)
