"""What we rely on in every board, beyond what TaskFlow tests: exclusive claims that die with their session."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from taskflow import engines, states
from taskflow import exceptions as excp
from taskflow.conductors import backends as conductors
from taskflow.jobs import base
from taskflow.persistence import backends as persistences
from taskflow.persistence import models
from taskflow.types import entity
from taskflow.utils import persistence_utils

from tests.contract import stock_flow
from tests.contract.boards import SHORT_S, Boards, EtcdBoards, RedisBoards, SqlBoards, ZookeeperBoards
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ON_SERVERS: dict[str, Any] = {"zookeeper": ZookeeperBoards, "redis": RedisBoards, "etcd": EtcdBoards}
KINDS = ["sqlite", "postgresql", *ON_SERVERS]


@pytest.fixture(params=KINDS)
def boards(request: pytest.FixtureRequest) -> Iterator[Boards]:
    yield from _open(request, request.param)


def _open(request: pytest.FixtureRequest, kind: str) -> Iterator[Boards]:
    on_server = ON_SERVERS.get(kind)
    made = (
        on_server(request.getfixturevalue(kind))
        if on_server
        else SqlBoards(request.getfixturevalue(f"{kind}_url"))
    )
    with made:
        yield made


def unclaimed(board: Any) -> list[Any]:
    return list(board.iterjobs(only_unclaimed=True, ensure_fresh=True))


def claim_one(board: Any, who: str = "me") -> Any:
    (job,) = unclaimed(board)
    board.claim(job, who)
    return job


# Claims


def test_one_board_wins_each_job(boards: Boards):
    rivals = [boards.open() for _ in range(8)]
    for number in range(20):
        rivals[0].post(f"job {number}")
    winners: Counter[str] = Counter()
    start = threading.Barrier(len(rivals))

    def race(board: Any) -> None:
        jobs = unclaimed(board)
        start.wait()
        for job in jobs:
            try:
                board.claim(job, "everyone's name")
            except excp.UnclaimableJob:
                continue
            winners[job.name] += 1

    threads = [threading.Thread(target=race, args=[board]) for board in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners == {f"job {number}": 1 for number in range(20)}


def test_two_processes_share_the_work(boards: Boards):
    board = boards.open()
    names = sorted(f"job-{number}" for number in range(40))
    for name in names:
        board.post(name)
    argv = [sys.executable, "-m", "tests.contract.drain", *boards.where]
    drains = [
        subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    firsts = [drain.stdout.readline().strip() for drain in drains]
    assert all(firsts)
    rests = [drain.communicate("go on\n", timeout=60)[0].split() for drain in drains]
    assert [drain.returncode for drain in drains] == [0, 0]
    assert sorted([*firsts, *rests[0], *rests[1]]) == names
    assert unclaimed(board) == []


def test_an_owner_is_named_to_all(boards: Boards):
    board, other = boards.open(), boards.open()
    board.post("x")
    claim_one(board, "me")
    (seen,) = other.iterjobs(ensure_fresh=True)
    assert other.find_owner(seen) == "me"
    assert seen.state == states.CLAIMED
    with pytest.raises(excp.UnclaimableJob):
        other.claim(seen, "other")
    with pytest.raises(excp.JobFailure):
        other.consume(seen, "other")


def test_a_claimed_job_cannot_be_claimed_again_by_its_owner(boards: Boards):
    board = boards.open()
    board.post("x")
    job = claim_one(board)
    with pytest.raises(excp.UnclaimableJob):
        board.claim(job, "me")


def test_who_claims_must_have_a_name(boards: Boards):
    board = boards.open()
    job = board.post("x")
    for method in (board.claim, board.consume, board.abandon, board.trash):
        with pytest.raises(ValueError, match=r"name|empty"):
            method(job, "")
        with pytest.raises(TypeError):
            method(job, None)


def test_what_is_consumed_is_gone(boards: Boards):
    board = boards.open()
    posted = board.post("x")
    job = claim_one(board)
    board.consume(job, "me")
    assert posted.state == states.COMPLETE
    assert posted.last_modified is None
    assert board.job_count == 0
    for method in (board.claim, board.consume, board.abandon, board.trash):
        with pytest.raises(excp.NotFound):
            method(posted, "me")


# Sessions


def test_claims_die_with_their_session(boards: Boards):
    board, other = boards.open(SHORT_S), boards.open(SHORT_S)
    for number in range(3):
        board.post(f"job {number}")
    for job in unclaimed(board):
        board.claim(job, "me")
    assert unclaimed(other) == []
    boards.expire(board)
    until(lambda: len(unclaimed(other)) == 3, what="three free jobs")
    claimed = unclaimed(other)[0]
    assert other.find_owner(claimed) is None
    other.claim(claimed, "other")
    assert other.find_owner(claimed) == "other"


def test_claims_die_with_a_board_that_is_closed(boards: Boards):
    board, other = boards.open(), boards.open()
    board.post("x")
    claim_one(board)
    board.close()
    until(lambda: len(unclaimed(other)) == 1, what="a free job")


@pytest.mark.parametrize("ending", ["consume", "abandon", "trash"])
def test_a_zombie_of_the_same_name_cannot_end_a_claim(boards: Boards, ending: str):
    zombie, successor = boards.open(SHORT_S), boards.open(SHORT_S)
    zombie.post("x")
    job = claim_one(zombie, "conductor")
    boards.expire(zombie)
    until(lambda: unclaimed(successor), what="a free job")
    taken = claim_one(successor, "conductor")
    with pytest.raises(excp.JobFailure, match="conductor"):
        getattr(zombie, ending)(job, "conductor")
    successor.consume(taken, "conductor")


def test_a_board_goes_on_after_its_session_died(boards: Boards):
    board, other = boards.open(SHORT_S), boards.open()
    board.register_entity(entity.Entity("conductor", "c", {}))
    board.post("x")
    claim_one(board)
    boards.expire(board)
    until(lambda: _claims(board), what="a claim in a new session")
    assert board.connected
    (job,) = other.iterjobs(ensure_fresh=True)
    assert other.find_owner(job) == "me"
    board.consume(next(iter(board.iterjobs())), "me")


def _claims(board: Any) -> bool:
    try:
        claim_one(board)
    except (ValueError, excp.JobFailure, excp.NotFound):
        return False
    return True


def test_a_board_can_be_opened_again(boards: Boards):
    board = boards.open()
    board.post("x")
    board.close()
    assert not board.connected
    board.connect()
    assert board.connected
    assert [job.name for job in unclaimed(board)] == ["x"]


def test_before_and_after_it_is_open_a_board_says_so(boards: Boards):
    board = boards.make()
    assert not board.connected
    with pytest.raises(excp.JobFailure):
        board.post("x")
    board.connect()
    job = board.post("x")
    board.close()
    assert not board.connected
    with pytest.raises(excp.JobFailure):
        _ = job.state
    with pytest.raises(excp.JobFailure):
        board.find_owner(job)


# Postings


def test_order_is_by_priority_and_then_by_age(boards: Boards):
    board, other = boards.open(), boards.open()
    for number, priority in enumerate(["NORMAL", "VERY_LOW", "HIGH", "NORMAL", "VERY_HIGH", "HIGH", "LOW"]):
        board.post(f"{priority} {number}", priority=priority)
    expected = ["VERY_HIGH 4", "HIGH 2", "HIGH 5", "NORMAL 0", "NORMAL 3", "LOW 6", "VERY_LOW 1"]
    assert [job.name for job in unclaimed(other)] == expected
    assert [job.name for job in other.iterjobs()] == expected
    assert [job.name for job in other.wait(timeout=5)] == expected
    assert [job.priority for job in unclaimed(other)][:2] == [base.JobPriority.VERY_HIGH, base.JobPriority.HIGH]


def test_only_unclaimed_leaves_out_the_claimed(boards: Boards):
    board = boards.open()
    jobs = [board.post(f"job {number}") for number in range(4)]
    board.claim(jobs[1], "me")
    assert [job.name for job in unclaimed(board)] == ["job 0", "job 2", "job 3"]
    assert len(list(board.iterjobs())) == board.job_count == 4
    board.abandon(jobs[1], "me")
    assert [job.name for job in unclaimed(board)] == ["job 0", "job 1", "job 2", "job 3"]


def test_what_is_trashed_is_kept_but_not_iterated(boards: Boards):
    board = boards.open()
    board.post("x", details={"why": "broken"})
    job = claim_one(board)
    board.trash(job, "me")
    assert boards.trashed(board) == [{"why": "broken"}]
    until(lambda: board.job_count == 0, what="an empty board")
    assert list(board.iterjobs(ensure_fresh=True)) == []
    assert job.state == states.COMPLETE
    with pytest.raises(excp.NotFound):
        board.claim(job, "me")


def test_what_is_malformed_stops_nobody(boards: Boards):
    board = boards.open()
    bad = boards.spoil(board)
    board.post("good")
    assert [job.name for job in unclaimed(board)] == ["good"]
    assert [job.name for job in board.iterjobs(ensure_fresh=True)] == ["good"]
    assert set(board.malformed) == bad
    fresh = boards.open()
    assert [job.name for job in unclaimed(fresh)] == ["good"]
    until(lambda: set(fresh.malformed) == bad, what="all that is malformed")


def test_details_come_back_as_they_were_posted(boards: Boards):
    board, other = boards.open(), boards.open()
    details = {"text": "grün ", "number": 1.5, "list": [1, None, {"a": True}]}
    posted = board.post("name", details=details)
    (job,) = unclaimed(other)
    assert (job.name, job.uuid, job.details) == ("name", posted.uuid, details)
    assert (job.book, job.book_uuid, job.book_name) == (None, None, None)
    assert job.created_on == posted.created_on
    assert job.created_on.tzinfo is None
    assert job.last_modified >= job.created_on
    assert job == posted


def test_posts_and_removals_are_notified(boards: Boards):
    board = boards.open()
    heard: list[tuple[str, str]] = []
    for event in (base.POSTED, base.REMOVAL):
        board.notifier.register(event, lambda state, details: heard.append((state, details["job"].name)))
    board.post("x")
    board.consume(claim_one(board), "me")
    until(lambda: heard == [(base.POSTED, "x"), (base.REMOVAL, "x")], what="both")


def test_wait_hears_of_what_another_board_posts(boards: Boards):
    board, other = boards.open(), boards.open()
    found: list[str] = []
    waiter = threading.Thread(target=lambda: found.extend(job.name for job in board.wait(timeout=30)))
    waiter.start()
    other.post("x")
    waiter.join()
    assert found == ["x"]


def test_wait_gives_up(boards: Boards):
    with pytest.raises(excp.NotFound):
        boards.open().wait(timeout=0.05)


# With plain TaskFlow


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_stock_conductor_drains_a_board(request: pytest.FixtureRequest, kind: str, tmp_path: Path):
    """TaskFlow's own conductor and storage, in the same database as the board, which nobody set up before."""
    boards = next(_open(request, kind))
    with boards, persistences.backend({"connection": boards.url}) as persistence:
        board = boards.open(persistence=persistence)
        for number in range(5):
            _post_stock(board, persistence, {"folder": str(tmp_path), "number": number})
        conductor = conductors.fetch("blocking", "stock", board, persistence=persistence, engine="serial")
        runner = threading.Thread(target=conductor.run, kwargs={"max_dispatches": 5})
        runner.start()
        try:
            until(lambda: board.job_count == 0, timeout=60, what="an empty board")
        finally:
            conductor.stop()
            runner.join()
        assert sorted(path.name for path in tmp_path.iterdir() if path.name.isdigit()) == list("01234")


def _post_stock(board: Any, persistence: Any, store: dict[str, Any]) -> None:
    book = models.LogBook("stock")
    detail = persistence_utils.create_flow_detail(stock_flow.make(), book, persistence)
    engines.save_factory_details(detail, stock_flow.make, [], {}, backend=persistence)
    board.post("stock", book, details={"flow_uuid": detail.uuid, "store": store})
