"""The routes of jobs: what they do, and what they answer when it cannot be done."""

from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr
from taskflow.patterns import linear_flow

from flows import flow
from jobboard import search
from jobboard.ids import new_id
from jobboard.states import State
from tests.integration.house import Gate, Hold, Step
from tests.waiting import until


def detail(answered, status: int) -> str:
    """What a problem says."""
    assert answered.status_code == status, answered.text
    assert answered.headers["content-type"] == "application/problem+json"
    problem = answered.json()
    assert problem["status"] == status
    return str(problem["detail"])


@pytest.fixture
def simple(house):
    """A flow that does nothing, in two steps."""
    house.flow(lambda: [house.step("a"), house.step("b")])


def test_post_and_show(served, simple):
    answered = served.http.post("/api/jobs", json={"flow": "f", "priority": "high"})
    assert answered.status_code == 201
    job = answered.json()
    assert answered.headers["location"] == f"/api/jobs/{job['id']}"
    assert (job["state"], job["priority"], job["attempt"], job["cancel"]) == ("pending", "high", 1, None)
    assert served.http.get(answered.headers["location"]).json() == job
    assert [line.by for line in served.client.history(job["id"])] == ["ann"]


def test_a_job_that_completed_has_its_results(served, simple, house):
    job = served.post()
    assert "results are there once it has completed" in detail(served.http.get(f"/api/jobs/{job}/result"), 409)
    house.drain()
    shown = served.http.get(f"/api/jobs/{job}").json()
    assert (shown["state"], shown["progress"]) == ("completed", 1.0)
    assert shown["results"] == {"a": "a's result", "b": "b's result"}
    assert [task["state"] for task in shown["tasks"]] == ["success", "success"]
    assert served.http.get(f"/api/jobs/{job}/result").json() == shown["results"]


def test_the_same_key_gives_the_same_job(served, simple, house):
    first = served.http.post("/api/jobs", json={"flow": "f", "key": "k"})
    again = served.http.post("/api/jobs", json={"flow": "f", "key": "k"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    house.flow(lambda: [house.step("a")], name="g")
    assert "has the key 'k'" in detail(served.http.post("/api/jobs", json={"flow": "g", "key": "k"}), 409)


def test_what_cannot_be_posted_is_said_and_nothing_is_stored(served, simple):
    post = served.http.post
    assert "no such flow: ff (did you mean f?)" in detail(post("/api/jobs", json={"flow": "ff"}), 404)
    answered = post("/api/jobs", json={"flow": "f", "priority": "urgent", "delay": -1, "colour": "red"})
    assert "priority" in detail(answered, 422)
    assert {error["field"] for error in answered.json()["errors"]} >= {"priority", "colour"}
    assert "arguments.x" in str(post("/api/jobs", json={"flow": "f", "arguments": {"x": 1}}).json()["errors"])
    assert "wants a duration" in detail(post("/api/jobs", json={"flow": "f", "timeout": "soon"}), 422)
    assert served.http.get("/api/jobs").json() == {"jobs": [], "next_cursor": None}


def test_pages_go_on_by_their_cursor(served, simple):
    posted = [served.post() for _ in range(5)]
    pages, cursor = [], ""
    while cursor is not None:
        page = served.http.get("/api/jobs", params={"limit": 2, "cursor": cursor}).json()
        pages.append([job["id"] for job in page["jobs"]])
        cursor = page["next_cursor"]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [job for page in pages for job in page] == posted[::-1]


def test_filters(served, simple, house):
    house.flow(lambda: [house.step("a")], name="g")
    cancelled, waiting = served.post(), served.post("g")
    served.http.post(f"/api/jobs/{cancelled}/cancel")

    def found(**params):
        return [job["id"] for job in served.http.get("/api/jobs", params=params).json()["jobs"]]

    assert found(state="cancelled") == [cancelled]
    assert found(state=["cancelled", "pending"]) == [waiting, cancelled]
    assert found(flow="g", state="") == [waiting]
    assert found(flow="nothing") == []
    assert "state" in detail(served.http.get("/api/jobs?state=lost"), 422)
    assert "limit" in detail(served.http.get("/api/jobs?limit=1001"), 422)
    assert "limit" in detail(served.http.get("/api/jobs?limit=0"), 422)


def found_by(served, q, **more):
    """The ids of the jobs that have the words, as the list tells them."""
    answered = served.http.get("/api/jobs", params={"q": q, **more})
    assert answered.status_code == 200, answered.text
    return [job["id"] for job in answered.json()["jobs"]]


def test_search_by_words(served, house):
    house.flow(lambda: [house.step("a")], name="greet")

    @flow("copy", registry=house.registry)
    def copy(source: str):
        return linear_flow.Flow("copy").add(house.step("c", fails))

    def fails(_task):
        raise OSError("the Disk is full")

    greeted = served.post("greet", key="0012345")
    copied = served.post("copy", arguments={"source": "/data/100%_ü.txt"})
    for words in ("0012345", "0123", "GREET", greeted, greeted[:20], greeted.upper()):
        assert found_by(served, words) == [greeted], words
    for words in ("copy", "/DATA/", "100%_", "ü.txt", copied):
        assert found_by(served, words) == [copied], words
    assert found_by(served, "o") == [copied]
    assert found_by(served, "1000_") == []
    assert found_by(served, "e", state="completed") == []
    assert found_by(served, "e", flow="greet", limit=1) == [greeted]
    house.drain()
    assert found_by(served, "disk IS full") == [copied]
    assert found_by(served, greeted, state="pending") == []
    for wrong in ("a\0b", "x" * 256):
        detail(served.http.get("/api/jobs", params={"q": wrong}), 422)


def test_no_search_finds_a_secret(served, house):
    @flow("pay", registry=house.registry, secrets_by_value=True)
    def pay(token: SecretStr, customer: str):
        return linear_flow.Flow("pay").add(house.step("a"))

    paid = served.post("pay", arguments={"token": "hunter2", "customer": "Ada"})
    assert "hunter2" in str(house.row(paid).arguments), "it is stored by its value"
    for words in ("hunter2", "hunter", '"hunter2"', "Ada"):
        assert found_by(served, words) == [], words
        answered = served.http.post("/api/jobs/cancel", json={"filter": {"q": words}})
        assert answered.json() == [], words
    assert found_by(served, "pay") == [paid]


def test_search_goes_on_until_all_was_looked_through(served, simple, house, monkeypatch):
    monkeypatch.setattr(search, "LOOKED_THROUGH", 2)
    house.flow(lambda: [house.step("a")], name="other")
    oldest, *_others = served.post(), *(served.post("other") for _ in range(4))
    pages, cursor = [], ""
    while cursor is not None:
        page = served.http.get("/api/jobs", params={"q": "f", "flow": "", "cursor": cursor}).json()
        pages.append([job["id"] for job in page["jobs"]])
        cursor = page["next_cursor"]
    assert pages == [[], [], [oldest]]
    assert found_by(served, oldest[:24]) == [oldest]
    many = [served.post() for _ in range(2)]
    page = served.http.get("/api/jobs", params={"q": "f", "limit": 1}).json()
    assert ([job["id"] for job in page["jobs"]], page["next_cursor"]) == ([many[1]], many[1])


def test_many_by_words(served, simple, house):
    house.flow(lambda: [house.step("a")], name="other")
    of_f, others = [served.post() for _ in range(2)], [served.post("other") for _ in range(2)]
    answered = served.http.post("/api/jobs/cancel", json={"filter": {"q": "OTH"}})
    assert [one["id"] for one in answered.json()] == others
    assert {served.client.get(job).state for job in of_f} == {State.PENDING}
    assert len(served.http.post("/api/jobs/retry", json={"filter": {"q": "oth"}}).json()) == 2


def test_a_job_that_keeps_its_results_says_so(served, house):
    def fails(_task):
        raise OSError("no")

    house.flow(lambda: [house.step("a"), house.step("b", fails)], on_failure="keep")
    job = served.post()
    assert "kept" not in served.http.get(f"/api/jobs/{job}").json()
    house.drain()
    assert served.http.get(f"/api/jobs/{job}").json()["kept"] is True


def test_what_is_answered_has_all_tasks_also_of_a_job_that_never_began(served, simple):
    job = served.post()
    for request in ("pause", "resume", "cancel", "retry"):
        answered = served.http.post(f"/api/jobs/{job}/{request}", json={})
        assert [task["name"] for task in answered.json()["tasks"]] == ["a", "b"], request


def test_current_jobs_are_those_that_are_worked_on(served, house):
    hold = Hold()
    house.flow(lambda: [house.step("a", hold)])
    house.flow(lambda: [house.step("a")], name="later")
    running = served.post()
    with house.running():
        hold.arrived()
        served.post("later", delay="1h")
        assert [job["id"] for job in served.http.get("/api/jobs/current").json()] == [running]
        served.http.post(f"/api/jobs/{running}/cancel")
        house.comes_to(running)
    assert served.http.get("/api/jobs/current").json() == []


def test_a_running_job_is_cancelled_and_retried(served, house):
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b", hold)])
    job = served.post()
    with house.running():
        hold.arrived()
        plan = served.http.get(f"/api/jobs/{job}/cancel").json()
        assert (plan["reverted"], plan["not_started"]) == (["b", "a"], [])
        answered = served.http.post(f"/api/jobs/{job}/cancel", json={"reason": "wrong folder"})
        assert answered.status_code == 202
        assert answered.json()["state"] in ("cancelling", "cancelled")
        house.comes_to(job, State.CANCELLED)
    shown = served.http.get(f"/api/jobs/{job}").json()
    assert (shown["cancel"]["by"], shown["cancel"]["reason"]) == ("ann", "wrong folder")
    assert (shown["cancel"]["reverted"], shown["cancel"]["total"]) == (2, 2)
    retried = served.http.post(f"/api/jobs/{job}/retry", json={})
    assert (retried.status_code, retried.json()["state"], retried.json()["attempt"]) == (202, "pending", 2)


def test_what_the_state_does_not_allow_says_which_state(served, simple, house):
    job = served.post()
    house.drain()
    for request in ("cancel", "retry", "pause", "resume"):
        answered = served.http.post(f"/api/jobs/{job}/{request}")
        assert "completed" in detail(answered, 409)
        assert (answered.json()["state"], answered.json()["job"]) == ("completed", job)
    assert "completed" in detail(served.http.get(f"/api/jobs/{job}/cancel"), 409)


@pytest.mark.parametrize("job", ["0" * 26, "01", "no-id", "%00", "%ff%fe", "a" * 300, "%F0%9F%98%80"])
def test_a_job_that_there_is_not(served, job):
    for path in ("", "/result", "/history", "/logs", "/graph", "/events", "/cancel"):
        assert "no such job" in detail(served.http.get(f"/api/jobs/{job}{path}"), 404)
    for path in ("/cancel", "/retry", "/pause", "/resume"):
        assert "no such job" in detail(served.http.post(f"/api/jobs/{job}{path}"), 404)
    assert "no such job" in detail(served.http.delete(f"/api/jobs/{job}"), 404)


def test_pause_and_resume(served, house):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate), house.step("b")])
    job = served.post()
    with house.running() as conductor:
        gate.arrived()
        assert served.http.post(f"/api/jobs/{job}/pause").json()["state"] == "pausing"
        until(lambda: any(run._pause.is_set() for run in conductor._running()), what="the pause to be heard of")
        gate.open.set()
        house.comes_to(job, State.PAUSED)
        assert served.http.post(f"/api/jobs/{job}/resume", json={}).status_code == 202
        house.comes_to(job, State.COMPLETED)


def test_a_retry_with_other_arguments_and_one_that_gives_effects_up(served, house):
    def fails(_task):
        raise OSError("the disk is full")

    house.flow(lambda: [house.step("a", revert=fails), house.step("b", fails)])
    job = served.post()
    house.drain()
    assert served.http.get(f"/api/jobs/{job}").json()["state"] == "revert_failed"
    retry = f"/api/jobs/{job}/retry"
    assert "revert" in detail(served.http.post(retry), 409)
    assert "force wants a reason" in detail(served.http.post(retry, json={"force": True}), 422)
    both = {"force": True, "reason": "x", "cleanup": True}
    assert "wants one of" in detail(served.http.post(retry, json=both), 422)
    assert served.http.post(retry, json={"cleanup": True}).json()["state"] in ("reverting", "cancelling")
    house.drain()
    answered = served.http.post(retry, json={"force": True, "reason": "removed by hand"})
    assert (answered.status_code, answered.json()["attempt"]) == (202, 2)


def test_delete(served, house):
    hold = Hold()
    house.flow(lambda: [house.step("a", hold)])
    pending, running = served.post(delay="1h"), served.post()
    assert served.http.delete(f"/api/jobs/{pending}").status_code == 204
    detail(served.http.get(f"/api/jobs/{pending}"), 404)
    with house.running():
        hold.arrived()
        answered = served.http.delete(f"/api/jobs/{running}", params={"reason": "no longer wanted"})
        assert (answered.status_code, answered.json()["state"]) == (202, "cancelling")
        assert answered.json()["deleting"] is True
        while (answered := served.http.delete(f"/api/jobs/{running}")).status_code != 404:
            assert answered.status_code == 202


def test_many_at_once_each_with_its_own_answer(served, simple, house):
    done = served.post()
    house.drain()
    waiting, unknown = served.post(), new_id()
    ids = [done, waiting, unknown, "\0"]
    answered = served.http.post("/api/jobs/cancel", json={"ids": ids, "reason": "all of them"})
    assert answered.status_code == 200
    results = answered.json()
    assert [(one["id"], one["ok"], one["state"]) for one in results] == [
        (done, False, "completed"),
        (waiting, True, "cancelled"),
        (unknown, False, None),
        ("\0", False, None),
    ]
    assert "no such job" in results[2]["error"]
    results = served.http.post("/api/jobs/retry", json={"ids": ids}).json()
    assert [(one["ok"], one["state"]) for one in results] == [
        (False, "completed"),
        (True, "pending"),
        (False, None),
        (False, None),
    ]


class Pay(Step):
    """A step whose effect cannot be undone."""

    irreversible = True


def test_what_a_cancel_of_many_would_do_is_told(served, house):
    hold = Hold()
    house.flow(lambda: [house.step("a"), Pay("pay", house, hold, None), house.step("c")])
    running, done = served.post(), new_id()
    with house.running(grace_s=0):
        hold.arrived()
        waits = served.post(delay="1h")
        told = served.http.post("/api/jobs/cancel/plan", json={"ids": [running, waits, done, "x"]}).json()
        assert told[:2] == [served.http.get(f"/api/jobs/{job}/cancel").json() for job in (running, waits)]
        assert (told[0]["reverted"], told[0]["irreversible"], told[0]["not_started"]) == (["a"], ["pay"], ["c"])
        assert [(one["id"], one["ok"], one["reverted"]) for one in told[2:]] == [
            (done, False, []),
            ("x", False, []),
        ]
        assert told[2]["error"].startswith("no such job")
        of_all = served.http.post("/api/jobs/cancel/plan", json={"filter": {}}).json()
        assert [one["id"] for one in of_all] == [running, waits]
    assert served.client.get(running).cancel is None


def test_many_by_a_filter(served, simple, house):
    house.flow(lambda: [house.step("a")], name="g")
    of_f, of_g = [served.post() for _ in range(3)], served.post("g")
    cancel = served.http.post("/api/jobs/cancel", json={"filter": {"flow": "f"}})
    assert [(one["id"], one["state"]) for one in cancel.json()] == [(job, "cancelled") for job in of_f]
    assert served.http.post("/api/jobs/cancel", json={"filter": {"state": ["running"]}}).json() == []
    retry = served.http.post("/api/jobs/retry", json={"filter": {}})
    assert [one["id"] for one in retry.json()] == of_f
    assert served.http.post("/api/jobs/cancel", json={"filter": {"state": "pending"}}).json()[-1]["id"] == of_g
    for wrong in (
        {},
        {"ids": [of_g], "filter": {}},
        {"ids": []},
        {"filter": {"state": "lost"}},
        {"filter": {"x": 1}},
    ):
        detail(served.http.post("/api/jobs/cancel", json=wrong), 422)


def test_history_and_logs_in_pages(served, house):
    logging.getLogger("tests").setLevel(logging.INFO)

    def talks(_task):
        for number in range(3):
            logging.getLogger("tests.talk").info("line %d", number)

    house.flow(lambda: [house.step("a", talks)])
    job = served.post()
    house.drain()
    lines = served.http.get(f"/api/jobs/{job}/history").json()
    assert [line["state"] for line in lines if line["kind"] == "state"] == ["pending", "running", "completed"]
    assert lines[0]["by"] == "ann"
    after = served.http.get(f"/api/jobs/{job}/history", params={"after": lines[1]["seq"], "limit": 2}).json()
    assert after == lines[2:4]
    logs = served.http.get(f"/api/jobs/{job}/logs").json()
    assert [line["message"] for line in logs] == ["line 0", "line 1", "line 2"]
    assert (logs[0]["task"], logs[0]["level"]) == ("a", "info")
    assert served.http.get(f"/api/jobs/{job}/logs", params={"after": logs[1]["seq"]}).json() == logs[2:]
    last = served.http.get(f"/api/jobs/{job}/logs", params={"before": 2**63 - 1, "limit": 2}).json()
    assert last == logs[1:]
    assert served.http.get(f"/api/jobs/{job}/logs", params={"before": last[0]["seq"]}).json() == logs[:1]
    newest = served.http.get(f"/api/jobs/{job}/history", params={"before": 2**63 - 1, "limit": 1}).json()
    assert newest == lines[-1:]


def test_graphs_and_flows(served, simple, house):
    job = served.post()
    graph = served.http.get(f"/api/jobs/{job}/graph").json()
    assert [(node["name"], node["state"]) for node in graph["nodes"]] == [("a", "pending"), ("b", "pending")]
    assert graph["edges"] == [["a", "b"]]
    assert [flow["name"] for flow in served.http.get("/api/flows").json()] == ["f"]
    assert served.http.get("/api/flows/f").json()["parameters"]["type"] == "object"
    assert [node["name"] for node in served.http.get("/api/flows/f/graph").json()["nodes"]] == ["a", "b"]
    assert "no such flow" in detail(served.http.get("/api/flows/g"), 404)


def test_stats_and_conductors(served, simple, house):
    served.post()
    with house.running("one", slots=2):
        [conductor] = until(lambda: served.http.get("/api/conductors").json(), what="the conductor's row")
        assert (conductor["name"], conductor["alive"], conductor["slots"]) == ("one", True, 2)
        assert served.http.get("/api/stats").json()["conductors"]["slots"] == 2
    assert served.http.get("/api/stats").json()["total"] == 1
    assert served.http.get("/api/me").json() == {"name": "ann", "role": "admin", "token": None}
