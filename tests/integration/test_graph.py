"""`poster graph` as a process of its own, or in this one where only its words matter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from jobboard.database import Database, open_database
from jobboard.models import Task
from jobboard.settings import read_settings
from jobboard.states import State
from jobboard.task_view import to_json
from poster import Client, PostRequest
from poster.errors import NoSuchFlowOrJob
from tests.integration.commands import NOWHERE, ROOT, Poster, PosterHere, put

FLOWS = str(ROOT / "tests" / "flows_for_graphs.py")
SVG = "{http://www.w3.org/2000/svg}"
FAN = [("begin", "task"), ("frame_0", "task"), ("frame_1", "task"), ("join", "task"), ("thrice", "retry")]
FAN_EDGES = [
    *(["begin", "frame_0"], ["begin", "frame_1"], ["frame_0", "join"], ["frame_1", "join"]),
    *(["join", "thrice"], ["thrice", "publish"]),
]


@pytest.fixture
def process(sqlite_url: str) -> Poster:
    return with_flows(Poster(sqlite_url))


@pytest.fixture
def poster(sqlite_url: str) -> Poster:
    return with_flows(PosterHere(sqlite_url))


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    database = open_database(sqlite_url)
    yield database
    database.close()


def with_flows(poster: Poster) -> Poster:
    poster.environment["COUNTERMAND_FLOWS"] = FLOWS
    return poster


def post(poster: Poster, flow: str, **arguments: Any) -> str:
    with Client.open(read_settings({}, database_url=poster.url, flows=FLOWS)) as client:
        return client.post(PostRequest(flow, arguments))


def names(document: dict[str, Any]) -> list[str]:
    return [node["name"] for node in document["nodes"]]


def states(document: dict[str, Any]) -> dict[str, str | None]:
    return {node["name"]: node.get("state") for node in document["nodes"]}


def of_fan(*found: str) -> list[dict[str, Any]]:
    """The record's tasks, in these states."""
    tasks = ["begin", "frame_0", "frame_1", "join", "publish"]
    return to_json(Task(name, state, 0.5) for name, state in zip(tasks, found, strict=True))


class TestFlows:
    def test_text(self, process):
        ran = process("graph", "fan")
        assert (ran.code, ran.err) == (0, "")
        assert ran.lines == [
            "fan",
            "",
            "  * begin",
            "  |",
            "  +-* frame_0",
            "  +-* frame_1",
            "  |",
            "  * join",
            "  |",
            "  * thrice     retry",
            "  |",
            "  * publish    irreversible",
        ]

    def test_json(self, process):
        ran = process("graph", "fan", "--json")
        assert (ran.code, ran.err, list(ran.json)) == (0, "", ["name", "nodes", "edges"])
        nodes = [(node["name"], node["kind"]) for node in ran.json["nodes"]]
        assert nodes == [*FAN, ("publish", "task")]
        assert ran.json["nodes"][-1] == {"name": "publish", "kind": "task", "irreversible": True}
        assert ran.json["edges"] == FAN_EDGES

    def test_they_need_no_database(self, poster):
        assert poster("graph", "fan", "--database-url", NOWHERE).code == 0

    def test_one_that_only_a_job_can_make(self, poster):
        ran = poster("graph", "each")
        assert (ran.code, ran.out) == (2, "")
        assert "flow each: its graph is not known here: it depends on the argument names" in ran.err
        assert "graph a job of it instead" in ran.err

    def test_arguments_that_are_only_handed_on(self, poster):
        assert names(poster("graph", "hidden", "--json").json) == ["use"]
        assert len(names(poster("graph", "process_files", "--json").json)) == 5

    def test_on_a_terminal(self, poster):
        code, written = poster.on_terminal("graph", "fan", NO_COLOR="1")
        assert code == 0
        for said in ("● begin", "│", "├─● frame_0", "├─● frame_1", "● thrice"):
            assert said in written


class TestJobs:
    def test_one_that_waits(self, poster):
        job = post(poster, "fan", frames=3)
        document = poster("graph", job[:20], "--json").json
        assert document["name"] == "fan"
        assert states(document) == {
            **dict.fromkeys(["begin", "frame_0", "frame_1", "frame_2", "join", "publish"], "pending"),
            "thrice": None,
        }

    def test_one_that_runs(self, poster, database):
        job = post(poster, "fan")
        put(database, job, State.RUNNING, tasks=of_fan("success", "running", "failure", "pending", "pending"))
        ran = poster("graph", job)
        assert (ran.code, ran.err) == (0, "")
        assert ran.lines[0].split() == [job, "fan", "running"]
        assert [line.split()[-3:] for line in ran.lines if "frame" in line] == [
            ["running", "50", "%"],
            ["failure", "50", "%"],
        ]
        assert "▸ running" in poster.on_terminal("graph", job)[1]

    def test_one_that_a_conductor_ran(self, process):
        job = post(process, "fan")
        ran = subprocess.run(
            [sys.executable, "-m", "conductor", "run", "--burst"],
            env=process.environment,
            capture_output=True,
            timeout=100,
        )
        assert ran.returncode == 0, ran.stderr
        document = process("graph", job, "--json").json
        done = dict.fromkeys(["begin", "frame_0", "frame_1", "join", "publish"], "success")
        assert states(document) == {**done, "thrice": None}
        assert document["edges"] == FAN_EDGES

    def test_its_own_arguments_make_it(self, poster):
        job = post(poster, "each", names=["left", "right"])
        document = poster("graph", job, "--json").json
        assert (names(document), document["edges"]) == (["left", "right"], [["left", "right"]])

    def test_no_secret_is_looked_up_or_told(self, poster):
        job = post(poster, "hidden", token="env:NOT_HERE")
        for form in ([], ["--json"], ["--svg", "-"]):
            ran = poster("graph", job, *form)
            assert (ran.code, ran.err) == (0, "")
            assert "use" in ran.out
            assert "NOT_HERE" not in ran.out

    @pytest.mark.parametrize(("flow", "said"), [("gone", "no such flow: gone"), ("each", "other tasks now")])
    def test_one_whose_flow_is_another_is_drawn_from_its_record(self, poster, database, flow, said):
        job = post(poster, "fan")
        changed = {"flow": flow, "arguments": {"names": ["left"]}}
        put(database, job, State.FAILED, tasks=of_fan(*["reverted"] * 4, "pending"), **changed)
        ran = poster("graph", job, "--json")
        assert ran.code == 0
        assert f"job {job}: drawn from its record, its tasks in a line: " in ran.err
        assert said in ran.err
        assert ran.json["edges"][0] == ["begin", "frame_0"]
        assert len(ran.json["edges"]) == 4
        assert ran.json["nodes"][3] == {"name": "join", "kind": "task", "state": "reverted", "irreversible": False}

    def test_one_of_which_nothing_is_known(self, poster, database):
        job = post(poster, "fan")
        put(database, job, State.PENDING, flow="gone")
        ran = poster("graph", job)
        assert ran.code == 0
        assert "no such flow: gone" in ran.err
        assert "no tasks to draw" in ran.err
        assert poster("graph", job, "--json").json["nodes"] == []
        ET.fromstring(poster("graph", job, "--svg", "-").out)

    def test_where_the_flows_cannot_be_loaded(self, poster, database):
        job = post(poster, "fan")
        put(database, job, State.RUNNING, tasks=of_fan("running", *["pending"] * 4))
        ran = poster("graph", job, "--flows", "no_such_module")
        assert ran.code == 0
        assert "no_such_module" in ran.err
        assert "frame_0" in ran.out
        ran = poster("graph", "zzz", "--flows", "no_such_module")
        assert (ran.code, ran.out) == (2, "")

    def test_a_flow_comes_before_a_job(self, poster, database):
        assert "state" not in poster("graph", "fan", "--json").json["nodes"][0]


class TestSvg:
    def test_a_file(self, process, database, tmp_path):
        job = post(process, "fan")
        put(database, job, State.REVERTING, tasks=of_fan("success", "reverted", "reverting", "pending", "pending"))
        file = tmp_path / "job.svg"
        ran = process("graph", job, "--svg", str(file))
        assert (ran.code, ran.out, ran.err) == (0, "", "")
        root = ET.parse(file).getroot()
        assert root.findtext(f"{SVG}title") == f"Job {job}, reverting: flow fan"
        assert [title.text for title in root.iterfind(f"{SVG}g//{SVG}title")] == [
            *("begin: success", "frame_0: reverted", "frame_1: reverting", "join: pending"),
            *("thrice: retry controller", "publish: pending, irreversible"),
        ]

    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_standard_output(self, process, encoding):
        ran = process("graph", "fan", "--svg", "-", PYTHONIOENCODING=encoding)
        assert (ran.code, ran.err) == (0, "")
        assert ET.fromstring(ran.out).tag == f"{SVG}svg"

    def test_a_file_that_cannot_be_written(self, poster, tmp_path):
        ran = poster("graph", "fan", "--svg", str(tmp_path / "no" / "such.svg"))
        assert (ran.code, ran.out) == (2, "")
        assert "no/such.svg" in ran.err


class TestWrongWords:
    @pytest.mark.parametrize(
        "words", [[], ["fan", "each"], ["fan", "--svg"], ["fan", "--svg", "-", "--json"], ["fan", "--svg", "."]]
    )
    def test_usage(self, poster, words):
        ran = poster("graph", *words)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err

    def test_neither_a_flow_nor_a_job(self, poster):
        ran = poster("graph", "fann")
        assert (ran.code, ran.out) == (3, "")
        assert "no such flow: fann (did you mean fan?)" in ran.err
        assert "no such job: fann" in ran.err

    def test_a_prefix_of_several(self, poster):
        first, second = post(poster, "fan"), post(poster, "fan")
        shared = next(at for at in range(26) if first[at] != second[at])
        assert poster("graph", first[:shared]).code == 2

    def test_no_server(self, poster):
        assert poster("graph", "fann", "--database-url", NOWHERE).code == 4

    def test_of_the_client(self, poster):
        settings = read_settings({}, database_url=poster.url, flows=FLOWS)
        with Client.open(settings) as client, pytest.raises(NoSuchFlowOrJob, match="did you mean fan"):
            client.graph("fann")


def test_completion(process):
    job = post(process, "fan")
    for line, expected in (("poster graph fa", "fan"), (f"poster graph {job[:20]}", job)):
        ran = process(_POSTER_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD="2")
        assert [answer.partition(",")[2] for answer in ran.lines] == [expected]
    process.environment["COUNTERMAND_DATABASE_URL"] = NOWHERE
    ran = process(_POSTER_COMPLETE="bash_complete", COMP_WORDS="poster graph fa", COMP_CWORD="2")
    assert (ran.lines, ran.err) == (["plain,fan"], "")
