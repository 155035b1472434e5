"""The command `poster` on real databases. What needs a conductor is tested elsewhere.

Some tests start processes, on each kind of database. The others, of what is said and of codes, do without.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from jobboard import history
from jobboard.boards.zookeeper import ZookeeperBoard
from jobboard.conductors import Registration
from jobboard.database import Database, open_database
from jobboard.history import NewLine
from jobboard.owner import Owner
from jobboard.schema import jobs
from jobboard.signals import Channel, notify
from jobboard.states import State
from tests.integration.commands import NOWHERE, Poster, PosterHere, first_line, put
from tests.waiting import until

TASKS = [
    {
        "name": "draft",
        "state": "failure",
        "progress": 0.5,
        "detail": {"done": 1, "total": 2},
        "started_at": "2026-01-02T03:04:05.000006+00:00",
        "finished_at": "2026-01-02T03:04:06.000006+00:00",
        "error": {"task": "draft", "type": "OSError", "message": "disk full"},
        "irreversible": False,
    }
]


@pytest.fixture
def poster(sqlite_url: str) -> Poster:
    return PosterHere(sqlite_url)


@pytest.fixture
def any_poster(database_url: str) -> Poster:
    """Processes."""
    return Poster(database_url)


@pytest.fixture
def database(poster: Poster) -> Iterator[Database]:
    database = open_database(poster.url)
    yield database
    database.close()


class TestPost:
    def test_the_id_and_nothing_else(self, any_poster):
        ran = any_poster("post", "greet", "name=ann", "times=2", 'tags=["a", "b"]')
        assert (ran.code, ran.err) == (0, "")
        assert len(ran.out) == 27
        shown = any_poster("show", ran.out.strip(), "--json").json
        assert shown["arguments"] == {"name": "ann", "times": 2, "folder": "/tmp", "tags": ["a", "b"]}

    def test_json(self, poster):
        ran = poster("post", "greet", "name=ann", "--json")
        assert list(ran.json) == ["id"]

    def test_text_stays_text(self, poster):
        job = poster("post", "greet", "name=123").out.strip()
        assert poster("show", job, "--json").json["arguments"]["name"] == "123"

    def test_wrong_arguments_are_named_all_at_once(self, poster):
        ran = poster("post", "greet", "times=often", "colour=red")
        assert (ran.code, ran.out) == (2, "")
        for said in ("name: required, wants", "times: ", "colour: no such parameter"):
            assert said in ran.err
        assert poster("list", "--json").json == []

    def test_an_unknown_flow(self, poster):
        ran = poster("post", "great", "name=ann")
        assert (ran.code, ran.out) == (3, "")
        assert "did you mean greet?" in ran.err

    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["greet", "name"],
            ["greet", "name=a", "name=b"],
            ["greet", "name=a", "--priority", "urgent"],
            ["greet", "name=a", "--delay", "soon"],
            ["greet", "name=a", "--timeout", "0"],
            ["greet", "name=a", "--max-retries", "-1"],
            ["greet", "name=a", "--key", ""],
            ["greet", "--from", "x"],
            ["--from", "/no/such/file"],
            ["greet", "--args", "/no/such/file"],
            ["greet", "name=a", "--nonsense"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage(self, poster, words):
        ran = poster("post", *words)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err
        assert "Traceback" not in ran.err

    def test_arguments_from_a_file_under_those_on_the_line(self, poster, tmp_path):
        file = tmp_path / "arguments.json"
        file.write_text('{"name": "from the file", "times": 3}')
        job = poster("post", "greet", "name=from the line", "--args", str(file)).out.strip()
        arguments = poster("show", job, "--json").json["arguments"]
        assert (arguments["name"], arguments["times"]) == ("from the line", 3)

    def test_arguments_from_standard_input(self, poster):
        job = poster("post", "greet", "--args", "-", given='{"name": "ann"}').out.strip()
        assert poster("show", job, "--json").json["arguments"]["name"] == "ann"

    @pytest.mark.parametrize(
        "given", ['{"name": "a", "name": "b"}', '{"name": NaN}', "[1]", "nonsense", "", b"\xff\xfe"]
    )
    def test_arguments_that_are_no_json_object(self, poster, given):
        ran = poster("post", "greet", "--args", "-", given=given)
        assert (ran.code, ran.out) == (2, "")
        assert "Traceback" not in ran.err

    def test_limits_and_priority(self, poster, database):
        limits = [
            *("--priority", "high", "--delay", "1h", "--timeout", "1h30m"),
            *("--max-retries", "7", "--retry-interval", "5s", "--key", "k"),
        ]
        job = poster("post", "greet", "name=ann", *limits).out.strip()
        shown = poster("show", job, "--json").json
        assert (shown["priority"], shown["key"], shown["reason"]) == ("high", "k", "waits for its due time")
        assert shown["due_at"] > shown["posted_at"]
        with database.read() as connection:
            row = connection.execute(sa.select(jobs)).mappings().one()
        assert (row["timeout_s"], row["max_retries"], row["retry_interval_s"]) == (5400.0, 7, 5.0)

    def test_a_key(self, poster):
        job = poster("post", "greet", "name=ann", "--key", "k").out
        assert poster("post", "greet", "name=ann", "--key", "k").out == job
        ran = poster("post", "greet", "name=bob", "--key", "k")
        assert ran.code == 5
        assert job.strip() in ran.err

    def test_waiting_for_it(self, poster, database):
        with poster.started("post", "greet", "name=ann", "--wait") as process:
            job = first_line(process).strip()
            put(database, job, State.COMPLETED)
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, b"")
        assert f"{job}: completed" in err.decode()

    def test_waiting_has_a_limit(self, poster):
        ran = poster("post", "greet", "name=ann", "--wait-timeout", "0.05")
        assert ran.code == 124
        assert len(ran.lines) == 1
        assert f"poster wait {ran.lines[0]}" in ran.err


class TestPostFrom:
    @pytest.mark.parametrize("words", [[], ["--json"]])
    def test_an_id_a_line(self, poster, words):
        lines = "".join(f'{{"flow": "greet", "arguments": {{"name": "n{n}"}}}}\n\n' for n in range(3))
        ran = poster("post", "--from", "-", *words, given=lines)
        assert ran.code == 0
        assert [len(line) for line in ran.lines] == [26] * 3
        names = [job["arguments"]["name"] for job in poster("list", "--json").json]
        assert names == ["n2", "n1", "n0"]

    def test_none_is_posted_if_one_is_wrong(self, any_poster, tmp_path):
        file = tmp_path / "jobs.jsonl"
        file.write_text(
            '{"flow": "greet", "arguments": {"name": "ann"}}\n'
            '{"flow": "greet", "arguments": {"times": "x"}}\n'
            "nonsense\n"
            '{"flow": "greet", "arguments": {"name": "a"}, "colour": "red"}\n'
        )
        ran = any_poster("post", "--from", str(file))
        assert (ran.code, ran.out) == (2, "")
        for said in ("line 2", "name: required", "times:", "line 3: not JSON", "line 4: colour: no such field"):
            assert said in ran.err
        assert any_poster("list", "--json").json == []

    def test_an_unknown_flow_is_the_worst(self, poster):
        given = '{"flow": "great"}\n{"flow": "greet"}\n'
        ran = poster("post", "--from", "-", given=given)
        assert (ran.code, ran.out) == (3, "")
        assert "line 1: no such flow: great (did you mean greet?)" in ran.err

    def test_an_empty_file(self, poster):
        ran = poster("post", "--from", "-")
        assert (ran.code, ran.out) == (0, "")

    def test_ten_thousand_in_seconds(self, any_poster):
        lines = "".join(f'{{"flow": "greet", "arguments": {{"name": "n{n}"}}}}\n' for n in range(10_000))
        began = time.monotonic()
        ran = any_poster("post", "--from", "-", given=lines)
        assert time.monotonic() - began < 40  # some 4 s alone; CI machines do other things too
        assert ran.code == 0
        assert len(set(ran.lines)) == 10_000
        assert any_poster("stats", "--json").json["total"] == 10_000


class TestCancelAndRetry:
    def test_a_pending_job_is_cancelled_at_once(self, any_poster):
        job = any_poster.post()
        ran = any_poster("cancel", job, "--reason", "wrong one", "--wait", "--json")
        assert ran.code == 0
        assert ran.json == [{"id": job, "ok": True, "state": "cancelled", "error": None}]
        shown = any_poster("show", job, "--json").json
        assert shown["state"] == "cancelled"
        cancel = shown["cancel"]
        assert list(cancel) == ["requested_at", "by", "reason", "delivered_at", "stopped_at", "reverted", "total"]
        assert (cancel["reason"], cancel["reverted"], cancel["total"]) == ("wrong one", 0, 0)
        assert any_poster("cancel", job).code == 0

    def test_without_json_a_line_each(self, poster):
        first, second = poster.post(), poster.post()
        ran = poster("cancel", first, second)
        assert (ran.code, ran.err) == (0, "")
        assert [line.split() for line in ran.lines] == [[first, "cancelled"], [second, "cancelled"]]

    def test_too_late(self, poster, database):
        job = poster.post()
        put(database, job, State.COMPLETED)
        ran = poster("cancel", job)
        assert (ran.code, ran.out) == (5, "")
        assert f"job {job}: already completed, nothing to cancel" in ran.err
        [result] = poster("cancel", job, "--json").json
        assert (result["id"], result["ok"], result["state"]) == (job, False, "completed")
        assert "already completed" in result["error"]

    def test_one_bad_id_does_not_stop_the_others(self, poster, database):
        first, done, last = poster.post(), poster.post(), poster.post()
        put(database, done, State.COMPLETED)
        ran = poster("cancel", first, "zzz", done, last, "--json")
        assert ran.code == 5
        assert [(one["id"], one["ok"], one["state"]) for one in ran.json] == [
            (first, True, "cancelled"),
            ("zzz", False, None),
            (done, False, "completed"),
            (last, True, "cancelled"),
        ]

    @pytest.mark.parametrize(("end", "code"), [("cancelled", 0), ("revert_failed", 1)])
    def test_waiting_for_the_end_of_a_cancel(self, poster, database, end, code):
        job = poster.post()
        put(database, job, State.RUNNING, begun=True)
        with poster.started("cancel", job, "--wait", "--json") as process:
            with database.read():
                pass
            until(lambda: state_of(database, job) == "cancelling", what="the cancel")
            put(database, job, State(end), reason="because")
            out, _ = process.communicate(timeout=30)
        assert process.returncode == code
        error = None if code == 0 else "because"
        assert json.loads(out) == [{"id": job, "ok": code == 0, "state": end, "error": error}]

    def test_waiting_for_a_cancel_has_a_limit(self, poster, database):
        job = poster.post()
        put(database, job, State.RUNNING, begun=True)
        ran = poster("cancel", job, "--wait-timeout", "0.05", "--json")
        assert ran.code == 124
        [result] = ran.json
        assert (result["ok"], result["state"]) == (False, "cancelling")

    def test_a_retry_begins_a_new_attempt(self, any_poster):
        job = any_poster.post()
        any_poster("cancel", job)
        ran = any_poster("retry", job, "--json")
        assert ran.code == 0
        assert ran.json == [{"id": job, "ok": True, "state": "pending", "error": None}]
        assert any_poster("show", job, "--json").json["attempt"] == 2

    def test_a_retry_of_a_pending_job_is_refused(self, poster):
        ran = poster("retry", poster.post())
        assert ran.code == 5
        assert "only a failed or cancelled job can be retried" in ran.err

    def test_waiting_for_a_retry(self, poster, database):
        job = poster.post()
        put(database, job, State.FAILED, posting=None)
        with poster.started("retry", job, "--wait") as process:
            assert first_line(process).split() == [job, "pending"]
            put(database, job, State.COMPLETED)
            out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert out.decode().split() == [job, "completed"]


def state_of(database: Database, job: str) -> str:
    with database.read() as connection:
        return str(connection.execute(sa.select(jobs.c.state).where(jobs.c.id == job)).scalar_one())


class TestWait:
    @pytest.mark.parametrize(
        ("state", "code"), [("completed", 0), ("failed", 1), ("revert_failed", 1), ("cancelled", 6)]
    )
    def test_how_it_ends(self, poster, database, state, code):
        job = poster.post()
        put(database, job, State(state), reason=None if state == "completed" else "because")
        ran = poster("wait", job, "--json")
        assert ran.code == code
        error = None if code == 0 else "because"
        assert ran.json == [{"id": job, "ok": code == 0, "state": state, "error": error}]

    def test_the_worst_of_many(self, poster, database):
        completed, failed, cancelled = poster.post(), poster.post(), poster.post()
        put(database, completed, State.COMPLETED)
        put(database, failed, State.FAILED, error={"task": "draft", "type": "OSError", "message": "disk full"})
        poster("cancel", cancelled)
        ran = poster("wait", completed, failed, cancelled, "zzz")
        assert ran.code == 6
        assert {line.split()[0]: line.split()[1] for line in ran.lines} == {
            completed: "completed",
            failed: "failed",
            cancelled: "cancelled",
        }
        assert "draft: OSError: disk full" in ran.out
        assert "no such job: zzz" in ran.err
        assert poster("wait", completed, failed, "zzz").code == 3

    def test_the_time_is_over(self, any_poster):
        job = any_poster.post()
        ran = any_poster("wait", job, "--timeout", "0.05", "--json")
        assert ran.code == 124
        assert ran.json == [{"id": job, "ok": False, "state": "pending", "error": "not ended after 0.05 s"}]
        assert f"poster wait {job}" in ran.err

    def test_ctrl_c_leaves_the_job_alone(self, postgresql_url):
        poster = Poster(postgresql_url)
        job = poster.post()
        database = open_database(postgresql_url)
        with poster.started("wait", job) as process:
            until(lambda: is_listening(database), timeout=30, what="the wait")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (130, b"")
        assert f"poster wait {job}" in err.decode()
        assert "Traceback" not in err.decode()
        assert state_of(database, job) == "pending"
        database.close()


def is_listening(database: Database) -> bool:
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN'"
    )
    with database.read() as connection:
        return bool(connection.execute(query).scalar_one())


class TestWatch:
    def test_a_line_for_each_change(self, poster, database):
        job = poster.post()
        with poster.started("watch", job) as process:
            assert first_line(process).split()[1:] == ["job", "pending"]
            put(database, job, State.RUNNING, conductor="c1", begun=True)
            assert first_line(process).split()[1:] == ["job", "running", "on", "c1"]
            put(database, job, State.FAILED, tasks=TASKS, error=TASKS[0]["error"])
            out, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        failure, job_line = (line.split(maxsplit=1)[1] for line in out.decode().splitlines())
        assert failure.split(maxsplit=2) == ["draft", "failure", "1.00 s, draft: OSError: disk full"]
        assert job_line.split(maxsplit=2) == ["job", "failed", "draft: OSError: disk full"]

    def test_json_lines(self, poster, database):
        job = poster.post()
        with poster.started("watch", job, "--json") as process:
            assert json.loads(first_line(process))["state"] == "pending"
            put(database, job, State.CANCELLED)
            out, _ = process.communicate(timeout=30)
        assert process.returncode == 6
        assert [json.loads(line)["state"] for line in out.splitlines()] == ["cancelled"]

    @pytest.mark.parametrize("words", [["JOB"], []])
    def test_ctrl_c_leaves_jobs_alone(self, poster, database, words):
        job = poster.post()
        put(database, job, State.RUNNING, conductor="c1", begun=True)
        with poster.started("watch", *[job for _ in words]) as process:
            assert "running" in first_line(process)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert f"poster watch {job if words else ''}".strip() in err.decode()
        assert "Traceback" not in err.decode()
        assert state_of(database, job) == "running"

    def test_bars_on_a_terminal(self, poster, database):
        job = poster.post()
        put(database, job, State.FAILED, tasks=TASKS, error=TASKS[0]["error"])
        code, shown = poster.on_terminal("watch", job)
        assert code == 1
        for said in ("✗ failed", "━━━", "draft", "50 %", "1 / 2", "disk full"):
            assert said in shown


class TestLogs:
    def log(self, database, job, text):
        with database.write() as connection:
            line = NewLine(job, 1, database.now(), history.LOG, "draft", "warning", message=text)
            history.append(connection, [line])
            notify(connection, Channel.CHANGE)

    def test_what_was_logged(self, poster, database):
        job = poster.post()
        self.log(database, job, "careful\x1b[31m")
        ran = poster("logs", job)
        assert ran.out.split()[2:] == ["warning", "draft", "careful\\x1b[31m"]
        [line] = poster("logs", job, "--json").json
        assert list(line) == ["seq", "at", "attempt", "level", "task", "message", "data"]
        assert (line["level"], line["task"], line["message"]) == ("warning", "draft", "careful\x1b[31m")

    @pytest.mark.parametrize("words", [[], ["--json"]])
    def test_following(self, poster, database, words):
        job = poster.post()
        self.log(database, job, "one")
        with poster.started("logs", "-f", job, *words) as process:
            assert "one" in first_line(process)
            self.log(database, job, "two")
            assert "two" in first_line(process)
            put(database, job, State.CANCELLED)
            assert process.wait(30) == 0


class TestShowing:
    def test_prefixes(self, poster):
        first, second = poster.post(), poster.post()
        shared = next(n for n in range(26) if first[n] != second[n])
        assert poster("show", first[: shared + 1], "--json").json["id"] == first
        ran = poster("show", first[:shared])
        assert (ran.code, ran.out) == (2, "")
        assert first in ran.err
        assert second in ran.err
        assert poster("show", "zzz").code == 3
        assert poster("show", "%").code == 3

    def test_a_job_that_has_not_begun(self, poster):
        job = poster.post()
        shown = poster("show", job, "--json").json
        assert [(task["name"], task["state"], task["progress"]) for task in shown["tasks"]] == [
            ("draft", "pending", 0.0),
            ("send", "pending", 0.0),
        ]
        assert shown["reason"] == "waits: no conductor is alive"

    def test_the_error_comes_first(self, poster, database):
        job = poster.post()
        put(database, job, State.FAILED, tasks=TASKS, error=TASKS[0]["error"])
        ran = poster("show", job)
        assert ran.code == 0
        assert ran.lines[0] == "error  draft: OSError: disk full"
        assert f"poster retry {job}" in ran.out
        shown = poster("show", job, "--json").json
        assert shown["error"] == TASKS[0]["error"]
        assert shown["tasks"][0]["started_at"] == "2026-01-02T03:04:05.000006Z"

    def test_secrets_are_masked_everywhere(self, poster):
        job = poster("post", "share", "name=ann", "token=env:MY_TOKEN").out.strip()
        for words in (["show", job], ["list"], ["history", job]):
            for form in ([], ["--json"]):
                ran = poster(*words, *form)
                assert ran.code == 0
                assert "MY_TOKEN" not in ran.out
        assert poster("show", job, "--json").json["arguments"]["token"] == "********"
        ran = poster("post", "share", "name=ann", "token=s3cret")
        assert ran.code == 2
        assert "s3cret" not in ran.err

    def test_history(self, poster):
        job = poster.post()
        poster("cancel", job, "--reason", "wrong one")
        lines = poster("history", job, "--json").json
        assert [list(line) for line in lines] == [
            ["seq", "at", "attempt", "kind", "task", "state", "by", "message", "data"]
        ] * 2
        assert [(line["kind"], line["state"]) for line in lines] == [("state", "pending"), ("state", "cancelled")]
        assert lines[1]["message"].endswith(": wrong one")
        assert len(poster("history", job).lines) == 3

    def test_result(self, poster, database):
        job = poster.post()
        ran = poster("result", job)
        assert (ran.code, ran.out) == (5, "")
        put(database, job, State.COMPLETED, results={"text": "hello", "number": 3})
        assert poster("result", job, "--json").json == {"text": "hello", "number": 3}
        assert [line.split() for line in poster("result", job).lines] == [["text", "hello"], ["number", "3"]]
        assert poster("result", "zzz").code == 3


class TestList:
    def test_newest_first_and_filtered(self, poster):
        first, second, third = poster.post(), poster.post(), poster.post()
        poster("cancel", second)
        assert poster("list", "-q").lines == [third, second, first]
        assert poster("list", "-q", "--state", "cancelled").lines == [second]
        assert poster("list", "-q", "--state", "cancelled", "--state", "pending").lines == [third, second, first]
        assert poster("list", "-q", "--limit", "1").lines == [third]
        assert poster("list", "-q", "--since", "1h", "--flow", "greet").lines == [third, second, first]
        assert [job["id"] for job in poster("list", "--json").json] == [third, second, first]

    def test_a_page_after_the_other(self, poster):
        ids = [poster.post() for _ in range(5)][::-1]
        first = poster("list", "--limit", "2")
        assert [line.split()[0] for line in first.lines[1:]] == ids[:2]
        assert f"--after {ids[1]}" in first.err
        assert poster("list", "-q", "--limit", "2", "--after", ids[1]).lines == ids[2:4]
        assert poster("list", "-q", "--after", ids[3][:-1].upper()).lines == ids[4:]
        last = poster("list", "--limit", "2", "--after", ids[2])
        assert [line.split()[0] for line in last.lines[1:]] == ids[3:]
        assert "--after" not in last.err
        assert [job["id"] for job in poster("list", "--json", "--limit", "1", "--after", ids[0]).json] == ids[1:2]

    @pytest.mark.parametrize("words", [["--flow", "nothing"], ["--state", "paused"], ["--since", "2100-01-01"]])
    def test_filters_that_match_nothing(self, poster, words):
        poster.post()
        ran = poster("list", *words)
        assert (ran.code, ran.out) == (0, "")
        assert poster("list", *words, "--json").json == []

    @pytest.mark.parametrize(
        "words",
        [["--limit", "0"], ["--limit", "1001"], ["--state", "done"], ["--since", "x"], ["--after", "no-id"]],
    )
    def test_wrong_usage(self, poster, words):
        assert poster("list", *words).code == 2

    def test_the_table(self, poster):
        job = poster.post()
        head, line = poster("list").lines
        assert head.split() == ["ID", "STATE", "FLOW", "DONE", "AGE", "CONDUCTOR", "/", "REASON"]
        assert line.split()[:5] == [job, "pending", "greet", "0", "%"]
        assert line.endswith("waits: no conductor is alive")

    def test_a_terminal_has_icons_and_colours(self, poster):
        poster("cancel", poster.post())
        assert "⊘ cancelled" in poster.on_terminal("list")[1]
        assert "\x1b[" in poster.on_terminal("list")[1]
        assert "\x1b[" not in poster.on_terminal("list", NO_COLOR="1")[1]
        assert "\x1b[" not in poster("list").out
        assert "⊘" not in poster.on_terminal("list", PYTHONIOENCODING="ascii", NO_COLOR="1")[1]


class TestOverview:
    @pytest.fixture
    def any_poster(self, database_url: str) -> Poster:
        return PosterHere(database_url)

    def test_flows(self, poster):
        found = {flow["name"]: flow for flow in poster("flows", "--json").json}
        greet = found["greet"]
        assert list(greet)[:3] == ["name", "description", "parameters"]
        assert greet["description"].startswith("Greet someone.")
        assert set(greet["parameters"]["properties"]) == {"name", "times", "folder", "tags"}
        assert greet["parameters"]["required"] == ["name"]
        assert (greet["timeout"], greet["max_retries"], greet["retry_interval"]) == (600.0, 3, 30.0)
        assert (found["share"]["secrets"], found["share"]["max_running"]) == (["token"], 1)

    def test_one_flow(self, poster):
        [flow] = poster("flows", "greet", "--json").json
        assert flow["name"] == "greet"
        ran = poster("flows", "greet")
        for said in ("Greet someone.", "name", "required", "poster post greet name=…"):
            assert said in ran.out
        ran = poster("flows", "great")
        assert ran.code == 3
        assert "did you mean greet?" in ran.err

    def test_flows_need_no_database(self, poster):
        assert poster("flows", "--database-url", NOWHERE).code == 0
        assert poster("post", "greet", "--database-url", NOWHERE).code == 2

    def test_stats(self, any_poster):
        any_poster("cancel", any_poster.post())
        any_poster.post()
        found = any_poster("stats", "--json").json
        assert (found["total"], found["states"]["cancelled"]) == (2, 1)
        assert found["flows"] == {"greet": {"cancelled": 1, "pending": 1}}
        assert found["conductors"] == {"alive": 0, "slots": 0, "busy": 0}
        assert "greet" in any_poster("stats").out

    def test_conductors(self, poster, database):
        assert poster("conductors", "--json").json == []
        Registration(database, Owner("c1", "host:7:abc"), 4, ["greet"], lease_s=600.0).enter()
        Registration(database, Owner("c2", "host:8:def"), 4, ["share"], lease_s=-1.0).enter()
        rows = poster("conductors", "--json").json
        assert [(row["name"], row["alive"], row["slots"], row["jobs"]) for row in rows] == [
            ("c1", True, 4, []),
            ("c2", False, 4, []),
        ]
        assert [line.split()[:2] for line in poster("conductors").lines[1:]] == [["c1", "alive"], ["c2", "dead"]]
        job = poster("post", "share", "name=a", "token=env:X").out.strip()
        assert poster("show", job, "--json").json["reason"] == "waits: no live conductor knows the flow share"

    def test_doctor(self, any_poster):
        ran = any_poster("doctor", "--json", "--home", "/some/where")
        assert ran.code == 0
        report = ran.json
        assert report["ok"] is True
        assert {check["name"] for check in report["checks"]} == {
            *("flows", "database", "schema", "jobboard", "conductors", "tasks", "malformed"),
        }
        settings = {line["name"]: line for line in report["settings"]}
        assert settings["home"] == {"name": "home", "value": "/some/where", "origin": "--home"}
        assert settings["flows"]["origin"] == "COUNTERMAND_FLOWS"
        assert settings["lease"] == {"name": "lease", "value": "15", "origin": "default"}
        assert set(report["versions"]) == {"countermand", "python", "taskflow", "sqlalchemy"}
        assert "(COUNTERMAND_DATABASE_URL)" in any_poster("doctor").out

    def test_doctor_without_a_database(self, poster):
        ran = poster("doctor", "--database-url", NOWHERE, "--json")
        assert ran.code == 4
        assert {check["name"]: check["status"] for check in ran.json["checks"]} == {
            "flows": "ok",
            "database": "unreachable",
        }
        assert "s3cret" not in ran.out + poster("doctor", "--database-url", NOWHERE).out

    def test_doctor_without_a_board(self, poster, monkeypatch):
        monkeypatch.setattr(ZookeeperBoard.connect, "__defaults__", (1.0,))
        ran = poster("doctor", "--jobboard-url", "zookeeper://127.0.0.1:1/x", "--json")
        assert ran.code == 4
        assert {check["name"]: check["status"] for check in ran.json["checks"]}["jobboard"] == "unreachable"

    def test_doctor_with_a_board(self, poster, zookeeper):
        ran = poster("doctor", "--jobboard-url", f"{zookeeper.url}/doctor", "--json")
        [board] = [check for check in ran.json["checks"] if check["name"] == "jobboard"]
        assert (ran.code, board["status"]) == (0, "ok")
        assert "0 posting(s)" in board["message"]

    def test_doctor_without_its_flows(self, poster):
        ran = poster("doctor", "--flows", "no_such_module", "--json")
        assert ran.code == 2
        assert ran.json["ok"] is False


class TestOptions:
    @pytest.mark.parametrize("order", [["--json", "list"], ["list", "--json"]])
    def test_json_before_and_after(self, poster, order):
        assert poster(*order).json == []

    def test_settings_before_and_after_and_the_later_wins(self, poster):
        other = {"COUNTERMAND_DATABASE_URL": NOWHERE}
        assert poster("--database-url", poster.url, "list", **other).code == 0
        assert poster("list", "--database-url", poster.url, **other).code == 0
        assert poster("--database-url", NOWHERE, "list", "--database-url", poster.url).code == 0
        assert poster("list", **other).code == 4

    def test_home(self, poster, tmp_path):
        home = tmp_path / "new" / "home"
        assert poster("list", "--home", str(home), COUNTERMAND_DATABASE_URL="").code == 0
        assert (home / "countermand.db").exists()

    @pytest.mark.parametrize(
        "words",
        [
            ["list", "--database-url", "nonsense"],
            ["list", "--jobboard-url", "nonsense"],
            ["flows", "--flows", "no_such_module"],
            ["nonsense"],
            ["show"],
            ["cancel"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage(self, poster, words):
        ran = poster(*words)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err
        assert "Traceback" not in ran.err


class TestUnreachable:
    @pytest.mark.parametrize(
        "words",
        [
            ["post", "greet", "name=ann"],
            ["list"],
            ["show", "x"],
            ["wait", "x"],
            ["watch"],
            ["history", "x"],
            ["stats"],
            ["conductors"],
        ],
        ids=" ".join,
    )
    def test_one_line(self, poster, words):
        ran = poster(*words, "--database-url", NOWHERE)
        assert (ran.code, ran.out) == (4, "")
        [line] = ran.err.splitlines()
        assert "127.0.0.1" in line
        assert "s3cret" not in line

    def test_of_many_jobs(self, poster):
        ran = poster("cancel", "x", "y", "--json", "--database-url", NOWHERE)
        assert ran.code == 4
        assert [one["id"] for one in ran.json] == ["x", "y"]
        assert len(ran.err.splitlines()) == 1


class TestShell:
    @pytest.fixture
    def poster(self, sqlite_url: str) -> Poster:
        return Poster(sqlite_url)

    def test_errors_are_told_in_one_line(self, poster):
        ran = poster("list", "--database-url", NOWHERE)
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (4, "", 1)

    def test_who_reads_may_go_away(self, poster):
        for _ in range(3):
            poster.post()
        with poster.started("list", "--json") as process:
            assert process.stdout is not None
            process.stdout.close()
            process.stdout = None
            _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (141, b"")

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_scripts(self, poster, shell):
        ran = poster("completion", shell)
        assert ran.code == 0
        assert "_POSTER_COMPLETE" in ran.out

    @pytest.mark.parametrize(
        ("line", "expected"),
        [("poster can", "cancel"), ("poster post gr", "greet"), ("poster post greet ti", "times=")],
    )
    def test_completion(self, poster, line, expected):
        found = complete(poster, line)
        assert expected in found

    def test_completion_of_jobs(self, poster):
        job = poster.post()
        assert complete(poster, f"poster show {job[:20]}") == [job]
        poster.environment["COUNTERMAND_DATABASE_URL"] = NOWHERE
        assert complete(poster, "poster show 01") == []


def complete(poster: Poster, line: str) -> list[str]:
    ran = poster(_POSTER_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(line.split()) - 1))
    assert ran.err == ""
    return [answer.partition(",")[2] for answer in ran.lines if answer]
