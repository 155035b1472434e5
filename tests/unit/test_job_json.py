"""What the poster gives out as JSON, field by field."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from jobboard.inspection import Finding
from jobboard.models import Cancel, ConductorRow, HistoryLine, Job, NotResponding, Task, TaskError
from jobboard.states import State
from poster.doctor import Check, Report, SettingLine, shown
from poster.job_json import (
    conductor_document,
    history_document,
    job_document,
    log_document,
    moment,
    report_document,
    stats_document,
)
from poster.stats import stats_of
from poster.why_waiting import explained, why_waiting
from tests.jobs import AT, a_job

AT_TEXT = "2026-01-02T03:04:05.000006Z"
FIELDS = [
    *("id", "flow", "arguments", "state", "progress", "attempt", "priority", "reason", "error", "key"),
    *("posted_at", "due_at", "started_at", "finished_at", "conductor", "cancel", "results", "tasks"),
]
CANCEL_FIELDS = ["requested_at", "by", "reason", "delivered_at", "stopped_at", "reverted", "total"]


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def conductor(name: str = "c1", *, alive: bool = True, slots: int = 4, flows=("greet",), jobs=()) -> ConductorRow:
    return ConductorRow(name, f"host:7:{name}", "host", 7, slots, flows, AT, AT, alive, jobs)


class TestMoments:
    def test_utc_with_microseconds_and_a_z(self):
        assert moment(AT) == AT_TEXT

    def test_microseconds_are_always_there(self):
        assert moment(AT.replace(microsecond=0)) == "2026-01-02T03:04:05.000000Z"

    def test_other_zones_become_utc(self):
        assert moment(AT.astimezone(timezone(timedelta(hours=5, minutes=30)))) == AT_TEXT

    def test_none_is_null(self):
        assert moment(None) is None

    def test_it_can_be_read_again(self):
        assert datetime.fromisoformat(moment(AT) or "") == AT


class TestJob:
    def test_fields_in_the_order_of_the_documentation(self):
        assert list(job_document(a_job())) == FIELDS

    def test_a_pending_job(self):
        assert job_document(a_job()) == {
            "id": "01j000000000000000000000aa",
            "flow": "greet",
            "arguments": {"name": "ann"},
            "state": "pending",
            "progress": 0.0,
            "attempt": 1,
            "priority": "normal",
            "reason": None,
            "error": None,
            "key": None,
            "posted_at": AT_TEXT,
            "due_at": AT_TEXT,
            "started_at": None,
            "finished_at": None,
            "conductor": None,
            "cancel": None,
            "results": None,
            "tasks": [],
        }

    def test_an_error(self):
        document = job_document(a_job(State.FAILED, error=TaskError("pack", "OSError", "disk full")))
        assert document["error"] == {"task": "pack", "type": "OSError", "message": "disk full"}

    def test_a_cancel(self):
        cancel = Cancel(AT, "ann@host", "why", later(1), None, reverted=1, total=2)
        document = job_document(a_job(State.CANCELLING, cancel=cancel))["cancel"]
        assert document == {
            "requested_at": AT_TEXT,
            "by": "ann@host",
            "reason": "why",
            "delivered_at": "2026-01-02T03:04:06.000006Z",
            "stopped_at": None,
            "reverted": 1,
            "total": 2,
        }
        assert list(document) == [
            "requested_at",
            "by",
            "reason",
            "delivered_at",
            "stopped_at",
            "reverted",
            "total",
        ]

    def test_tasks(self):
        task = Task("pack", "running", 0.5, {"done": 1, "total": 2}, AT.isoformat(timespec="microseconds"))
        [document] = job_document(a_job(tasks=(task,)))["tasks"]
        assert document == {
            "name": "pack",
            "state": "running",
            "progress": 0.5,
            "detail": {"done": 1, "total": 2},
            "started_at": AT_TEXT,
            "finished_at": None,
            "error": None,
        }
        assert list(document) == ["name", "state", "progress", "detail", "started_at", "finished_at", "error"]

    def test_a_task_that_does_not_respond(self):
        task = Task("pack", "running", not_responding=NotResponding(AT.isoformat(), "here"))
        [document] = job_document(a_job(tasks=(task,)))["tasks"]
        assert list(document)[-2:] == ["error", "not_responding"]
        assert document["not_responding"] == {"since": AT_TEXT, "stack": "here"}

    def test_a_task_error(self):
        task = Task("pack", "failure", error=TaskError("pack", "OSError", "disk full"))
        [document] = job_document(a_job(tasks=(task,)))["tasks"]
        assert document["error"] == {"task": "pack", "type": "OSError", "message": "disk full"}

    @pytest.mark.parametrize("state", State)
    def test_every_state_is_a_plain_word(self, state):
        document = json.loads(json.dumps(job_document(a_job(state))))
        assert document["state"] == state.value


class TestLines:
    line = HistoryLine(3, "01j", 2, AT, "task", "pack", "reverted", None, "said", {"a": 1})

    def test_history(self):
        assert history_document(self.line) == {
            "seq": 3,
            "at": AT_TEXT,
            "attempt": 2,
            "kind": "task",
            "task": "pack",
            "state": "reverted",
            "by": None,
            "message": "said",
            "data": {"a": 1},
        }

    def test_logs_have_a_level(self):
        document = log_document(HistoryLine(3, "01j", 2, AT, "log", "pack", "WARNING", None, "said", None))
        assert document["level"] == "WARNING"
        assert list(document) == ["seq", "at", "attempt", "level", "task", "message", "data"]


def test_conductors():
    assert conductor_document(conductor(jobs=("01j",))) == {
        "name": "c1",
        "alive": True,
        "host": "host",
        "pid": 7,
        "owner": "host:7:c1",
        "slots": 4,
        "jobs": ["01j"],
        "flows": ["greet"],
        "started_at": AT_TEXT,
        "seen_at": AT_TEXT,
    }


class TestStats:
    counted = {"greet": {"pending": 2, "completed": 1}, "share": {"pending": 1}}

    def test_numbers(self):
        rows = [conductor(jobs=("a", "b")), conductor("c2", alive=False, jobs=("c",))]
        document = stats_document(stats_of(self.counted, AT, rows, later(2)))
        assert document["total"] == 4
        assert document["states"]["pending"] == 3
        assert set(document["states"]) == set(State)
        assert document["flows"] == {"greet": {"completed": 1, "pending": 2}, "share": {"pending": 1}}
        assert document["oldest_waiting_since"] == AT_TEXT
        assert document["oldest_waiting_s"] == 2.0
        assert document["conductors"] == {"alive": 1, "slots": 4, "busy": 2}

    def test_nothing_there(self):
        document = stats_document(stats_of({}, None, [], AT))
        assert document["total"] == 0
        assert document["oldest_waiting_since"] is None
        assert document["oldest_waiting_s"] is None


class TestWhyWaiting:
    def test_its_turn(self):
        assert why_waiting(a_job(), [conductor()], AT) is None

    def test_not_due(self):
        assert why_waiting(a_job(due_at=later(5)), [], AT) == "waits for its due time"

    def test_to_be_tried_again(self):
        said = why_waiting(a_job(due_at=later(5)), [], AT, failed=TaskError("pack", "OSError", "no space left"))
        assert said == "waits to be tried again: pack: OSError: no space left"

    def test_no_conductor(self):
        assert why_waiting(a_job(), [conductor(alive=False)], AT) == "waits: no conductor is alive"

    def test_no_conductor_for_it(self):
        said = why_waiting(a_job(), [conductor(flows=("share",))], AT)
        assert said == "waits: no live conductor knows the flow greet"

    @pytest.mark.parametrize(
        ("most", "running", "said"),
        [
            (1, ["a"], "waits for a: flow greet runs 1 at a time"),
            (2, ["a", "b"], "waits for a, b: flow greet runs 2 at a time"),
            (4, list("abcd"), "waits for a, b, c and 1 more: flow greet runs 4 at a time"),
            (2, ["a"], None),
            (None, ["a"], None),
        ],
    )
    def test_those_that_its_flow_runs_at_once(self, most, running, said):
        assert why_waiting(a_job(max_running=most), [conductor()], AT, running) == said

    def test_a_reason_that_is_stored_stays(self):
        assert explained(a_job(reason="it says so"), [], AT).reason == "it says so"

    @pytest.mark.parametrize("state", sorted(set(State) - {State.PENDING}))
    def test_only_of_pending_jobs(self, state):
        assert explained(a_job(state), [], AT).reason is None


class TestWhyNotStopped:
    def job(self, *names: str, state: State = State.CANCELLING, reason: str | None = None) -> Job:
        stuck = NotResponding(AT.isoformat(), "here")
        tasks = [Task(name, "running", not_responding=stuck) for name in names]
        return a_job(state, tasks=(Task("a", "success"), *tasks), reason=reason)

    @pytest.mark.parametrize("state", [State.CANCELLING, State.REVERTING])
    def test_one_task(self, state):
        said = "task b does not respond to its interruption"
        assert explained(self.job("b", state=state), [], AT).reason == said

    def test_several(self):
        said = "tasks b, c do not respond to their interruption"
        assert explained(self.job("b", "c"), [], AT).reason == said

    def test_nothing_to_say(self):
        assert explained(self.job(), [], AT).reason is None
        assert explained(self.job("b", state=State.RUNNING), [], AT).reason is None
        assert explained(self.job("b", reason="it says so"), [], AT).reason == "it says so"


class TestReport:
    def test_document(self):
        report = Report(
            (SettingLine("home", "/x", "default"),),
            (Check("flows", "ok", "2 loaded"),),
            {"python": "3"},
            (Finding("record", "j1", "state: 'x' is no state", "mend it"),),
        )
        assert report_document(report) == {
            "ok": True,
            "checks": [{"name": "flows", "status": "ok", "message": "2 loaded"}],
            "settings": [{"name": "home", "value": "/x", "origin": "default"}],
            "findings": [
                {"thing": "record", "id": "j1", "wrong": "state: 'x' is no state", "advice": "mend it"},
            ],
            "versions": {"python": "3"},
        }

    @pytest.mark.parametrize(("status", "ok"), [("warning", True), ("error", False), ("unreachable", False)])
    def test_warnings_are_no_errors(self, status, ok):
        assert Report((), (Check("x", status, ""),), {}).ok is ok

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("postgresql://ann:s3cret@host/db", "postgresql://ann:********@host/db"),
            ("postgresql://ann:s3:cr@t@host/db", "postgresql://ann:********@host/db"),
            ("zookeeper://ann:s3cret@a:1,b:2/path?verify=no", "zookeeper://ann:********@a:1,b:2/path?verify=no"),
            ("postgresql://host/db?password=s3cret&x=1", "postgresql://host/db?password=********&x=1"),
            ("zookeeper://a:1,b:2/path", "zookeeper://a:1,b:2/path"),
            ("sqlite:////home/x:y@z/file.db", "sqlite:////home/x:y@z/file.db"),
            (None, "none"),
            ((), "none"),
            (("a", "b"), "a, b"),
            (15.0, "15"),
            (0.5, "0.5"),
        ],
    )
    def test_settings_are_shown_without_passwords(self, value, expected):
        assert shown(value) == expected
