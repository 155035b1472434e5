"""What is special about the `etcd` board: its keys and its lease, TLS, and what stands among its keys."""

from __future__ import annotations

import json
import ssl
import urllib.request
import uuid
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from etcd3gw.client import Etcd3Client
from taskflow import exceptions as excp
from taskflow import states
from taskflow.types import entity

from jobboard.boards.etcd import EtcdOptions, open_board, parse_etcd_url
from tests.contract import tls
from tests.servers import Etcd
from tests.servers.ports import LOOPBACK
from tests.servers.required import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def options(etcd: Etcd) -> EtcdOptions:
    return EtcdOptions(LOOPBACK, etcd.port, f"/jobs-of-{uuid.uuid4()}")


@contextmanager
def opened(options: EtcdOptions) -> Iterator[Any]:
    with closing(open_board("board", options)) as board:
        board.connect()
        yield board


@contextmanager
def stranger(server: Etcd) -> Iterator[Etcd3Client]:
    client = Etcd3Client(host=LOOPBACK, port=server.port)
    with closing(client.session):
        yield client


class Encrypted(Etcd):
    """That speaks TLS only, with those who present its own certificate."""

    certificate: str
    key: str

    def command(self) -> list[str]:
        plain = [
            argument.replace(f"http://{self.hosts}", f"https://{self.hosts}") for argument in super().command()
        ]
        files = [f"--cert-file={self.certificate}", f"--key-file={self.key}"]
        return [*plain, *files, "--client-cert-auth", f"--trusted-ca-file={self.certificate}"]

    def answers(self, timeout_s: float = 1.0) -> bool:
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        context.load_cert_chain(self.certificate, self.key)
        try:
            with urllib.request.urlopen(
                f"https://{self.hosts}/health", timeout=timeout_s, context=context
            ) as said:
                return b'"health":"true"' in said.read()
        except OSError:
            return False


# Its keys


def test_all_it_makes_is_in_one_folder(options: EtcdOptions, etcd: Etcd):
    with stranger(etcd) as client:
        with opened(options) as board:
            board.register_entity(entity.Entity("conductor", "c", {}))
            trashed, claimed = board.post("x"), board.post("y")
            board.claim(trashed, "me")
            board.trash(trashed, "me")
            board.claim(claimed, "me")
            keys = {meta["key"].decode(): meta.get("lease") for _value, meta in client.get_prefix(options.path)}
            folder = f"{options.path}/board"
            session = board._lease.last
            assert keys == {
                f"{folder}/entities/conductor/c": session,
                f"{folder}/trash/{trashed.uuid}": None,
                f"{folder}/jobs/{claimed.uuid}.data": None,
                f"{folder}/jobs/{claimed.uuid}.last_modified": None,
                f"{folder}/jobs/{claimed.uuid}.lock": session,
            }
        left = {meta["key"].decode().rpartition(".")[2] for _value, meta in client.get_prefix(f"{folder}/jobs")}
        assert left == {"data", "last_modified"}


def test_nothing_is_left_of_a_job_that_was_consumed(options: EtcdOptions, etcd: Etcd):
    with stranger(etcd) as client, opened(options) as board:
        board.claim(board.post("x"), "me")
        board.consume(next(board.iterjobs()), "me")
        assert client.get_prefix(options.path) == []


def test_two_boards_in_one_folder_know_nothing_of_each_other(options: EtcdOptions):
    with opened(options) as board, closing(open_board("other", options)) as other:
        other.connect()
        board.post("x")
        assert list(other.iterjobs()) == []


def test_a_lease_of_the_server_is_not_shorter_than_ours(options: EtcdOptions):
    with opened(replace(options, lease_s=3.2)) as board:
        answer = board._client.post(board._client.get_url("/lease/timetolive"), json={"ID": board._lease.last})
        assert int(answer["grantedTTL"]) == 4


# TLS


@pytest.fixture
def certified(tmp_path: Path) -> Any:
    """Starts a server with a certificate for these names."""
    require(Etcd)
    return lambda names: tls.certified(Encrypted(), tmp_path, names)


def test_tls_with_certificates_on_both_sides(certified: Any):
    with certified("DNS:localhost,IP:127.0.0.1") as (server, query):
        with opened(parse_etcd_url(f"etcd://localhost:{server.port}/mine?{query}")) as board:
            assert board.address == f"etcd://localhost:{server.port}/mine"
            board.claim(board.post("x"), "me")
        ca_only = query.partition("&")[0]
        for url in (f"etcd://localhost:{server.port}?{ca_only}", f"etcd://localhost:{server.port}"):
            with pytest.raises(excp.JobFailure), opened(parse_etcd_url(url)):
                pass


def test_tls_refuses_a_certificate_for_another_name(certified: Any):
    with certified("DNS:elsewhere,IP:127.0.0.1") as (server, query):
        url = f"etcd://localhost:{server.port}?{query}"
        with pytest.raises(excp.JobFailure, match=r"(?i)hostname mismatch"), opened(parse_etcd_url(url)):
            pass
        without_ca = query.partition("&")[2]
        url = f"etcd://{LOOPBACK}:{server.port}?{without_ca}"
        with pytest.raises(excp.JobFailure, match=r"(?i)certificate verify failed"), opened(parse_etcd_url(url)):
            pass


def test_the_environment_tells_it_nothing(options: EtcdOptions, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with opened(options) as board:
        board.post("x")


# What stands among its keys


def test_a_malformed_claim_stops_nobody(options: EtcdOptions, etcd: Etcd):
    with stranger(etcd) as client, opened(options) as board:
        job = board.post("bad")
        board.post("good")
        for claim in ("no json", "[]", "{}", '{"owner": 1}'):
            client.put(f"{job.key}.lock", claim)
            assert [found.name for found in board.iterjobs(only_unclaimed=True)] == ["good"]
            assert job.state == states.CLAIMED
            with pytest.raises(excp.JobFailure, match="malformed"):
                board.find_owner(job)
            with pytest.raises(excp.UnclaimableJob):
                board.claim(job, "me")
            with pytest.raises(excp.JobFailure, match="no claim of this board"):
                board.consume(job, "me")


@pytest.mark.parametrize("moment", ["no json", "[]", '{"last_modified": 1}', '{"last_modified": "soon"}'])
def test_a_moment_that_is_none_stops_nobody(options: EtcdOptions, etcd: Etcd, moment: str):
    with stranger(etcd) as client, opened(options) as board:
        job = board.post("x")
        client.put(f"{job.key}.last_modified", moment)
        assert job.last_modified == job.created_on
        board.claim(job, "me")
        client.put(f"{job.key}.last_modified", moment)
        with pytest.raises(excp.UnclaimableJob):
            board.claim(job, "me")
        board.consume(job, "me")


def test_what_is_malformed_is_forgotten_when_it_is_gone_or_mended(options: EtcdOptions, etcd: Etcd):
    with stranger(etcd) as client, opened(options) as board:
        folder = f"{options.path}/board/jobs"
        job = board.post("x")
        good = client.get(f"{job.key}.data")[0]
        client.put(f"{job.key}.data", "bad")
        client.put(f"{folder}/readme", "not a job")
        client.put(f"{folder}/\xff".encode("latin-1"), json.dumps({}))
        assert list(board.iterjobs()) == []
        assert set(board.malformed) == {f"{job.key}.data", f"{folder}/readme", f"{folder}/\\xff"}
        client.put(f"{job.key}.data", good)
        client.delete_prefix(f"{folder}/readme")
        client.delete(f"{folder}/\xff".encode("latin-1"))
        assert [found.name for found in board.iterjobs()] == ["x"]
        assert board.malformed == {}


def test_a_claim_without_its_job_is_no_job(options: EtcdOptions, etcd: Etcd):
    with stranger(etcd) as client, opened(options) as board:
        job = board.post("x")
        board.claim(job, "me")
        client.delete(f"{job.key}.data")
        assert list(board.iterjobs()) == []
        assert job.state == states.COMPLETE
        for method in (board.claim, board.consume, board.abandon, board.trash):
            with pytest.raises(excp.NotFound):
                method(job, "me")


def test_iterating_asks_once_and_not_for_each_job(options: EtcdOptions, monkeypatch: pytest.MonkeyPatch):
    with opened(replace(options, lease_s=300)) as board:
        for number in range(20):
            board.post(f"job {number}")
        asked: list[str] = []
        send = board._client.session.post
        monkeypatch.setattr(
            board._client.session, "post", lambda url, **how: asked.append(url) or send(url, **how)
        )
        assert len(list(board.iterjobs(only_unclaimed=True))) == 20
        assert [url.rpartition("/v3/")[2] for url in asked] == ["kv/txn"]
