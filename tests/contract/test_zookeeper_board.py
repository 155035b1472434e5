"""What is special about the `zookeeper` board: its client, its folders, and TaskFlow's faults that it mends."""

from __future__ import annotations

import gc
import logging
import socket
import time
import uuid
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from kazoo.client import KazooClient, TransactionRequest
from kazoo.exceptions import ConnectionLoss, NoAuthError
from kazoo.protocol.states import KazooState
from taskflow import exceptions as excp
from taskflow.jobs import base
from taskflow.types import entity
from taskflow.utils import kazoo_utils

from jobboard.boards import zookeeper as zookeeper_module
from jobboard.boards.zookeeper import ZookeeperOptions, build_client, open_board, parse_zookeeper_url
from tests.contract.boards import expire_session
from tests.contract.tls import TlsProxy, make_certificate
from tests.servers import ZooKeeper
from tests.servers.ports import LOOPBACK
from tests.servers.required import require
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def options(zookeeper: ZooKeeper) -> ZookeeperOptions:
    return ZookeeperOptions(zookeeper.hosts, f"/jobs-of-{uuid.uuid4()}", timeout_s=1.5)


@contextmanager
def opened(options: ZookeeperOptions) -> Iterator[Any]:
    with closing(open_board("board", options)) as board:
        board.connect()
        yield board


@contextmanager
def stranger(server: ZooKeeper) -> Iterator[KazooClient]:
    client = KazooClient(server.hosts)
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client.close()


# The client


def test_all_it_makes_is_in_one_folder(options: ZookeeperOptions, zookeeper: ZooKeeper):
    with opened(options) as board, stranger(zookeeper) as client:
        board.register_entity(entity.Entity("conductor", "c", {}))
        board.claim(board.post("x"), "me")
        board.trash(next(board.iterjobs()), "me")
        assert client.get_children(options.path) == ["board"]
        assert sorted(client.get_children(f"{options.path}/board")) == [".entities", ".trash", "jobs"]
        assert client.get_children(f"{options.path}/board/.trash") == ["job0000000000"]


def test_a_posting_is_told_once_though_the_watch_has_it_first(
    options: ZookeeperOptions, monkeypatch: pytest.MonkeyPatch
):
    with opened(options) as board:
        told: list[str] = []
        board.notifier.register(base.POSTED, lambda _state, details: told.append(details["job"].name))
        create = board._client.create

        def create_and_be_slow(*args: Any, **options: Any) -> str:
            path: str = create(*args, **options)
            until(lambda: told, what="the watch")
            return path

        monkeypatch.setattr(board._client, "create", create_and_be_slow)
        board.post("first")
        monkeypatch.undo()
        board.post("second")
        until(lambda: told[-1] == "second", what="the second posting")
        assert told == ["first", "second"]


def test_with_a_user_nobody_else_reads_or_writes(options: ZookeeperOptions, zookeeper: ZooKeeper):
    own = parse_zookeeper_url(f"zookeeper://me:s3cret@{zookeeper.hosts}{options.path}", timeout_s=1.5)
    with opened(own) as board, stranger(zookeeper) as client:
        job = board.post("x")
        board.claim(job, "me")
        for path in (job.path, job.lock_path):
            with pytest.raises(NoAuthError):
                client.get(path)
        with pytest.raises(NoAuthError):
            client.create(f"{board.path}/job1")
        with pytest.raises(NoAuthError):
            client.delete(job.path)
        with pytest.raises(excp.JobFailure, match="NoAuth"), opened(options):
            pass
        with opened(own) as other:
            assert [job.name for job in other.iterjobs(ensure_fresh=True)] == ["x"]


def test_the_secret_is_not_logged(
    options: ZookeeperOptions, zookeeper: ZooKeeper, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    own = parse_zookeeper_url(f"zookeeper://me:s3cret@{zookeeper.hosts}{options.path}")
    with opened(own):
        pass
    assert "Auth(" in caplog.text
    assert "s3cret" not in caplog.text


def test_tls_with_certificates_on_both_sides(options: ZookeeperOptions, zookeeper: ZooKeeper, tmp_path: Path):
    with _tls(zookeeper, tmp_path, names="DNS:localhost") as (port, query):
        with opened(parse_zookeeper_url(f"zookeeper://localhost:{port}{options.path}?{query}")) as board:
            board.post("x")
        with opened(options) as plain:
            assert [job.name for job in plain.iterjobs(ensure_fresh=True)] == ["x"]


# When a handshake fails, kazoo leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_refuses_a_certificate_for_another_name(
    options: ZookeeperOptions, zookeeper: ZooKeeper, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with _tls(zookeeper, tmp_path, names="DNS:elsewhere") as (port, query):
        board = open_board("board", parse_zookeeper_url(f"zookeeper://localhost:{port}{options.path}?{query}"))
        with pytest.raises(excp.JobFailure, match="Failed to connect"):
            board.connect(timeout=1)
    del board
    caplog.clear()  # the log's records hold the errors, and they the sockets
    gc.collect()


@contextmanager
def _tls(server: ZooKeeper, folder: Path, names: str) -> Iterator[tuple[int, str]]:
    certificate, key = make_certificate(folder, names)
    with TlsProxy(server.port, certificate, key) as proxy:
        yield proxy.port, f"ca={certificate}&certfile={certificate}&keyfile={key}"


def test_a_server_that_is_not_there_is_named_without_the_secret():
    board = open_board("board", parse_zookeeper_url("zookeeper://me:s3cret@127.0.0.1:1/path"))
    with pytest.raises(excp.JobFailure, match=r"zookeeper://127\.0\.0\.1:1/path") as failure:
        board.connect(timeout=0.5)
    assert "s3cret" not in str(failure.value)
    assert not board.connected
    assert not board.alive
    board.close()


def test_it_comes_back_quickly_after_an_outage():
    require(ZooKeeper)
    with ZooKeeper() as server, opened(ZookeeperOptions(server.hosts, timeout_s=60)) as board:
        board.claim(board.post("x"), "me")
        server.kill()
        until(lambda: not board.connected, what="the loss")
        with pytest.raises(excp.JobFailure):
            board.post("y")
        server.restart()
        until(lambda: board.connected, what="the connection")
        assert board.alive  # the outage was short for this session
        (job,) = board.iterjobs(ensure_fresh=True)
        board.consume(job, "me")


def test_a_server_that_accepts_and_never_answers_does_not_cost_the_session():
    require(ZooKeeper)
    with ZooKeeper() as server, opened(ZookeeperOptions(server.hosts, timeout_s=60)) as board:
        board.claim(board.post("x"), "me")
        server.kill()
        with socket.create_server((LOOPBACK, server.port)) as silent:
            silent.settimeout(30)
            swallowed, _ = silent.accept()
        with swallowed:
            server.restart()
            until(lambda: board.connected, timeout=30, what="another connection")
        assert board.alive
        (job,) = board.iterjobs(ensure_fresh=True)
        board.consume(job, "me")


def test_a_board_whose_connection_is_interrupted_does_not_look_empty(options: ZookeeperOptions):
    with opened(options) as board:
        board.post("x")
        board._state_change_listener(KazooState.SUSPENDED)  # the client may have the connection back by now
        assert not board.connected
        with pytest.raises(excp.JobFailure, match="does not answer"):
            list(board.iterjobs())
        board._state_change_listener(KazooState.CONNECTED)
        assert board.connected
        assert len(list(board.iterjobs())) == 1


def test_a_list_from_before_a_post_does_not_make_it_unknown(options: ZookeeperOptions):
    with opened(options) as board:
        first, second = board.post("x"), board.post("y")
        board._on_job_posting([])
        board._on_job_posting([first.path.rpartition("/")[2]])
        board.claim(second, "me")
        board.claim(first, "me")
        board.consume(first, "me")
        board.consume(second, "me")
        board._on_job_posting([])
        assert board.job_count == 0


def test_pauses_between_attempts_to_connect_stay_short(options: ZookeeperOptions):
    assert build_client(options)._conn_retry.max_delay <= 2  # kazoo's own would grow to an hour


# Sessions


def test_claims_hold_certainly_until_the_session_is_lost(options: ZookeeperOptions):
    with opened(options) as board:
        assert board.alive
        board.claim(board.post("x"), "me")
        expire_session(board._client)
        until(lambda: not board.alive, what="the loss")
        until(lambda: board.connected, what="another session")
        assert not board.alive  # until someone has taken notice
        board.connect()
        assert board.alive
        assert board.connected
        (job,) = board.iterjobs(ensure_fresh=True)
        until(lambda: board.find_owner(job) is None, what="the end of the lost session's claim")
        board.claim(job, "me")


def test_claims_hold_no_longer_than_the_server_may_think(monkeypatch: pytest.MonkeyPatch):
    require(ZooKeeper)
    with ZooKeeper() as server, opened(ZookeeperOptions(server.hosts, timeout_s=30)) as board:
        server.kill()
        until(lambda: board._suspended_at is not None, what="the loss of the connection")
        assert board.alive
        later = time.monotonic() + 10
        monkeypatch.setattr(zookeeper_module.time, "monotonic", lambda: later)
        assert not board.alive
        monkeypatch.undo()
        assert not board.alive


def test_who_is_registered_is_registered_again_in_the_next_session(
    options: ZookeeperOptions, zookeeper: ZooKeeper
):
    with opened(options) as board, stranger(zookeeper) as client:
        board.register_entity(entity.Entity("conductor", "c", {}))

        def registered_by() -> int | None:
            stat = client.exists(f"{board.entity_path}/conductor/c")
            return stat and stat.ephemeralOwner

        first = registered_by()
        expire_session(board._client)
        until(lambda: registered_by() not in (first, None), what="the registration")


def test_a_claim_whose_reply_was_lost_is_a_claim(options: ZookeeperOptions, monkeypatch: pytest.MonkeyPatch):
    with opened(options) as board:
        job = board.post("x")
        original = kazoo_utils.checked_commit

        def lose_reply(transaction: Any) -> None:
            original(transaction)
            raise ConnectionLoss

        monkeypatch.setattr(kazoo_utils, "checked_commit", lose_reply)
        board.claim(job, "me")
        monkeypatch.undo()
        assert board.find_owner(job) == "me"
        board.consume(job, "me")


def test_a_claim_that_was_lost_on_its_way_is_none(options: ZookeeperOptions, monkeypatch: pytest.MonkeyPatch):
    with opened(options) as board:
        job = board.post("x")

        def lose_request(_transaction: Any) -> None:
            raise ConnectionLoss

        monkeypatch.setattr(kazoo_utils, "checked_commit", lose_request)
        with pytest.raises(excp.JobFailure):
            board.claim(job, "me")
        assert board.find_owner(job) is None


# Many at once


def post_many(board: Any, number: int) -> list[Any]:
    board.post_all([(f"job {n}", {"n": n}, base.JobPriority.NORMAL) for n in range(number)])
    return list(board.iterjobs(ensure_fresh=True))


def test_many_are_posted_claimed_and_removed(options: ZookeeperOptions):
    with opened(options) as board, opened(options) as other:
        jobs = post_many(board, 250)
        assert [(job.name, job.details) for job in jobs] == [(f"job {n}", {"n": n}) for n in range(250)]
        assert board.claim_all(jobs[:200], "me") == jobs[:200]
        assert {other.find_owner(job) for job in jobs[:200]} == {"me"}
        board.remove_all(jobs[:200])
        assert [job.name for job in other.iterjobs(ensure_fresh=True)] == [f"job {n}" for n in range(200, 250)]
        assert board.job_count == 50


def test_of_many_those_are_had_that_are_there_and_free(options: ZookeeperOptions):
    with opened(options) as board, opened(options) as other:
        jobs = post_many(board, 5)
        other.claim(next(other.iterjobs(ensure_fresh=True)), "another")
        other.remove_all([jobs[2]])
        assert board.claim_all(jobs, "me") == [jobs[1], jobs[3], jobs[4]]
        assert board.find_owner(jobs[0]) == "another"


def test_many_are_removed_though_some_had_gone(options: ZookeeperOptions):
    with opened(options) as board, opened(options) as other:
        jobs = post_many(board, 5)
        board.claim_all(jobs[:3], "me")
        other.remove_all([jobs[1]])
        board.remove_all(jobs)
        assert list(other.iterjobs(ensure_fresh=True)) == []


@pytest.mark.parametrize("sent", [True, False])
def test_when_the_reply_to_a_claim_of_many_is_lost_it_is_looked_up(
    options: ZookeeperOptions, monkeypatch: pytest.MonkeyPatch, sent: bool
):
    with opened(options) as board:
        jobs = post_many(board, 3)
        commit = TransactionRequest.commit

        def lose(transaction: Any) -> Any:
            if sent:
                commit(transaction)
            raise ConnectionLoss

        monkeypatch.setattr(TransactionRequest, "commit", lose)
        if sent:
            assert board.claim_all(jobs, "me") == jobs
        else:
            with pytest.raises(excp.JobFailure):
                board.claim_all(jobs, "me")
        assert {board.find_owner(job) for job in jobs} == {"me" if sent else None}


# Others' mistakes


def test_a_malformed_claim_stops_nobody(options: ZookeeperOptions):
    with opened(options) as board:
        job = board.post("bad")
        board.post("good")
        board._client.create(job.lock_path, b"no json")
        assert [job.name for job in board.iterjobs(only_unclaimed=True, ensure_fresh=True)] == ["good"]
        with pytest.raises(excp.JobFailure, match="malformed"):
            board.find_owner(job)
        with pytest.raises(excp.UnclaimableJob):
            board.claim(job, "me")


def test_what_is_malformed_is_forgotten_when_it_is_gone_or_mended(options: ZookeeperOptions):
    with opened(options) as board:
        for name in ("job1", "job2"):
            board._client.create(f"{board.path}/{name}", b"no json")
        until(lambda: len(board.malformed) == 2, what="both")
        board._client.set(f"{board.path}/job1", b'{"uuid": "u", "name": "mended"}')
        board._client.delete(f"{board.path}/job2")
        until(lambda: [job.name for job in board.iterjobs(ensure_fresh=True)] == ["mended"], what="the mended one")
        until(lambda: not board.malformed, what="an end of it")


def test_a_folder_that_was_deleted_stops_nobody(options: ZookeeperOptions):
    with opened(options) as board:
        board.post("x")
        board._client.delete(board.path, recursive=True)
        assert list(board.iterjobs(ensure_fresh=True)) == []


def test_iterating_asks_once_and_not_for_each_job(options: ZookeeperOptions, monkeypatch: pytest.MonkeyPatch):
    with opened(options) as board:
        for number in range(20):
            board.post(f"job {number}")
        asked: list[Any] = []
        original = board._client._call

        def count(request: Any, result: Any) -> Any:
            if getattr(request, "watcher", None) is None:  # not what a watch, late, asks by itself
                asked.append(request)
            return original(request, result)

        monkeypatch.setattr(board._client, "_call", count)
        assert len(list(board.iterjobs(only_unclaimed=True))) == 20
        assert len(asked) == 1
