"""What the `redis` and `etcd` boards have in common: sessions, and answers that get lost."""

from __future__ import annotations

import logging
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from taskflow import exceptions as excp
from taskflow import states
from taskflow.types import entity

from jobboard.boards import etcd as etcd_boards
from jobboard.boards import lease as lease_module
from jobboard.boards import redis as redis_boards
from jobboard.boards.clock import GIVEN_UP
from jobboard.boards.etcd import EtcdOptions
from jobboard.boards.redis import RedisOptions
from tests.contract.lossy_proxy import LossyProxy
from tests.servers import Etcd, Redis, ServerProcess
from tests.servers.ports import LOOPBACK
from tests.servers.required import require
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 60.0


class Kind:
    """One kind of board, and the server that it is on."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        self.server = server
        self.name = name
        self.port = server.port

    def options(self, lease_s: float = 15.0) -> Any:
        if isinstance(self.server, Redis):
            return RedisOptions(LOOPBACK, self.port, namespace=self.name, lease_s=lease_s)
        return EtcdOptions(LOOPBACK, self.port, f"/{self.name}", lease_s)

    @contextmanager
    def opened(self, lease_s: float = 15.0, port: int | None = None) -> Iterator[Any]:
        options = replace(self.options(lease_s), port=port or self.port)
        opener = redis_boards if isinstance(self.server, Redis) else etcd_boards
        with closing(opener.open_board("board", options)) as board:
            board.connect()
            yield board

    def request_of(self, who: str) -> bytes:
        """What can be found in a request of his to claim."""
        return who.encode() if isinstance(self.server, Redis) else b"request_put"

    @property
    def posting(self) -> bytes:
        """What can be found in a request to post."""
        return b"HSET" if isinstance(self.server, Redis) else b"request_put"

    def entity_of(self, board: Any) -> bytes:
        """What is stored of who is connected."""
        if isinstance(self.server, Redis):
            return board._client.hget(board._session_key(board._lease.last), "entity") or b""
        return (board._client.get(f"{board._entity_path}/conductor/c") or [b""])[0]


@pytest.fixture(params=["redis", "etcd"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.getfixturevalue(request.param), request.node.name)


@pytest.fixture(params=[Redis, Etcd], ids=["redis", "etcd"])
def own(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """With a server that may be broken."""
    require(request.param)
    with request.param() as server:
        yield Kind(server, "own")


def jobs(board: Any) -> list[str]:
    return [job.name for job in board.iterjobs(ensure_fresh=True)]


# The server goes away


def test_it_comes_back_after_an_outage_with_its_claims(own: Kind):
    with own.opened(lease_s=30) as board:
        job = board.post("x")
        board.claim(job, "me")
        own.server.kill()
        with pytest.raises(excp.JobFailure, match=f"{LOOPBACK}:{own.port}.*does not answer"):
            board.post("y")
        assert not board.connected
        with pytest.raises(excp.JobFailure, match="does not answer"):
            list(board.iterjobs())
        with pytest.raises(excp.JobFailure, match="does not answer"):
            _ = job.state
        assert board.alive
        own.server.restart()
        assert jobs(board) == ["x"]
        assert board.connected
        assert board.alive  # the outage was short for this lease
        assert job.state == states.CLAIMED
        board.consume(job, "me")


def test_an_outage_is_told_once_and_its_end_too(own: Kind, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, lease_module.__name__)
    with own.opened(lease_s=3) as board:
        own.server.kill()
        until(lambda: board._lease._failures > 3, WAIT_S, what="some attempts in vain")
        assert caplog.text.count("its lease is not renewed") == 1
        own.server.restart()
        until(lambda: board.connected, WAIT_S, what="the connection")
        until(lambda: "its server answers again" in caplog.text, WAIT_S, what="the end")


def test_a_server_that_stands_still_is_not_waited_for_long(own: Kind):
    with own.opened(lease_s=3) as board:
        own.server.freeze()
        with pytest.raises(excp.JobFailure, match="does not answer"):
            list(board.iterjobs())
        own.server.thaw()


def test_a_lease_that_ran_out_in_an_outage_is_begun_anew(own: Kind):
    with own.opened(lease_s=1.5) as board:
        board.claim(board.post("x"), "me")
        own.server.kill()
        until(lambda: not board.alive, WAIT_S, what="the end of the lease")
        own.server.restart()
        until(lambda: board.connected, WAIT_S, what="another session")
        assert not board.alive  # until someone has taken notice
        board.connect()
        assert board.alive
        (job,) = board.iterjobs()
        until(lambda: board.find_owner(job) is None, WAIT_S, what="the end of the claim")
        board.claim(job, "me")


def test_a_server_that_is_not_there_is_named(own: Kind):
    own.server.kill()
    opener = own.opened()
    with pytest.raises(excp.JobFailure, match=f"{LOOPBACK}:{own.port}"), opener:
        pass


def test_a_board_that_is_closed_while_its_server_is_away_ends(own: Kind, caplog: pytest.LogCaptureFixture):
    with own.opened(lease_s=3) as board:
        own.server.kill()
        board.close()
        assert not board.connected
        assert "runs out by itself" in caplog.text


# Sessions


def test_another_session_is_begun_by_itself_but_claims_hold_no_more(kind: Kind):
    with kind.opened(lease_s=1.5) as board:
        board.claim(board.post("x"), "me")
        first = board._lease.last
        board.end_session(first)
        until(lambda: not board.alive, WAIT_S, what="the loss")
        until(lambda: board.connected, WAIT_S, what="another session")
        assert board._lease.last != first
        assert not board.alive  # until someone has taken notice
        board.connect()
        assert board.alive
        (job,) = board.iterjobs()
        assert board.find_owner(job) is None


def test_by_its_own_clock_a_lease_ends_without_asking_anyone_and_for_good(
    own: Kind, monkeypatch: pytest.MonkeyPatch
):
    with own.opened(lease_s=30) as board:
        own.server.kill()
        now_s = lease_module.now_s()
        monkeypatch.setattr(lease_module, "now_s", lambda: now_s + 30 * GIVEN_UP - 1)
        assert board.alive
        monkeypatch.setattr(lease_module, "now_s", lambda: now_s + 30 * GIVEN_UP)
        assert not board.alive
        monkeypatch.undo()
        assert not board.alive


def test_a_lease_is_prolonged_for_as_long_as_the_board_is_open(kind: Kind, monkeypatch: pytest.MonkeyPatch):
    with kind.opened(lease_s=3) as board:
        board.claim(board.post("x"), "me")
        answers: list[bool] = []
        prolong = board.prolong_session
        monkeypatch.setattr(
            board, "prolong_session", lambda session: answers.append(prolong(session)) or answers[-1]
        )
        until(lambda: len(answers) >= 4, WAIT_S, what="more than a lease")
        assert all(answers)
        assert board.alive
        (job,) = board.iterjobs()
        assert job.state == states.CLAIMED


def test_who_is_registered_is_registered_again_in_the_next_session(kind: Kind):
    with kind.opened(lease_s=1.5) as board:
        board.register_entity(entity.Entity("conductor", "c", {"a": 1}))
        assert b'"a": 1' in kind.entity_of(board)
        first = board._lease.last
        board.end_session(first)
        until(lambda: board._lease.last != first, WAIT_S, what="another session")
        until(lambda: b'"a": 1' in kind.entity_of(board), WAIT_S, what="the registration")


def test_nobody_ends_the_claim_of_a_session_that_is_over(kind: Kind):
    with kind.opened(lease_s=30) as board:
        job = board.post("x")
        board.claim(job, "me")
        board.end_session(board._lease.last)
        for method in (board.consume, board.abandon, board.trash):
            with pytest.raises(excp.NotFound):
                method(job, "me")
        assert board.alive  # it has not been told yet
        board.claim(job, "me")
        assert not board.alive
        board.consume(job, "me")


# Answers that are lost


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_claim_is_one_whatever_gets_lost(kind: Kind, lost: str):
    with LossyProxy(kind.port) as proxy, kind.opened(port=proxy.port) as board, kind.opened() as other:
        job = board.post("x")
        lose = proxy.lose_reply if lost == "reply" else proxy.lose_request
        lose(kind.request_of("conductor-seven"))
        board.claim(job, "conductor-seven")
        assert proxy.lost.is_set()
        (seen,) = other.iterjobs()
        assert other.find_owner(seen) == "conductor-seven"
        board.consume(job, "conductor-seven")
        assert jobs(other) == []


def test_a_claim_whose_reply_is_lost_is_not_taken_for_one_made_before(kind: Kind):
    with LossyProxy(kind.port) as proxy, kind.opened(port=proxy.port) as board:
        job = board.post("x")
        board.claim(job, "conductor-seven")
        proxy.lose_reply(kind.request_of("conductor-seven"))
        with pytest.raises(excp.UnclaimableJob, match="conductor-seven"):
            board.claim(job, "conductor-seven")
        assert proxy.lost.is_set()


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_posting_is_on_the_board_once_whatever_gets_lost(kind: Kind, lost: str):
    with LossyProxy(kind.port) as proxy, kind.opened(port=proxy.port) as board, kind.opened() as other:
        lose = proxy.lose_reply if lost == "reply" else proxy.lose_request
        lose(kind.posting)
        posted = board.post("x")
        assert proxy.lost.is_set()
        (seen,) = other.iterjobs()
        assert (seen.uuid, seen.name, seen) == (posted.uuid, "x", posted)


def test_a_claim_without_any_answer_is_given_up_with_its_session(kind: Kind):
    with LossyProxy(kind.port) as proxy, kind.opened(1.5, port=proxy.port) as board, kind.opened() as other:
        job = board.post("x")
        proxy.lose_reply(kind.request_of("conductor-seven"))
        threading.Thread(target=lambda: proxy.lost.wait(WAIT_S) and proxy.close(), daemon=True).start()
        with pytest.raises(excp.JobFailure, match="does not answer"):
            board.claim(job, "conductor-seven")
        until(lambda: not board.alive, WAIT_S, what="the end of the lease")
        (seen,) = other.iterjobs()
        until(lambda: other.find_owner(seen) is None, WAIT_S, what="the end of the claim")
        other.claim(seen, "other")
