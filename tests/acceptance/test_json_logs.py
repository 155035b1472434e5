"""`--log-format json`: every line of a real process is an object, and says where it comes from."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import datetime
from typing import Any

import httpx
import pytest

from jobboard.models import NewJob
from jobboard.states import State
from tests.acceptance.place import ROOT, Conductor, Place
from tests.waiting import until

S = State

FLOWS = """
import logging

from taskflow.patterns import linear_flow

from flows import CancelableTask, flow

LOG = logging.getLogger("mine")


class Talk(CancelableTask):
    def execute(self) -> None:
        LOG.info("a word\\nin two lines: %s", "Zoë")
        print("printed")
        try:
            raise ValueError("boom")
        except ValueError:
            LOG.exception("it failed")


@flow("talks")
def talks():
    return linear_flow.Flow("talks").add(Talk())
"""


@pytest.fixture
def talking(embedded: Place) -> Place:
    file = embedded.folder / "talking.py"
    file.write_text(FLOWS)
    embedded.environment["COUNTERMAND_FLOWS"] = str(file)
    embedded.tells_errors = True
    return embedded


def run(place: Place, *options: str) -> tuple[str, Conductor]:
    """Let a conductor run the talking job to its end."""
    with place.records() as records:
        [job] = [one.id for one in records.post([NewJob("talks", {})], by="ann")]
    conductor = place.start("one", "--burst", *options)
    conductor.ends_with(0)
    place.await_states([job], S.COMPLETED)
    return job, conductor


def objects(text: str) -> list[dict[str, Any]]:
    """The lines, after a check of what each must have."""
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        assert list(one)[:4] == ["at", "level", "logger", "message"]
        assert datetime.fromisoformat(one["at"]).utcoffset() is not None
    return found


def test_a_conductor(talking: Place):
    job, conductor = run(talking, "--log-format=json")
    found = objects(conductor.log)
    known = {"job": job, "flow": "talks", "attempt": 1}
    of_task = [one for one in found if one.get("task") == "talk"]
    assert [one | known for one in of_task] == of_task
    assert [(one["level"], one["logger"], one["message"]) for one in of_task] == [
        ("info", "mine", "a word\nin two lines: Zoë"),
        ("info", "stdout", "printed"),
        ("error", "mine", "it failed"),
    ]
    assert of_task[2]["exc"].startswith("Traceback (most recent call last):")
    assert of_task[2]["exc"].endswith("ValueError: boom")
    [end] = [one for one in found if one["message"].startswith(f"job {job}: ")]
    assert end | known == end
    assert "task" not in end


def test_a_conductor_as_text(talking: Place):
    job, conductor = run(talking)
    assert f"INFO    [{job} talks #1 talk] a word\n" in conductor.log
    assert f"ERROR   [{job} talks #1 talk] it failed\nTraceback (most recent call last):" in conductor.log
    assert f"INFO    [{job} talks #1] job {job}: " in conductor.log


def test_a_conductor_that_waits_for_its_database_says_so_as_an_object(embedded: Place):
    conductor = embedded.start("one", "--log-format=json", "--database-url=postgresql://127.0.0.1:1/x")
    until(lambda: conductor.log.endswith("\n"), what="a word on what it waits for")
    first = objects(conductor.log)[0]
    assert first["level"] == "warning"
    assert first["message"].startswith("waiting for database postgresql")
    conductor.send(signal.SIGTERM)
    conductor.ends_with(0)


def test_a_server(embedded: Place):
    argv = [sys.executable, "-m", "poster", "serve", "--port=0", "--log-level=info", "--log-format=json"]
    process = subprocess.Popen(
        argv, cwd=ROOT, env=embedded.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/nowhere", timeout=30).status_code == 404
        assert httpx.get(f"{url}/metrics", timeout=30).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    found = objects(log)
    [refused] = [one for one in found if "refused" in one["message"]]
    assert refused["message"].startswith("GET /nowhere refused: there is nothing at /nowhere")
    assert (refused["level"], refused["logger"]) == ("info", "poster.web.gate.gate")
