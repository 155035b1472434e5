"""The main job with the programs as people run them: `conductor run` here, `poster` there, and what goes wrong."""

from __future__ import annotations

import signal
from collections import Counter
from contextlib import closing
from datetime import timedelta

import sqlalchemy as sa

from conductor.cli import SECOND_SIGNAL, WRONG_SETTINGS
from jobboard.schema import VERSION_TABLE, postings
from jobboard.states import AT_REST, State
from tests.acceptance.place import SHORT_LEASE, Place
from tests.servers import PostgreSQL
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.required import require
from tests.waiting import until

S = State


WORKED = [("did", "first"), ("began", "work")]
UNDONE = [("undid", "work"), ("undid", "first")]


def test_a_cancel_is_seen_within_a_second_and_a_retry_completes(place):
    place.start("one")
    (job,) = place.post(1, seconds=30)
    until(lambda: (job, "began", "work") in place.done(), timeout=60, what="the work")
    with place.records() as records:
        records.cancel(job, by="bob", reason="wrong folder")
        (cancelled,) = place.await_states([job], *AT_REST)
        assert (cancelled.state, cancelled.error, cancelled.results) == (S.CANCELLED, None, None)
        receipt = cancelled.cancel
        assert (receipt.by, receipt.reason, receipt.reverted, receipt.total) == ("bob", "wrong folder", 2, 2)
        assert receipt.requested_at <= receipt.delivered_at <= receipt.stopped_at
        assert receipt.stopped_at - receipt.requested_at < timedelta(seconds=1)
        assert [(what, step) for _job, what, step in place.done()] == WORKED + UNDONE
        records.retry(job, by="bob")
        (done,) = place.await_states([job], *AT_REST)
    assert (done.state, done.attempt, done.cancel) == (S.COMPLETED, 2, None)
    assert set(done.results) == {"first", "work", "last"}
    assert [step for _job, what, step in place.done() if what == "did"] == ["first", "first", "work", "last"]


def test_the_same_with_commands(embedded):
    embedded.start("one")
    posted = embedded.poster("post", "work", f"log={embedded.effects}", "seconds=30")
    assert (posted.code, posted.err) == (0, "")
    job = posted.out.strip()
    until(lambda: (job, "began", "work") in embedded.done(), timeout=60, what="the work")
    cancel = embedded.poster("cancel", job, "--reason", "wrong folder", "--wait", "--json")
    assert cancel.code == 0, cancel.err
    assert [(what, step) for _job, what, step in embedded.done()] == WORKED + UNDONE
    history = embedded.poster("history", job, "--json").json
    (asked,) = [line for line in history if line["state"] == "cancelling"]
    assert asked["by"]
    assert "wrong folder" in asked["message"]
    assert [line["task"] for line in history if line["state"] == "reverted"] == ["work", "first"]
    retried = embedded.poster("retry", job, "--wait")
    assert retried.code == 0, retried.err
    shown = embedded.poster("show", job, "--json").json
    assert (shown["state"], shown["attempt"], shown["cancel"]) == ("completed", 2, None)
    refused = embedded.poster("cancel", job)
    assert refused.code == 5
    assert "already completed" in refused.out + refused.err


def test_fifty_jobs_on_two_conductors_run_once_each(place):
    place.start("one", "--slots", "4")
    place.start("two", "--slots", "4")
    place.await_conductors()  # one alone would soon be through with them
    ids = place.post(50, seconds=0.1)
    jobs = place.await_states(ids, S.COMPLETED, timeout_s=60)
    assert Counter(place.done()) == Counter(
        (job, what, step)
        for job in ids
        for what, step in (("did", "first"), ("began", "work"), ("did", "work"), ("did", "last"))
    )
    assert {job.conductor for job in jobs} == {"one", "two"}
    assert {job.attempt for job in jobs} == {1}


def test_a_killed_conductors_jobs_go_on_in_the_other(place):
    first, _second = place.start("one", SHORT_LEASE), place.start("two", SHORT_LEASE)
    place.await_conductors()
    ids = place.post(16, seconds=0.3)
    with place.records() as records:
        until(
            lambda: any(job.conductor == "one" for job in records.list(states=[S.RUNNING])),
            timeout=60,
            what="work for the one that dies",
        )
        first.kill()
        held = {job.id for job in records.list(states=[S.RUNNING]) if job.conductor == "one"}
    place.await_states(ids, S.COMPLETED, timeout_s=60)
    done = Counter(place.done("did"))
    for job in ids:
        most = 2 if job in held else 1
        assert all(1 <= done[job, "did", step] <= most for step in ("first", "work", "last"))
        in_order = [step for other, _what, step in place.done("did") if other == job]
        assert in_order == sorted(in_order, key=["first", "work", "last"].index)
    assert Counter(place.done("undid")) == {}


def test_a_killed_conductors_cancel_is_finished_by_the_other(embedded):
    first = embedded.start("one", SHORT_LEASE)
    (job,) = embedded.post(1, seconds=30, stubborn=True)
    until(lambda: (job, "began", "work") in embedded.done(), timeout=60, what="the work")
    with embedded.records() as records:
        records.cancel(job, by="bob")
    first.kill()
    embedded.start("two")
    (cancelled,) = embedded.await_states([job], *AT_REST)
    assert cancelled.state is S.CANCELLED
    assert [step for _job, _what, step in embedded.done("undid")] == ["work", "first"]


def test_sigterm_hands_back_what_runs(embedded):
    first = embedded.start("one")
    (job,) = embedded.post(1, seconds=1, stubborn=True)
    until(lambda: (job, "began", "work") in embedded.done(), timeout=60, what="the work")
    first.send(signal.SIGTERM)
    first.ends_with(0)
    (pending,) = embedded.await_states([job], S.PENDING)
    assert [task.state for task in pending.tasks] == ["success", "success", "pending"]
    embedded.start("two", "--burst").ends_with(0)
    (done,) = embedded.await_states([job], S.COMPLETED)
    assert done.attempt == 1
    assert [step for _job, _what, step in embedded.done("did")] == ["first", "work", "last"]
    with embedded.database() as database, database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(postings)).scalar_one() == 0


def test_a_second_signal_ends_it_at_once(embedded):
    conductor = embedded.start()
    (job,) = embedded.post(1, seconds=30, stubborn=True)
    until(lambda: (job, "began", "work") in embedded.done(), timeout=60, what="the work")
    conductor.send(signal.SIGTERM, signal.SIGINT)
    conductor.ends_with(SECOND_SIGNAL)


def test_ctrl_c_ends_an_idle_conductor(embedded):
    conductor = embedded.start()
    embedded.await_states(embedded.post(1), S.COMPLETED)
    conductor.send(signal.SIGINT)
    conductor.ends_with(0)


def test_a_burst_does_what_is_there_and_ends(embedded):
    ids = embedded.post(5)
    embedded.start("one", "--burst").ends_with(0)
    embedded.await_states(ids, S.COMPLETED)


WRONG = {
    "--lease=soon": "--lease=soon: wants a duration like 90, 30s, 5m or 1h30m",
    "--grace=never": "--grace=never: wants a duration like 90, 30s, 5m or 1h30m",
    "--flows=no_such_module": "no_such_module",
    "--database-url=nonsense": "'nonsense' is not a database address",
    "--database-url=postgresql://ann:s3cret@host:port/x": "is not a database address",
    "--database-url=mysql://host/x": "database 'mysql' is not supported",
    "--jobboard-url=rabbitmq://host": "wants sql, zookeeper://host:port/path",
    "--slots=0": "--slots",
}


def test_wrong_settings_are_named_and_end_it(embedded):
    started = {option: embedded.start(str(n), option) for n, option in enumerate(WRONG)}
    for option, words in WRONG.items():
        started[option].ends_with(WRONG_SETTINGS)
        assert words in started[option].log
        assert "s3cret" not in started[option].log


def test_a_newer_database_is_refused(embedded):
    with embedded.database() as database, database.write() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    conductor = embedded.start()
    conductor.ends_with(WRONG_SETTINGS)
    assert "the database has schema 9999" in conductor.log


def test_it_waits_for_a_database_and_goes_on_when_it_comes(tmp_path):
    require(PostgreSQL)
    server = PostgreSQL()
    with closing(Place(tmp_path, server.url)) as place:
        conductor = place.start()
        until(lambda: "waiting for database" in conductor.log, timeout=60, what="a word on what it waits for")
        with server:
            (job,) = place.post(1)
            place.await_states([job], S.COMPLETED)
            server.restart()
            place.await_states(place.post(1), S.COMPLETED)
            server.kill()
            logged = len(conductor.log)
            until(lambda: "waiting for database" in conductor.log[logged:], timeout=60, what="the same again")
            conductor.send(signal.SIGTERM)
            conductor.ends_with(0)


def test_while_it_waits_it_can_be_stopped(embedded):
    conductor = embedded.start("one", f"--database-url=postgresql://{LOOPBACK}:{free_port()}/x")
    until(lambda: "waiting for" in conductor.log, timeout=60, what="a word on what it waits for")
    conductor.send(signal.SIGTERM)
    conductor.ends_with(0)
