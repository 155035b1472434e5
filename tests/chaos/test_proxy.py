"""The proxy itself, before a server that counts what it is told, and says how far it is."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import HALF_OPEN, PASS, Behaviour, DropReplies, Proxy
from tests.servers.ports import LOOPBACK, free_port
from tests.waiting import until


class Counter(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Answer)
        self.counted = itertools.count(1)
        self.heard: list[bytes] = []


class Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.server.heard.append(line)
            self.wfile.write(b"%d\n" % next(self.server.counted))


@pytest.fixture
def server() -> Iterator[Counter]:
    with Counter() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: Counter) -> Iterator[Proxy]:
    with Proxy(server.server_address[1]) as proxy:
        yield proxy


class Client:
    def __init__(self, proxy: Proxy) -> None:
        self.socket = socket.create_connection((LOOPBACK, proxy.port), 30)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def ask(self, question: bytes = b"?\n") -> bytes:
        """The answer; nothing if the connection ended instead."""
        try:
            self.socket.sendall(question)
            return self.socket.recv(100)
        except ConnectionError:
            return b""


def test_it_passes_what_is_said(proxy):
    with Client(proxy) as one, Client(proxy) as two:
        assert [one.ask(), two.ask(), one.ask()] == [b"1\n", b"2\n", b"3\n"]


def test_delayed_is_not_lost(proxy):
    with Client(proxy) as client:
        proxy.behave(Behaviour(delay_s=0.05))
        assert client.ask() == b"1\n"


def test_a_dropped_reply_was_asked_for_and_ends_the_connection(proxy, server):
    with Client(proxy) as client, Client(proxy) as other:
        proxy.behave(DropReplies(holding=b"2"))
        assert client.ask(b"first\n") == b"1\n"
        assert client.ask(b"second\n") == b""
        assert server.heard == [b"first\n", b"second\n"]
        assert other.ask() == b"3\n"


def test_cut_ends_all_and_lets_new_ones_in(proxy):
    with Client(proxy) as one, Client(proxy) as two:
        assert [one.ask(), two.ask()] == [b"1\n", b"2\n"]
        assert proxy.cut() == 2
        assert [one.ask(), two.ask()] == [b"", b""]
    with Client(proxy) as three:
        assert three.ask() == b"3\n"


def test_half_open_takes_all_and_gives_nothing(proxy, server):
    with Client(proxy) as old:
        assert old.ask() == b"1\n"
        proxy.behave(HALF_OPEN)
        with Client(proxy) as new:
            for client in (old, new):
                client.socket.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    client.ask()
            proxy.behave(PASS)
            for client in (old, new):
                client.socket.settimeout(30)
                assert client.ask() == b""
        assert len(server.heard) == 1
    with Client(proxy) as later:
        assert later.ask() == b"2\n"


def test_a_server_that_is_away_ends_the_connection():
    with Proxy(free_port()) as proxy, Client(proxy) as client:
        assert client.ask() == b""


def test_who_leaves_is_gone_for_the_server_too(proxy):
    with Client(proxy) as client:
        assert client.ask() == b"1\n"
    until(lambda: not proxy.connections, 30, "the connection to end")


def test_it_ends_while_nothing_gets_through(server):
    with Proxy(server.server_address[1]) as proxy:
        with Client(proxy) as client:
            assert client.ask() == b"1\n"
            proxy.behave(HALF_OPEN)
        until(lambda: proxy.connections, 30, "the connection, of whose end nobody is told")
    assert not proxy.connections
