"""What is special about the `redis` board: its keys, who may use them, and what stands among them."""

from __future__ import annotations

import logging
import ssl
import uuid
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis as RedisClient
from taskflow import exceptions as excp
from taskflow import states
from taskflow.types import entity

from jobboard.boards.redis import RedisOptions, open_board, parse_redis_url
from tests.contract import tls
from tests.servers import Redis
from tests.servers.ports import LOOPBACK, ask
from tests.servers.required import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def options(redis: Redis) -> RedisOptions:
    return RedisOptions(LOOPBACK, redis.port, namespace=f"jobs-of-{uuid.uuid4()}")


@contextmanager
def opened(options: RedisOptions) -> Iterator[Any]:
    with closing(open_board("board", options)) as board:
        board.connect()
        yield board


class Guarded(Redis):
    """With a password, and a user who has another."""

    def command(self) -> list[str]:
        return [*super().command(), "--requirepass", "s3cret", "--user", "me", "on", ">m1ne", "~mine:*", "+@all"]

    def answers(self, timeout_s: float = 1.0) -> bool:
        return ask(self.port, b"PING\r\nQUIT\r\n", timeout_s).startswith(b"-NOAUTH")


class Encrypted(Redis):
    """That speaks TLS only, with those who present its own certificate."""

    certificate: str
    key: str

    def command(self) -> list[str]:
        tls = ["--tls-port", str(self.port), "--tls-cert-file", self.certificate, "--tls-key-file", self.key]
        return [*super().command(), "--port", "0", *tls, "--tls-ca-cert-file", self.certificate]

    def answers(self, timeout_s: float = 1.0) -> bool:
        client = RedisClient(
            port=self.port,
            ssl=True,
            ssl_cert_reqs=ssl.CERT_NONE,
            ssl_check_hostname=False,
            ssl_certfile=self.certificate,
            ssl_keyfile=self.key,
            socket_timeout=timeout_s,
        )
        with closing(client):
            try:
                return bool(client.ping())
            except Exception:
                return False


# Its keys


def test_all_its_keys_begin_alike(options: RedisOptions, redis: Redis):
    with RedisClient(port=redis.port) as client:
        with opened(options) as board:
            board.register_entity(entity.Entity("conductor", "c", {}))
            board.claim(board.post("x"), "me")
            board.trash(next(board.iterjobs()), "me")
            board.claim(board.post("y"), "me")
            mine = client.keys(f"{options.namespace}:board:*")
            sessions = [key for key in mine if b":session." in key]
            assert len(sessions) == 1
            assert 0 < client.pttl(sessions[0]) <= 15_000
            left = {key.rpartition(b":")[2].partition(b".")[2] for key in mine}
            assert len(mine) == 6  # the listing, the trash, the sequence, a session, and two of the claimed job
            assert {b"owned", b"last_modified"} < left
        assert not client.exists(sessions[0])


def test_nothing_is_left_of_a_job_that_is_gone(options: RedisOptions, redis: Redis):
    with RedisClient(port=redis.port) as client, opened(options) as board:
        for method in (board.consume, board.trash):
            job = board.post("x")
            board.claim(job, "me")
            method(job, "me")
            assert client.keys(f"{options.namespace}:board:{job.uuid}*") == []


def test_two_boards_in_one_database_know_nothing_of_each_other(options: RedisOptions):
    with opened(options) as board, closing(open_board("other", options)) as other:
        other.connect()
        board.post("x")
        assert list(other.iterjobs()) == []


# Who may use it


def test_with_a_password(caplog: pytest.LogCaptureFixture):
    require(Redis)
    caplog.set_level(logging.DEBUG)
    with Guarded() as server:
        for credentials in (":s3cret", "default:s3cret", "me:m1ne"):
            with opened(parse_redis_url(f"redis://{credentials}@{server.hosts}?namespace=mine")) as board:
                board.claim(board.post("x"), "me")
                board.consume(next(board.iterjobs()), "me")
        for credentials in ("", ":wr0ng@", "me:s3cret@"):
            board = open_board("board", parse_redis_url(f"redis://{credentials}{server.hosts}?namespace=mine"))
            with pytest.raises(
                excp.JobFailure, match=rf"redis://{server.hosts}/0: .*(?i:auth|password)"
            ) as failure:
                board.connect()
            assert not board.connected
            assert "wr0ng" not in str(failure.value)
            assert "s3cret" not in str(failure.value)
    assert "s3cret" not in caplog.text
    assert "m1ne" not in caplog.text


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[Any]:
    """Starts a server with a certificate for these names."""
    require(Redis)
    return lambda names: tls.certified(Encrypted(), tmp_path, names)


def test_tls_with_certificates_on_both_sides(certified: Any):
    with certified("DNS:localhost") as (server, query):
        with opened(parse_redis_url(f"rediss://localhost:{server.port}?{query}")) as board:
            assert board.address == f"rediss://localhost:{server.port}/0"
            board.claim(board.post("x"), "me")
        ca_only = query.partition("&")[0]
        for url in (f"rediss://localhost:{server.port}?{ca_only}", f"redis://localhost:{server.port}"):
            with pytest.raises(excp.JobFailure), opened(parse_redis_url(url)):
                pass


def test_tls_refuses_a_certificate_for_another_name(certified: Any):
    with certified("DNS:elsewhere") as (server, query):
        url = f"rediss://localhost:{server.port}?{query}"
        with pytest.raises(excp.JobFailure, match=r"(?i)hostname mismatch"), opened(parse_redis_url(url)):
            pass
        without_ca = query.partition("&")[2]
        url = f"rediss://localhost:{server.port}?{without_ca}"
        with pytest.raises(excp.JobFailure, match=r"(?i)certificate verify failed"), opened(parse_redis_url(url)):
            pass
        with opened(parse_redis_url(f"{url}&verify_certs=no")) as board:
            board.post("x")


def test_a_server_that_is_not_there_is_named_without_the_secret():
    board = open_board("board", parse_redis_url("redis://me:s3cret@127.0.0.1:1/3"))
    with pytest.raises(excp.JobFailure, match=r"redis://127\.0\.0\.1:1/3") as failure:
        board.connect()
    assert "s3cret" not in str(failure.value)
    assert not board.connected
    assert not board.alive
    board.close()


# What stands among its keys


@pytest.mark.parametrize("claim", ["text", "list", "dead"])
def test_what_is_no_claim_is_none(options: RedisOptions, redis: Redis, claim: str):
    with RedisClient(port=redis.port) as client, opened(options) as board:
        job = board.post("x")
        if claim == "list":
            client.rpush(job.owner_key, "a")
        else:
            client.set(job.owner_key, "me" if claim == "text" else f"{uuid.uuid4()}:{uuid.uuid4()}:me")
        assert job.state == states.UNCLAIMED
        assert board.find_owner(job) is None
        with pytest.raises(excp.NotFound):
            board.abandon(job, "me")
        assert [found.name for found in board.iterjobs(only_unclaimed=True)] == ["x"]
        board.claim(job, "me")
        board.consume(job, "me")


@pytest.mark.parametrize("moment", ["text", "list"])
def test_a_moment_that_is_none_stops_nobody(options: RedisOptions, redis: Redis, moment: str):
    with RedisClient(port=redis.port) as client, opened(options) as board:
        job = board.post("x")
        client.rpush(job.last_modified_key, "a") if moment == "list" else client.set(job.last_modified_key, "soon")
        assert job.last_modified == job.created_on
        board.claim(job, "me")
        assert job.created_on <= job.last_modified < job.created_on + timedelta(hours=1)


def test_what_is_malformed_is_forgotten_when_it_is_gone_or_mended(options: RedisOptions, redis: Redis):
    with RedisClient(port=redis.port) as client, opened(options) as board:
        job = board.post("x")
        good = client.hget(board.listings_key, job.key)
        client.hset(board.listings_key, mapping={job.key: b"bad", b"\xff": b"bad"})
        assert list(board.iterjobs()) == []
        assert set(board.malformed) == {job.uuid, "\\xff"}
        client.hset(board.listings_key, job.key, good)
        client.hdel(board.listings_key, b"\xff")
        assert [found.name for found in board.iterjobs()] == ["x"]
        assert board.malformed == {}


def test_iterating_asks_once_and_not_for_each_job(options: RedisOptions, redis: Redis):
    with RedisClient(port=redis.port) as client, opened(replace(options, lease_s=300)) as board:
        for number in range(20):
            board.post(f"job {number}")
        list(board.iterjobs(only_unclaimed=True))  # so that the server knows the script
        with client.monitor() as monitor:
            assert len(list(board.iterjobs(only_unclaimed=True))) == 20
            board._client.ping()
            asked: list[str] = []
            while "PING" not in asked:
                said = monitor.next_command()
                if said["client_type"] != "lua":
                    asked.append(said["command"].split()[0])
        assert asked == ["EVALSHA", "PING"]


def test_scripts_that_the_server_has_forgotten_are_sent_again(options: RedisOptions, redis: Redis):
    with RedisClient(port=redis.port) as client, opened(options) as board:
        job = board.post("x")
        client.script_flush()
        board.claim(job, "me")
        client.script_flush()
        board.consume(job, "me")


def test_numbers_of_postings_go_on_when_the_server_has_lost_all(options: RedisOptions, redis: Redis):
    with RedisClient(port=redis.port) as client, opened(options) as board:
        board.claim(board.post("x"), "me")
        for key in client.keys(f"{options.namespace}:*"):
            client.delete(key)
        assert list(board.iterjobs()) == []
        job = board.post("y")
        board.claim(job, "me")  # in a new session
        assert not board.alive
        board.consume(job, "me")
