"""Each kind of work is cancelled under a real conductor, and `docs/cancelling.md` is right about it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from taskflow import engines
from taskflow.patterns import linear_flow

from benchmarks import cancel_latency
from benchmarks.cancel_flows import KINDS
from benchmarks.cancel_table import BEGIN, END
from flows import CancelableTask, CancelCause, CancelKind, CancelToken, JobCancelled, bind_flow
from flows.discovery import load_flows
from flows.registry import REGISTRY
from jobboard.database import open_database
from jobboard.states import State
from tests.documents.given import read
from tests.integration.house import House, settings_for
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cancelling.md").read_text(encoding="utf-8")


def test_each_kind_of_work_ends_as_cancelled_with_nothing_left(tmp_path, capsys):
    page = tmp_path / "page.md"
    code = cancel_latency.main(["--repeat=1", "--database=sqlite", f"--markdown={page}"])
    assert code == 0, capsys.readouterr().err
    for kind in KINDS:
        for engine in kind.engines:
            assert f"| {kind.name} | {kind.shown} | {engine} | {kind.jobs} of {kind.jobs} |" in page.read_text()


def test_the_table_of_the_page_lists_each_kind_of_work():
    assert (PAGE.count(BEGIN), PAGE.count(END)) == (1, 1)
    table = PAGE.partition(BEGIN)[2].partition(END)[0]
    for database in ("On SQLite", "On PostgreSQL"):
        rows = table.partition(database)[2].partition("###")[0]
        for kind in KINDS:
            for engine in kind.engines:
                row = rf"\| {kind.name} \| {re.escape(kind.shown)} \| {engine} \| (\d+) of \1 \|"
                assert re.search(row, rows), f"{kind.name}, {engine}: `python -m benchmarks.cancel_latency --help`"


def _program(having: str) -> str:
    """The page's one program that has these words."""
    programs = [block.text for block in read("docs/cancelling.md") if block.language == "python"]
    (text,) = (program for program in programs if having in program)
    return text


def _ends_cancelled(task: CancelableTask, store: dict[str, object], begun: Callable[[], object]) -> None:
    """Run in a plain engine, and cancelled once it has begun."""
    token = CancelToken()
    plain = linear_flow.Flow("plain").add(task)
    bind_flow(plain, token)
    with ThreadPoolExecutor(1) as threads:
        ran = threads.submit(engines.run, plain, store=store)
        begun()
        token.set(CancelCause(CancelKind.USER, by="ann", reason=""))
        with pytest.raises(JobCancelled):
            ran.result(60)


def test_the_loop_of_the_page_stops() -> None:
    names: dict = {}
    exec(_program("class Shout"), names)
    looked = threading.Event()

    class Endless(list):
        def __iter__(self):
            while True:
                yield "word"
                looked.set()

    _ends_cancelled(names["Shout"](), {"words": Endless()}, lambda: looked.wait(60))


def test_the_call_of_the_page_ends_when_its_socket_is_shut() -> None:
    names: dict = {}
    exec(_program("class Listen"), names)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        task = names["Listen"]()
        peers = []
        _ends_cancelled(task, {"host": host, "port": port}, lambda: peers.append(silent.accept()[0]))
        for end in (task.connection, *peers):
            end.close()


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path):
    file = tmp_path / "draw_example.py"
    file.write_text(_program("@flow("))
    load_flows([str(file)])
    with closing(open_database(sqlite_url)) as database:
        yield House(database, settings_for(sqlite_url), registry=REGISTRY)


def test_the_flow_of_the_page_owes_nothing(house, tmp_path):
    out = tmp_path / "out"
    foreign = out / "frames-of-another" / "00000.txt"
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    job = house.post("draw", arguments={"out": str(out), "frames": 1000})
    made = out / f"frames-{job}"
    with house.running():
        until((made / "00001.txt").exists, 60, "the frames")
        house.records.cancel(job, by="bob")
        house.comes_to(job, State.CANCELLED)
        assert [*out.rglob("*.txt")] == [foreign]
        assert not made.exists()
        short = house.post("draw", arguments={"out": str(out), "frames": 3})
        house.comes_to(short, State.COMPLETED)
    assert len([*(out / f"frames-{short}").iterdir()]) == 3
