"""The client against real databases: what it stores, what it refuses, how it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flows.errors import FlowsNotFound, InvalidArguments, NoSuchFlow
from jobboard import history
from jobboard.address import MASK
from jobboard.errors import AmbiguousJob, KeyInUse, NoSuchJob, Refused, SettingError, Unreachable
from jobboard.history import NewLine
from jobboard.schema import jobs
from jobboard.settings import Settings, read_settings
from jobboard.signals import Channel, notify
from jobboard.states import State
from poster import Client, PostRequest, watcher
from poster import client as client_module
from poster.errors import InvalidJobs, InvalidJson, Malformed, WaitTimedOut
from tests.waiting import until

FLOWS = str(Path(__file__).parents[1] / "flows_for_tests.py")
GREET = PostRequest("greet", {"name": "ann"})


@pytest.fixture
def settings(database_url: str) -> Settings:
    return read_settings({}, database_url=database_url, flows=FLOWS)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with Client.open(settings, by="ann@host") as client:
        yield client


def put(client: Client, job: str, state: State, **columns: Any) -> None:
    """Bring a record to a state, as a conductor would."""
    with client.database.write() as connection:
        connection.execute(sa.update(jobs).where(jobs.c.id == job).values(state=str(state), **columns))
        notify(connection, Channel.CHANGE)


def stored(client: Client, job: str) -> Any:
    with client.database.read() as connection:
        return connection.execute(sa.select(jobs).where(jobs.c.id == job)).mappings().one()


def count(client: Client) -> int:
    return client.stats().total


@contextmanager
def in_thread(work: Any) -> Iterator[list[Any]]:
    """`work` in a thread; what it returned or raised, once the block has ended."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield found
    thread.join(20)
    assert not thread.is_alive()


class TestPosting:
    def test_a_job_is_stored_with_its_defaults_filled_in(self, client):
        job = client.get(client.post(GREET))
        assert job.arguments == {"name": "ann", "times": 1, "folder": "/tmp", "tags": None}
        assert (job.state, job.attempt, job.progress, job.priority) == (State.PENDING, 1, 0.0, "normal")

    def test_limits_are_the_flows(self, client):
        row = stored(client, client.post(GREET))
        assert (row["timeout_s"], row["max_retries"], row["retry_interval_s"]) == (600.0, 3, 30.0)

    def test_limits_of_the_post_come_before_those_of_the_flow(self, client):
        limits = {"timeout_s": 5.0, "max_retries": 0, "retry_interval_s": 0.0}
        row = stored(client, client.post(replace(GREET, **limits)))
        assert (row["timeout_s"], row["max_retries"], row["retry_interval_s"]) == (5.0, 0, 0.0)

    def test_limits_of_the_settings_are_for_flows_without(self, settings):
        request = PostRequest("share", {"name": "ann", "token": "env:TOKEN"})
        with Client.open(replace(settings, timeout=7.0, max_retries=2, retry_interval=9.0)) as client:
            row = stored(client, client.post(request))
            assert (row["timeout_s"], row["max_retries"], row["retry_interval_s"]) == (7.0, 2, 9.0)
            assert (row["max_running"], row["on_failure"]) == (1, "revert")

    def test_a_delay_makes_it_due_later(self, client):
        job = client.get(client.post(replace(GREET, delay_s=60.0)))
        assert 55 < (job.due_at - job.posted_at).total_seconds() < 65

    def test_who_posted_it_is_in_the_history(self, client):
        [line] = client.history(client.post(GREET))
        assert (line.by, line.state, line.kind) == ("ann@host", "pending", "state")

    def test_wrong_arguments_are_named_all_at_once(self, client):
        with pytest.raises(InvalidArguments) as caught:
            client.post(PostRequest("greet", {"times": "x", "wrong": 1}))
        assert {problem.parameter for problem in caught.value.problems} == {"name", "times", "wrong"}
        assert count(client) == 0

    def test_an_unknown_flow_suggests_the_nearest(self, client):
        with pytest.raises(NoSuchFlow, match="did you mean greet"):
            client.post(PostRequest("great"))

    def test_a_number_that_is_not_finite_is_refused(self, client):
        arguments = {"name": "ann", "token": "env:X", "ratio": float("nan")}
        with pytest.raises(InvalidArguments, match="ratio: cannot be stored"):
            client.post(PostRequest("share", arguments))

    def test_a_secret_is_stored_as_a_reference_and_shown_to_no_one(self, client):
        job = client.post(PostRequest("share", {"name": "ann", "token": "env:TOKEN"}))
        assert client.get(job).arguments["token"] == MASK
        assert client.show(job).arguments["token"] == MASK
        assert client.list()[0].arguments["token"] == MASK
        assert stored(client, job)["arguments"]["token"] == "env:TOKEN"

    def test_a_secret_itself_is_refused(self, client):
        with pytest.raises(InvalidArguments, match="env:NAME or file:PATH") as caught:
            client.post(PostRequest("share", {"name": "ann", "token": "s3cret"}))
        assert "s3cret" not in str(caught.value)

    def test_a_key_gives_the_job_back_until_it_has_ended(self, client):
        request = replace(GREET, key="k")
        first = client.post(request)
        assert client.post(request) == first
        client.cancel(first)
        assert client.post(request) != first

    def test_a_key_of_another_job_is_refused(self, client):
        client.post(replace(GREET, key="k"))
        with pytest.raises(KeyInUse):
            client.post(PostRequest("greet", {"name": "bob"}, key="k"))


class TestPostingMany:
    def test_ids_come_in_the_order_given(self, client):
        posted = client.post_many([PostRequest("greet", {"name": f"n{n}"}) for n in range(5)])
        assert [client.get(one.id).arguments["name"] for one in posted] == [f"n{n}" for n in range(5)]

    def test_none_is_posted_if_one_is_wrong(self, client):
        requests = [
            GREET,
            PostRequest("greet", {"times": 0.5}, line=4),
            PostRequest("great", {}, line=7),
        ]
        with pytest.raises(InvalidJobs) as caught:
            client.post_many(requests, [Malformed(2, InvalidJson("not JSON"))])
        assert [one.line for one in caught.value.malformed] == [2, 4, 7]
        said = str(caught.value)
        for word in ("line 4", "name: required", "times:", "line 7", "did you mean greet"):
            assert word in said
        assert count(client) == 0

    def test_keys_are_known_within_one_post(self, client):
        request = replace(GREET, key="k")
        first, second = client.post_many([request, request])
        assert (first.id, first.existed, second.existed) == (second.id, False, True)

    def test_nothing_is_nothing(self, client):
        assert client.post_many([]) == []

    def test_thousands_in_seconds(self, client):
        requests = [PostRequest("greet", {"name": f"n{n}"}) for n in range(10_000)]
        began = time.monotonic()
        assert len({one.id for one in client.post_many(requests)}) == 10_000
        assert time.monotonic() - began < 30  # some 3 s alone; CI machines do other things too


class TestRequests:
    def test_a_pending_job_is_cancelled_at_once(self, client):
        job = client.cancel(client.post(GREET), "wrong one")
        assert (job.state, job.cancel.by, job.cancel.reason) == (State.CANCELLED, "ann@host", "wrong one")
        assert job.reason == "cancelled by ann@host: wrong one"

    def test_a_running_job_is_asked_to_stop(self, client):
        job = client.post(GREET)
        put(client, job, State.RUNNING, begun=True)
        assert client.cancel(job).state is State.CANCELLING
        assert client.cancel(job).state is State.CANCELLING

    def test_too_late(self, client):
        job = client.post(GREET)
        put(client, job, State.COMPLETED)
        with pytest.raises(Refused, match=f"job {job}: already completed, nothing to cancel"):
            client.cancel(job)

    def test_a_cancel_whose_answer_is_lost_is_not_asked_twice(self, client, monkeypatch):
        job = client.post(GREET)
        records = client._records
        real = records.cancel
        asked: list[str] = []

        def lost_after(job: str, **how: Any) -> None:
            asked.append(job)
            real(job, **how)
            raise Unreachable("the answer is lost")

        monkeypatch.setattr(records, "cancel", lost_after)
        assert client.cancel(job, "why").state is State.CANCELLED
        assert asked == [job]

    def test_a_cancel_that_was_lost_is_asked_again(self, client, monkeypatch):
        job = client.post(GREET)
        records = client._records
        real = records.cancel
        answers = iter([Unreachable("not reached"), Unreachable("not reached")])

        def lost_before(job: str, **how: Any) -> Any:
            for error in answers:
                raise error
            return real(job, **how)

        monkeypatch.setattr(records, "cancel", lost_before)
        assert client.cancel(job).state is State.CANCELLED

    def test_a_cancel_that_stays_unknown_says_so(self, client, monkeypatch):
        job = client.post(GREET)

        def lost(*_args: Any, **_how: Any) -> None:
            raise Unreachable("not reached")

        monkeypatch.setattr(client._records, "cancel", lost)
        monkeypatch.setattr(client_module, "patiently", lambda ask: ask())
        with pytest.raises(Unreachable, match="its cancel may have been accepted, `poster show` tells"):
            client.cancel(job)

    def test_a_retry_keeps_the_id(self, client):
        job = client.post(GREET)
        client.cancel(job)
        again = client.retry(job)
        assert (again.id, again.attempt, again.state, again.cancel) == (job, 2, State.PENDING, None)

    def test_a_retry_of_a_pending_job_is_refused(self, client):
        with pytest.raises(Refused, match="only a failed or cancelled job"):
            client.retry(client.post(GREET))


class TestReading:
    def test_prefixes(self, client):
        first, second = client.post(GREET), client.post(GREET)
        shared = next(n for n in range(26) if first[n] != second[n])
        assert client.resolve(first[: shared + 1]) == first
        assert client.resolve(second.upper()) == second
        with pytest.raises(AmbiguousJob):
            client.resolve(first[:shared])
        with pytest.raises(NoSuchJob):
            client.resolve("zzz")

    def test_a_job_that_has_not_begun_shows_its_tasks(self, client):
        job = client.show(client.post(GREET))
        assert [(task.name, task.state) for task in job.tasks] == [("draft", "pending"), ("send", "pending")]
        assert [task.irreversible for task in job.tasks] == [False, True]
        assert job.reason == "waits: no conductor is alive"

    def test_tasks_of_a_flow_with_secrets_are_not_looked_up(self, client):
        assert client.show(client.post(PostRequest("share", {"name": "a", "token": "env:NOT_HERE"}))).tasks == ()

    def test_tasks_of_a_flow_that_is_not_known_here(self, client, settings):
        job = client.post(GREET)
        put(client, job, State.PENDING, flow="gone")
        assert client.show(job).tasks == ()

    def test_broken_flows_do_not_hide_a_job(self, client, settings):
        job = client.post(GREET)
        with Client.open(replace(settings, flows=("/no/such/file.py",))) as other:
            assert other.show(job).id == job
            with pytest.raises(FlowsNotFound):
                other.flows()

    def test_results_are_there_once_it_has_completed(self, client):
        job = client.post(GREET)
        with pytest.raises(Refused, match="it is pending, results are there once it has completed"):
            client.result(job)
        put(client, job, State.COMPLETED, results={"text": "hello"})
        assert client.result(job) == {"text": "hello"}

    def test_pages_follow_one_another_without_gap_or_end_before_the_end(self, client):
        ids = [posted.id for posted in client.post_many([GREET] * 5)][::-1]
        pages = [client.page(limit=2)]
        while pages[-1].next:
            client.post(GREET)  # what comes later is on no page that follows
            pages.append(client.page(limit=2, cursor=pages[-1].next))
        assert [[job.id for job in page.jobs] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
        assert client.page(limit=7).next is None

    def test_listing(self, client):
        ids = [client.post(GREET) for _ in range(5)]
        client.cancel(ids[1])
        assert [job.id for job in client.list()] == ids[::-1]
        assert [job.id for job in client.list(limit=2)] == [ids[4], ids[3]]
        assert [job.id for job in client.list(states=[State.CANCELLED])] == [ids[1]]
        assert client.list(flow="share") == []
        assert client.list(since=client.get(ids[3]).posted_at)[-1].id == ids[3]

    def test_long_histories_are_read_to_their_end(self, client):
        job = client.post(GREET)
        now = client.database.now()
        with client.database.write() as connection:
            lines = [NewLine(job, 1, now, history.LOG, "draft", "info", message=f"{n}") for n in range(2500)]
            history.append(connection, lines)
        assert [line.message for line in client.logs(job)] == [f"{n}" for n in range(2500)]
        assert len(client.history(job)) == 1

    def test_stats(self, client):
        client.cancel(client.post(GREET))
        client.post(GREET)
        found = client.stats()
        assert (found.total, found.states["pending"], found.flows) == (
            2,
            1,
            {"greet": {"cancelled": 1, "pending": 1}},
        )
        assert found.oldest_waiting_s >= 0

    def test_doctor(self, client):
        report = client.doctor()
        assert report.ok
        assert {check.name: check.status for check in report.checks} == {
            "flows": "ok",
            "database": "ok",
            "schema": "ok",
            "jobboard": "ok",
            "conductors": "warning",
            "tasks": "ok",
            "malformed": "ok",
        }


class TestWaiting:
    def test_jobs_that_have_ended_are_given_back_at_once(self, client):
        ids = [client.post(GREET) for _ in range(3)]
        for job in ids:
            client.cancel(job)
        assert [job.id for job in client.wait(ids[::-1])] == ids[::-1]

    def test_the_same_job_twice(self, client):
        job = client.post(GREET)
        client.cancel(job)
        assert [one.id for one in client.wait([job, job])] == [job, job]

    def test_time_is_over(self, client):
        ended, waiting = client.post(GREET), client.post(GREET)
        client.cancel(ended)
        with pytest.raises(WaitTimedOut) as caught:
            client.wait([ended, waiting], timeout_s=0.05)
        assert caught.value.jobs == (waiting,)

    def test_no_time_is_one_look(self, client):
        job = client.post(GREET)
        client.cancel(job)
        assert client.wait([job], timeout_s=0)[0].state is State.CANCELLED

    def test_an_unknown_job(self, client):
        with pytest.raises(NoSuchJob):
            client.wait(["zzz"])

    def test_it_is_woken_long_before_it_would_look_again(self, client, settings, monkeypatch):
        monkeypatch.setattr(watcher, "_SLOW_POLL_S", 600.0)
        job = client.post(GREET)
        with in_thread(lambda: client.wait([job])) as found, Client.open(settings) as other:
            other.cancel(job)
        assert found[0][0].state is State.CANCELLED

    def test_watching_gives_each_change_and_ends_with_the_job(self, client, settings):
        job = client.post(GREET)
        seen: list[State] = []

        def look() -> None:
            seen.extend(found.state for found in client.watch(job))

        with in_thread(look), Client.open(settings) as other:
            until(lambda: seen == [State.PENDING], what="the first look")
            put(other, job, State.RUNNING, begun=True)
            until(lambda: seen[-1] is State.RUNNING, what="the change")
            put(other, job, State.COMPLETED)
        assert seen == [State.PENDING, State.RUNNING, State.COMPLETED]

    def test_watching_all(self, client, settings):
        before, pending = client.post(GREET), client.post(GREET)
        put(client, before, State.RUNNING, begun=True)
        looks = client.watch_all()
        assert [job.id for job in next(looks)] == [before]
        with Client.open(settings) as other:
            put(other, pending, State.RUNNING, begun=True)
            assert [(job.id, job.state) for job in next(looks)] == [(pending, State.RUNNING)]
            put(other, before, State.COMPLETED, finished_at=other.database.now())
            assert [(job.id, job.state) for job in next(looks)] == [(before, State.COMPLETED)]

    def test_logs_are_followed_to_the_end(self, client, settings):
        job = client.post(GREET)
        seen: list[str | None] = []

        def log(other: Client, text: str) -> None:
            with other.database.write() as connection:
                line = NewLine(job, 1, other.database.now(), history.LOG, "draft", "info", message=text)
                history.append(connection, [line])
                notify(connection, Channel.CHANGE)

        def look() -> None:
            seen.extend(line.message for line in client.follow_logs(job))

        with in_thread(look), Client.open(settings) as other:
            log(other, "one")
            until(lambda: seen == ["one"], what="the first line")
            log(other, "two")
            other.cancel(job)
        assert seen == ["one", "two"]


class TestOpening:
    def test_flows_need_no_database(self):
        with Client.open(read_settings({}, database_url="postgresql://127.0.0.1:1/x", flows=FLOWS)) as client:
            assert {"greet", "share"} <= {spec.name for spec in client.flows()}
            with pytest.raises(InvalidArguments):
                client.post(PostRequest("greet"))

    def test_unreachable(self):
        with (
            Client.open(read_settings({}, database_url="postgresql://127.0.0.1:1/x", flows=FLOWS)) as client,
            pytest.raises(Unreachable),
        ):
            client.post(GREET)

    def test_no_address(self):
        with Client.open(read_settings({}, database_url="nonsense")) as client, pytest.raises(SettingError):
            client.list()

    def test_a_closed_client_can_be_used_again(self, client):
        job = client.post(GREET)
        client.close()
        assert client.get(job).id == job


def test_a_wait_bears_with_a_database_that_is_restarted():
    from tests.servers import PostgreSQL

    with PostgreSQL() as server:
        settings = read_settings({}, database_url=server.create_database(), flows=FLOWS)
        with Client.open(settings) as client, Client.open(settings) as other:
            job = client.post(GREET)
            with in_thread(lambda: client.wait([job])) as found:
                server.kill()
                server.restart()
                other.cancel(job)
            assert found[0][0].state is State.CANCELLED
