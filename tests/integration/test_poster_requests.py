"""The commands that change jobs: pause, resume, delete, purge, and the many ways to cancel and retry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from jobboard.database import Database, open_database
from jobboard.settings import read_settings
from jobboard.states import State
from poster import Client
from poster.cli.receipt import steps
from tests.integration.commands import Poster, PosterHere, put
from tests.waiting import until

BEGUN = [
    {
        "name": name,
        "state": state,
        "progress": 0.0,
        "detail": None,
        "started_at": None,
        "finished_at": None,
        "error": None,
        "irreversible": name == "charge",
    }
    for name, state in (("draft", "success"), ("charge", "success"), ("send", "running"), ("file", "pending"))
]


@pytest.fixture
def poster(sqlite_url: str) -> PosterHere:
    return PosterHere(sqlite_url)


@pytest.fixture
def database(poster: Poster) -> Iterator[Database]:
    database = open_database(poster.url)
    yield database
    database.close()


def states(poster: Poster) -> list[str]:
    return [job["state"] for job in poster("list", "--json").json]


class TestPause:
    def test_and_resume(self, poster, database):
        job = poster.post()
        ran = poster("pause", job)
        assert (ran.code, ran.lines) == (0, [f"{job}  paused"])
        assert "poster resume" in poster("show", job).out
        assert poster("resume", job, "--json").json == [{"id": job, "ok": True, "state": "pending", "error": None}]
        put(database, job, State.RUNNING, begun=True)
        assert poster("pause", job).lines == [f"{job}  pausing"]
        assert poster("resume", job).lines == [f"{job}  running"]

    @pytest.mark.parametrize("word", ["pause", "resume"])
    def test_refused(self, poster, database, word):
        job = poster.post()
        put(database, job, State.COMPLETED)
        ran = poster(word, job)
        assert (ran.code, ran.out) == (5, "")
        assert f"job {job}: it is completed" in ran.err
        assert poster(word, "zzz").code == 3


class TestDelete:
    def test_what_has_not_begun_is_gone(self, poster):
        job = poster.post()
        assert poster("delete", job, "--json").json == [{"id": job, "ok": True, "state": "deleted", "error": None}]
        assert poster("delete", job).code == 3

    def test_what_runs_is_cancelled_first(self, poster, database):
        job = poster.post()
        put(database, job, State.RUNNING, begun=True)
        assert poster("delete", job).lines == [f"{job}  cancelling"]
        assert "deleted by" in poster("history", job).out

    def test_a_failed_revert_wants_force_and_a_reason(self, poster, database):
        job = poster.post()
        put(database, job, State.REVERT_FAILED)
        ran = poster("delete", job)
        assert ran.code == 5
        assert "retry --cleanup" in ran.err
        assert poster("delete", job, "--force").code == 2
        assert poster("delete", job, "--force", "--reason", "by hand").lines == [f"{job}  deleted"]

    def test_purge(self, poster, database):
        job, stays = poster.post(), poster.post()
        put(database, job, State.COMPLETED, finished_at=database.now() - timedelta(days=31))
        put(database, stays, State.COMPLETED, finished_at=database.now())
        assert poster("purge").code == 2
        assert poster("purge", "--older-than", "30d", "--json").json == {"purged": 1}
        assert poster("purge", "--older-than", "30d").lines == ["0 jobs removed"]
        assert [one["id"] for one in poster("list", "--json").json] == [stays]


class TestRetry:
    def test_with_another_argument(self, poster, database):
        job = poster.post()
        put(database, job, State.FAILED)
        assert poster("retry", job, "--set", "times=3", "--set", "name=bob").code == 0
        shown = poster("show", job, "--json").json
        assert (shown["attempt"], shown["arguments"]["times"], shown["arguments"]["name"]) == (2, 3, "bob")
        assert "retried by hand with times=3 (was 1), name=bob (was ann)" in poster("history", job).out

    def test_wrong_arguments_change_nothing(self, poster, database):
        job = poster.post()
        put(database, job, State.FAILED)
        ran = poster("retry", job, "--set", "times=often", "--set", "colour=red")
        assert ran.code == 2
        for said in ("times: ", "colour: no such parameter"):
            assert said in ran.err
        assert poster("show", job, "--json").json["attempt"] == 1

    @pytest.mark.parametrize(("before", "after"), [(True, "cancelling"), (False, "reverting")])
    def test_cleanup(self, poster, database, before, after):
        job = poster.post()
        put(
            database,
            job,
            State.REVERT_FAILED,
            cancel_requested_at=database.now() if before else None,
            cancel_by="x",
        )
        plain = poster("retry", job)
        assert plain.code == 5
        assert "poster retry --cleanup" in plain.err
        assert poster("retry", job, "--cleanup").lines == [f"{job}  {after}"]

    def test_force(self, poster, database):
        job = poster.post()
        put(database, job, State.REVERT_FAILED)
        assert poster("retry", job, "--force", "--reason", "removed by hand").lines == [f"{job}  pending"]
        assert "removed by hand" in poster("history", job).out

    @pytest.mark.parametrize(
        "words",
        [
            ["--force"],
            ["--reason", "x"],
            ["--cleanup", "--set", "a=1"],
            ["--cleanup", "--force", "--reason", "x"],
            ["--force", "--reason", "x", "--set", "a=1"],
            ["--set", "a"],
        ],
    )
    def test_wrong_usage(self, poster, words):
        assert poster("retry", poster.post(), *words).code == 2


class TestCancel:
    def test_all(self, poster, database):
        done, waits, runs = poster.post(), poster.post(), poster.post()
        put(database, done, State.COMPLETED)
        put(database, runs, State.RUNNING, begun=True)
        refused = poster("cancel", "--all")
        assert refused.code == 2
        assert "2 jobs would be cancelled: say so with --yes" in refused.err
        ran = poster("cancel", "--all", "--yes", "--json")
        assert ran.code == 0
        assert [(one["id"], one["state"]) for one in ran.json] == [(waits, "cancelled"), (runs, "cancelling")]
        assert states(poster) == ["cancelling", "cancelled", "completed"]

    def test_all_that_match(self, poster, database):
        waits, runs = poster.post(), poster.post()
        put(database, runs, State.RUNNING, begun=True)
        assert poster("cancel", "--all", "--flow", "other", "--yes", "--json").json == []
        assert poster("cancel", "--all", "--flow", "other", "--yes").code == 0
        ran = poster("cancel", "--all", "--flow", "greet", "--state", "running", "--yes")
        assert ran.lines == [f"{runs}  cancelling"]
        assert poster("show", waits, "--json").json["state"] == "pending"

    @pytest.mark.parametrize("words", [[], ["--flow", "greet"], ["--state", "running"], ["--all", "abc"]])
    def test_wrong_usage(self, poster, words):
        assert poster("cancel", *words, "--yes").code == 2

    def test_dry_run(self, poster, database):
        job, done = poster.post(), poster.post()
        put(database, job, State.RUNNING, begun=True, tasks=BEGUN)
        put(database, done, State.COMPLETED)
        ran = poster("cancel", job, done, "zzz", "--dry-run", "--json")
        assert ran.code == 5
        plan, late, unknown = ran.json
        assert plan == {
            "id": job,
            "ok": True,
            "state": "running",
            "error": None,
            "reverted": ["send", "draft"],
            "irreversible": ["charge"],
            "not_started": ["file"],
        }
        assert (late["state"], unknown["state"]) == ("completed", None)
        said = poster("cancel", job, "--dry-run")
        assert said.code == 0
        for line in ("would be reverted  send, draft", "cannot be undone   charge", "never started      file"):
            assert line in said.out
        assert states(poster) == ["completed", "running"]

    def test_the_receipt_as_it_grows(self, sqlite_url, database):
        process_poster = Poster(sqlite_url)
        job = process_poster.post()
        put(database, job, State.RUNNING, begun=True, tasks=BEGUN)
        with process_poster.started("cancel", job, "--reason", "wrong", "--wait") as process:
            until(lambda: process_poster_state(process_poster, job) == "cancelling", timeout=60, what="the cancel")
            now = database.now()
            put(database, job, State.CANCELLING, cancel_delivered_at=now, cancel_stopped_at=now)
            told = b""
            while b"reverting 0/3" not in told:
                told += process.stderr.readline()
            put(database, job, State.CANCELLED, finished_at=now)
            out, err = process.communicate(timeout=60)
        said = (told + err).decode()
        for step in ("requested by", "delivered after", "stopped after", "reverting 0/3", "cancelled, 0 of 3"):
            assert f"job {job}: {step}" in said
        assert [line.split()[:2] for line in out.decode().splitlines()] == [
            [job, "cancelling"],
            [job, "cancelled"],
        ]
        assert process.returncode == 0

    def test_no_receipt_of_a_job_without_a_cancel(self, poster):
        job = poster.post()
        with Client.open(read_settings({}, database_url=poster.url)) as client:
            assert steps(client.get(job)) == []


def process_poster_state(poster: Poster, job: str) -> str:
    with_json = PosterHere(poster.url)("show", job, "--json")
    return str(json.loads(with_json.out)["state"])
