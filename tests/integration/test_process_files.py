"""`process_files` in TaskFlow's own engine: what it makes, and that nothing of it is left after a cancel,
a failure or a crash, wherever they come.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from taskflow import engines
from taskflow import states as st
from taskflow.exceptions import WrappedFailure
from taskflow.patterns import linear_flow
from taskflow.persistence import backends
from taskflow.persistence.models import FlowDetail, LogBook
from taskflow.types.failure import Failure

from flows import CancelableTask, CancelToken, RunContext
from flows.cancel_token import CancelCause, CancelKind
from flows.cancelable import bind
from flows.errors import JobCancelled
from flows.library.files.errors import Busy, CannotRestore, Changed, Damaged, Unusable
from flows.library.process_files import process_files  # noqa: F401 - registers the flow
from flows.registry import REGISTRY
from flows.run_context import TaskReport
from flows.structure import atoms_of

SPEC = REGISTRY.get("process_files")
TASKS = ("scan", "checksum", "pack", "verify", "publish")
ROOT = Path(__file__).parents[2]
USER = CancelCause(CancelKind.USER, by="a test")

Snapshot = dict[bytes, Any]


# Running the flow


class Seal(CancelableTask):
    """Stands where a conductor's own last task does: the last moment for a cancel."""

    def execute(self) -> None:
        self.checkpoint()


def engine_for(arguments: dict[str, Any], context: RunContext, **options: Any) -> Any:
    built = SPEC.build(SPEC.as_json(arguments))
    flow = linear_flow.Flow("job").add(built.flow, Seal()) if context.sealed else built.flow
    engine = engines.load(flow, **options)
    engine.compile()
    for atom in atoms_of(engine.compilation.execution_graph):
        bind(atom, context)
    engine.storage.inject(built.values, transient=True)
    return engine


def run(context: RunContext | None = None, **arguments: Any) -> dict[str, Any]:
    """Run the flow to its end, and return what it provides."""
    engine = engine_for(arguments, context or RunContext(job="job-1", report=lambda _: None))
    engine.run()
    provided: dict[str, Any] = engine.storage.fetch_all()
    return {name: value for name, value in provided.items() if name not in arguments}


class Reports:
    """Does something at one of the reports that the tasks make: the only clock of these tests."""

    def __init__(self, at: tuple[str, int], act: Callable[[], object]) -> None:
        self.counts: Counter[str] = Counter()
        self.acted = False
        self._at = at
        self._act = act

    def __call__(self, report: TaskReport) -> None:
        if (report.task, self.counts[report.task]) == self._at:
            self.acted = True
            self._act()
        self.counts[report.task] += 1


def cancelled_at(task: str, number: int, *, sealed: bool = False) -> tuple[RunContext, Reports]:
    token = CancelToken()
    reports = Reports((task, number), lambda: token.set(USER))
    return RunContext(token=token, report=reports, job="job-1", sealed=sealed), reports


# What is in a folder


def snapshot(folder: Path) -> Snapshot:
    """Everything below: names, kinds, modes, contents, times of files in whole seconds."""
    found: Snapshot = {}
    for here, folders, files in os.walk(os.fsencode(folder)):
        for name in [*folders, *files]:
            path = Path(os.fsdecode(os.path.join(here, name)))  # noqa: PTH118 - bytes
            found[os.fsencode(path.relative_to(folder))] = _looked_at(path)
    return found


def _looked_at(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    if path.is_symlink():
        return "link", os.fsencode(path.readlink())
    if path.is_dir():
        return "folder", status.st_mode
    if path.is_file():
        return "file", status.st_mode, int(status.st_mtime), hashlib.sha256(path.read_bytes()).hexdigest()
    return ("special",)


def unpacked(archive: Path, into: Path) -> Snapshot:
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="fully_trusted")
    return snapshot(into)


def lines_of(manifest: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(manifest).read_text(encoding="ascii").splitlines()]


# Places


@dataclass(frozen=True)
class Places:
    source: Path
    out: Path

    @property
    def target(self) -> Path:
        return self.out / "made.tar.gz"

    @property
    def manifest(self) -> Path:
        return self.out / "made.tar.gz.manifest.jsonl"

    @property
    def work(self) -> Path:
        return self.out / ".made.tar.gz.job-1.work"

    @property
    def arguments(self) -> dict[str, str]:
        return {"source": str(self.source), "target": str(self.target)}


def make_places(folder: Path) -> Places:
    """A small source with one of each, and a folder for the archive with a stranger in it."""
    places = Places(folder / "source", folder / "out")
    (places.source / "inner" / "empty").mkdir(parents=True)
    places.out.mkdir()
    (places.out / "stranger.txt").write_bytes(b"not ours")
    (places.source / "a.txt").write_bytes(b"a\n")
    (places.source / "inner" / "b.bin").write_bytes(bytes(range(256)) * 2_500)  # three chunks
    (places.source / "inner" / "nothing").write_bytes(b"")
    (places.source / "link").symlink_to("inner/b.bin")
    return places


def publish_before(places: Places, times: int) -> Snapshot:
    """What `times` jobs before have left in the folder of the target."""
    for number in range(times):
        (places.source / "a.txt").write_bytes(b"%d\n" % number)
        run(RunContext(job=f"before-{number}"), **places.arguments)
    return snapshot(places.out)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return make_places(tmp_path)


# Success


def test_an_archive_holds_what_the_source_holds(places: Places, tmp_path: Path) -> None:
    found = run(**places.arguments)
    assert unpacked(places.target, tmp_path / "unpacked") == snapshot(places.source)
    assert set(snapshot(places.out)) == {b"stranger.txt", b"made.tar.gz", b"made.tar.gz.manifest.jsonl"}
    assert found["archive"] == str(places.target)
    assert found["manifest"] == str(places.manifest)
    assert found["sha256"] == hashlib.sha256(places.target.read_bytes()).hexdigest()
    counts = [found[name] for name in ("files", "folders", "links", "skipped", "source_bytes")]
    assert counts == [3, 2, 1, 0, 640_002]


def test_the_manifest_lists_everything_in_the_order_of_the_archive(places: Places) -> None:
    lines = lines_of(run(**places.arguments)["manifest"])
    with tarfile.open(places.target) as tar:
        assert [line["path"] for line in lines] == tar.getnames()
    assert [line["path"] for line in lines] == [
        "a.txt",
        "inner",
        "inner/b.bin",
        "inner/empty",
        "inner/nothing",
        "link",
    ]
    assert lines[5] == {"path": "link", "kind": "link", "link": "inner/b.bin"}
    for line in lines:
        if line["kind"] == "file":
            content = (places.source / line["path"]).read_bytes()
            assert (line["size"], line["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_same_source_gives_the_same_archive(places: Places) -> None:
    assert run(**places.arguments)["sha256"] == run(**places.arguments)["sha256"]


@pytest.mark.parametrize("level", [0, 1, 9])
def test_every_level_unpacks(places: Places, tmp_path: Path, level: int) -> None:
    run(**places.arguments, level=level)
    assert unpacked(places.target, tmp_path / "unpacked") == snapshot(places.source)
    assert (places.target.stat().st_size > 640_000) is (level == 0)


@pytest.mark.parametrize(
    ("pattern", "stored"),
    [
        ("*.txt", {"a.txt"}),
        ("inner/*", {"inner/b.bin", "inner/empty", "inner/nothing"}),
        ("b.*", {"inner/b.bin"}),
        ("empty", {"inner/empty"}),
        ("no such", set()),
    ],
)
def test_a_pattern_chooses(places: Places, pattern: str, stored: set[str]) -> None:
    run(**places.arguments, pattern=pattern)
    with tarfile.open(places.target) as tar:
        assert set(tar.getnames()) == stored


def test_an_empty_source_gives_an_empty_archive(places: Places, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run(source=str(tmp_path / "empty"), target=str(places.target))["files"] == 0
    assert unpacked(places.target, tmp_path / "unpacked") == {}


def test_links_are_stored_and_never_followed(places: Places, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    (places.source / "out").symlink_to(tmp_path / "secret")
    (places.source / "dangling").symlink_to("no such file")
    (places.source / "round").symlink_to(".")
    (places.source / os.fsdecode(b"odd\xff")).symlink_to(os.fsdecode(b"to\n\xfe"))
    assert run(**places.arguments)["links"] == 5
    assert unpacked(places.target, tmp_path / "unpacked") == snapshot(places.source)


def test_the_source_itself_may_be_a_link(places: Places, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(places.source)
    run(source=str(tmp_path / "alias"), target=str(places.target))
    assert unpacked(places.target, tmp_path / "unpacked") == snapshot(places.source)


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline",
        b"\xff\xfe no UTF-8",
        "ünïcödé 🗜".encode(),
        b" lead",
        b"-x",
        b"back\\slash",
        b"*?[",
        b"n" * 255,
    ],
)
def test_odd_names(places: Places, tmp_path: Path, name: bytes) -> None:
    folder = places.source / os.fsdecode(name)
    folder.mkdir()
    (folder / os.fsdecode(name)).write_bytes(name)
    run(**places.arguments)
    assert unpacked(places.target, tmp_path / "unpacked") == snapshot(places.source)


def test_a_path_longer_than_the_system_takes(places: Places) -> None:
    with _inside(places.source):
        for _ in range(30):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        Path("deep").write_bytes(b"down here")
    assert run(**places.arguments)["folders"] == 32
    with tarfile.open(places.target) as tar:
        member = tar.getmember("/".join([*["d" * 200] * 30, "deep"]))
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == b"down here"


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def test_modes_and_times_are_kept(places: Places, tmp_path: Path) -> None:
    (places.source / "run").write_bytes(b"#!")
    (places.source / "run").chmod(0o751)
    os.utime(places.source / "run", (1, 1_234_567_890.5))
    os.utime(places.source / "a.txt", (-1, -86_400))
    (places.source / "inner").chmod(0o2750)
    run(**places.arguments)
    assert unpacked(places.target, tmp_path / "unpacked") == snapshot(places.source)


def test_what_is_neither_file_nor_link_nor_folder_is_skipped(places: Places, tmp_path: Path) -> None:
    before = snapshot(places.source)
    os.mkfifo(places.source / "fifo")
    with socket.socket(socket.AF_UNIX) as server, _inside(places.source):
        server.bind("socket")
    assert run(**places.arguments)["skipped"] == 2
    assert unpacked(places.target, tmp_path / "unpacked") == before


def test_a_large_sparse_file(places: Places) -> None:
    with (places.source / "sparse").open("wb") as file:
        file.truncate(64 * 2**20)
    reports = Reports(("pack", -1), lambda: None)
    assert run(RunContext(report=reports), **places.arguments)["source_bytes"] == 64 * 2**20 + 640_002
    assert reports.counts["pack"] > 256  # a cancel never waits for a whole file
    assert reports.counts["verify"] > 256
    assert places.target.stat().st_size < 200_000


def test_memory_does_not_grow_with_the_number_of_files(child: Child, tmp_path: Path) -> None:
    few, many = child.call(_peak_kb, str(tmp_path), [1_000, 20_000])
    shutil.rmtree(tmp_path)
    assert many - few < 8_000


def _peak_kb(folder: str, counts: list[int]) -> list[int]:
    peaks = []
    for count in counts:
        places = make_places(Path(folder) / str(count))
        for number in range(count):
            (places.source / f"{number:06} with a name of some length").write_bytes(b"x")
        peaks.append(in_fork(lambda places=places: run(**places.arguments)))  # type: ignore[misc]
    return [usage.ru_maxrss for _, usage in peaks]


# Replacing what was there


def test_what_is_replaced_is_kept_as_previous(places: Places) -> None:
    before = publish_before(places, 1)
    (places.source / "a.txt").write_bytes(b"changed")
    run(**places.arguments)
    after = snapshot(places.out)
    assert len(after) == 5
    for name in (b"made.tar.gz", b"made.tar.gz.manifest.jsonl"):
        assert after[name + b".previous"] == before[name]
        assert after[name] != before[name]


def test_only_one_previous_is_kept(places: Places) -> None:
    before = publish_before(places, 2)
    (places.source / "a.txt").write_bytes(b"changed")
    run(**places.arguments)
    after = snapshot(places.out)
    assert len(after) == 5
    assert after[b"made.tar.gz.previous"] == before[b"made.tar.gz"]


def test_a_previous_whose_archive_is_gone_stays(places: Places) -> None:
    publish_before(places, 2)
    places.target.unlink()
    before = snapshot(places.out)
    run(**places.arguments)
    assert snapshot(places.out)[b"made.tar.gz.previous"] == before[b"made.tar.gz.previous"]


# Cancel


REPORTS = {"scan": 2, "checksum": 4, "pack": 4, "verify": 4, "publish": 3}  # that the flow makes here


def test_reports_come_with_each_chunk(places: Places) -> None:
    reports = Reports(("none", 0), lambda: None)
    run(RunContext(report=reports), **places.arguments)
    assert reports.counts == REPORTS


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_a_cancel_at_any_report_leaves_nothing(tmp_path: Path, earlier: int, sealed: bool) -> None:
    places = make_places(tmp_path)
    before = publish_before(places, earlier)
    (places.source / "a.txt").write_bytes(b"new")
    source = snapshot(places.source)
    moments = [(task, number) for task in TASKS for number in range(REPORTS[task])]
    if earlier == 2:
        moments.pop()  # as the next test says
    for moment in moments:
        context, reports = cancelled_at(*moment, sealed=sealed)
        engine = engine_for(places.arguments, context)
        with pytest.raises((JobCancelled, WrappedFailure)):
            engine.run()
        assert reports.acted
        assert engine.storage.get_flow_state() == st.REVERTED
        assert snapshot(places.out) == before, moment
    assert snapshot(places.source) == source


@pytest.mark.parametrize("sealed", [False, True])
def test_a_cancel_after_publishing_puts_back_all_but_the_older_previous(places: Places, sealed: bool) -> None:
    before = publish_before(places, 2)
    context, _ = cancelled_at("publish", 2, sealed=sealed)
    with pytest.raises(JobCancelled):
        engine_for(places.arguments, context).run()
    del before[b"made.tar.gz.previous"], before[b"made.tar.gz.manifest.jsonl.previous"]
    assert snapshot(places.out) == before


@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_a_cancelled_job_can_be_run_again(tmp_path: Path, earlier: int) -> None:
    places = make_places(tmp_path)
    publish_before(places, earlier)
    for task in TASKS:
        context, _ = cancelled_at(task, 1)
        with pytest.raises(JobCancelled):
            engine_for(places.arguments, context).run()
    run(**places.arguments)
    assert unpacked(places.target, tmp_path / "unpacked") == snapshot(places.source)


def test_a_revert_leaves_alone_what_someone_else_has_published_since(places: Places) -> None:
    publish_before(places, 1)
    token = CancelToken()

    def another() -> None:
        # It comes when all is published, before the job is completed.
        assert not places.work.exists()
        places.target.unlink()
        places.target.write_bytes(b"someone else's")
        token.set(USER)

    with pytest.raises((JobCancelled, WrappedFailure)):
        _engine_with_last(places, RunContext(token=token, job="job-1", sealed=True), another).run()
    assert places.target.read_bytes() == b"someone else's"


def test_a_revert_says_so_if_it_misses_what_it_has_to_put_back(places: Places) -> None:
    publish_before(places, 1)
    token = CancelToken()

    def lose() -> None:
        (places.out / "made.tar.gz.previous").unlink()
        token.set(USER)

    with pytest.raises(CannotRestore, match="previous is gone"):
        _engine_with_last(places, RunContext(token=token, job="job-1", sealed=True), lose).run()
    assert places.target.exists()


def _engine_with_last(places: Places, context: RunContext, act: Callable[[], object]) -> Any:
    """An engine where something happens after `publish`, before the seal."""

    class Last(CancelableTask):
        def execute(self) -> None:
            act()

    built = SPEC.build(SPEC.as_json(places.arguments))
    engine = engines.load(linear_flow.Flow("job").add(built.flow, Last(), Seal()))
    engine.compile()
    for atom in atoms_of(engine.compilation.execution_graph):
        bind(atom, context)
    engine.storage.inject(built.values, transient=True)
    return engine


# Failure


def fails(places: Places, kind: type[BaseException], context: RunContext | None = None, **more: Any) -> str:
    """Run the flow, which has to fail with `kind` and leave the folder of the target as it was."""
    before = snapshot(places.out)
    with pytest.raises(kind) as raised:
        run(context, **(places.arguments | more))
    assert snapshot(places.out) == before
    return str(raised.value)


def fails_when(places: Places, kind: type[Exception], at: tuple[str, int], act: Callable[[], object]) -> str:
    """The same, where the world changes at one of the reports."""
    reports = Reports(at, act)
    said = fails(places, kind, RunContext(report=reports, job="job-1"))
    assert reports.acted
    return said


def test_a_source_that_is_not_there(places: Places) -> None:
    assert "no such folder" in fails(places, Unusable, source=str(places.source / "none"))
    assert "no such folder" in fails(places, Unusable, source=str(places.source / "a.txt"))


def test_a_target_that_cannot_be(places: Places) -> None:
    assert "is a folder" in fails(places, Unusable, target=str(places.out))
    assert "is a folder" in fails(places, Unusable, target="/")
    assert "there is no folder" in fails(places, Unusable, target=str(places.out / "none" / "a"))
    assert "there is no folder" in fails(places, Unusable, target=str(places.out / "stranger.txt" / "a"))
    assert "too long" in fails(places, OSError, target=str(places.out / ("n" * 240)))


@pytest.mark.parametrize("name", ["made.tar.gz.manifest.jsonl", "made.tar.gz.previous"])
def test_a_folder_where_another_file_has_to_go(places: Places, name: str) -> None:
    (places.out / name).mkdir()
    assert name in fails(places, Unusable)


def test_a_target_inside_the_source(places: Places, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(places.source / "inner")
    before = snapshot(places.source)
    for folder in (places.source, places.source / "inner", tmp_path / "alias", places.out / ".." / "source"):
        assert "inside the source" in fails(places, Unusable, target=str(folder / "a.tar.gz"))
    assert "inside" in fails(
        places, Unusable, source=str(tmp_path / "alias"), target=str(places.source / "inner" / "a.tar.gz")
    )
    assert snapshot(places.source) == before


def test_another_job_is_writing_to_the_target(places: Places) -> None:
    def start_another() -> None:
        assert "another job" in fails(places, Busy, RunContext(job="job-2"))

    run(RunContext(job="job-1", report=Reports(("pack", 0), start_another)), **places.arguments)
    run(RunContext(job="job-2"), **places.arguments)
    assert not list(places.out.glob(".*"))


def test_jobs_for_other_targets_are_not_in_the_way(places: Places) -> None:
    def start_others() -> None:
        for name in ("made.tar", "made.tar.gz.gz", "other"):
            run(RunContext(job="job-2"), source=str(places.source), target=str(places.out / name))

    run(RunContext(job="job-1", report=Reports(("pack", 0), start_others)), **places.arguments)
    assert len(list(places.out.iterdir())) == 9


def test_a_file_that_vanishes(places: Places) -> None:
    for at in (("scan", 1), ("checksum", 0), ("checksum", 3)):
        path = places.source / "inner" / "b.bin"
        said = fails_when(places, Changed, at, path.unlink)
        assert "b.bin" in said
        assert "changed or vanished" in said
        path.write_bytes(bytes(640_000))


def test_a_folder_or_link_that_vanishes(places: Places) -> None:
    assert "empty" in fails_when(places, Changed, ("scan", 1), (places.source / "inner" / "empty").rmdir)
    assert "link" in fails_when(places, Changed, ("checksum", 3), (places.source / "link").unlink)


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("at", [("checksum", 0), ("checksum", 1), ("checksum", 3), ("pack", 1), ("pack", 3)])
@pytest.mark.parametrize(
    "change",
    [
        appended,
        lambda path: os.truncate(path, 300_000),
        lambda path: path.write_bytes(bytes(640_000)),
        lambda path: os.utime(path, (1, 1)),
    ],
    ids=["grows", "shrinks", "rewritten", "touched"],
)
def test_a_file_that_changes_while_it_is_read(
    places: Places, at: tuple[str, int], change: Callable[[Path], None]
) -> None:
    assert "b.bin" in fails_when(places, Changed, at, lambda: change(places.source / "inner" / "b.bin"))


def test_a_change_that_hides_its_time_is_found_by_verify(places: Places) -> None:
    def rewrite() -> None:
        path = places.source / "inner" / "b.bin"
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert "b.bin" in fails_when(places, Damaged, ("checksum", 3), rewrite)


def test_a_pipe_in_the_place_of_a_file_is_never_opened(child: Child, places: Places) -> None:
    before = snapshot(places.out)
    kind, said, opened = child.call(_swapped_for_a_pipe, str(places.source.parent))
    assert kind == "Changed"
    assert "b.bin" in said
    assert "a.txt" in opened
    assert "b.bin" not in opened
    assert snapshot(places.out) == before


def _swapped_for_a_pipe(folder: str) -> tuple[str, str, list[str]]:
    places = Places(Path(folder) / "source", Path(folder) / "out")
    opened: list[str] = []

    def swap() -> None:
        (places.source / "inner" / "b.bin").unlink()
        os.mkfifo(places.source / "inner" / "b.bin")
        sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)

    try:
        run(RunContext(job="job-1", report=Reports(("scan", 1), swap)), **places.arguments)
    except Exception as error:
        return type(error).__name__, str(error), opened
    return "", "", opened


@pytest.mark.skipif(not Path("/proc/sys/kernel/random").exists(), reason="there is no such folder on this system")
def test_a_file_that_holds_more_than_it_says(places: Places) -> None:
    assert "changed" in fails(places, Changed, source="/proc/sys/kernel/random")


def test_a_link_in_the_place_of_a_file_or_folder_is_never_followed(places: Places, tmp_path: Path) -> None:
    def swap_file() -> None:
        (places.source / "inner" / "b.bin").rename(tmp_path / "b.bin")
        (places.source / "inner" / "b.bin").symlink_to(tmp_path / "b.bin")

    def swap_folder() -> None:
        (places.source / "inner").rename(tmp_path / "inner")
        (places.source / "inner").symlink_to(tmp_path / "inner")

    assert "b.bin" in fails_when(places, Changed, ("scan", 1), swap_file)
    (places.source / "inner" / "b.bin").unlink()
    (tmp_path / "b.bin").rename(places.source / "inner" / "b.bin")
    assert "b.bin" in fails_when(places, Changed, ("scan", 1), swap_folder)


def test_a_link_that_is_turned(places: Places) -> None:
    def turn() -> None:
        (places.source / "link").unlink()
        (places.source / "link").symlink_to("elsewhere")

    assert "link" in fails_when(places, Changed, ("checksum", 3), turn)


def test_an_archive_that_rots_before_it_is_verified(places: Places) -> None:
    (places.source / "a.txt").write_bytes(os.urandom(2_000_000))

    def rot() -> None:
        with (places.work / "archive.tar.gz").open("r+b") as file:
            file.seek(1_500_000)
            file.write(bytes(10))

    fails_when(places, Damaged, ("verify", 0), rot)


def test_a_target_that_someone_else_writes_meanwhile(places: Places) -> None:
    for earlier in (False, True):
        with pytest.raises(Changed, match="someone else"):
            run(
                RunContext(
                    job="job-1", report=Reports(("publish", 0), lambda: places.target.write_bytes(b"mine"))
                ),
                **places.arguments,
            )
        assert set(snapshot(places.out)) == {b"stranger.txt", b"made.tar.gz"}
        assert places.target.read_bytes() == b"mine"
        if not earlier:
            places.target.write_bytes(b"before")


@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_a_failure_between_archive_and_manifest_puts_both_back(tmp_path: Path, earlier: int) -> None:
    places = make_places(tmp_path)
    publish_before(places, earlier)
    before = snapshot(places.out)
    reports = Reports(("publish", 1), (places.work / "manifest.jsonl").unlink)
    with pytest.raises(FileNotFoundError):
        run(RunContext(report=reports, job="job-1"), **places.arguments)
    assert snapshot(places.out) == before


def test_an_unreadable_file_or_folder_is_named(places: Places) -> None:
    before = snapshot(places.out)
    with Child(_bound_by_permissions()) as child:
        for path in (places.source / "inner" / "b.bin", places.source / "inner"):
            mode = path.stat().st_mode
            path.chmod(0)
            kind, said = child.call(_error_of, places.arguments)
            path.chmod(mode)
            assert kind == "PermissionError"
            assert repr(str(path)) in said
            assert snapshot(places.out) == before


def _bound_by_permissions() -> list[str]:
    """What makes a child that permissions bind: root's do not."""
    if os.geteuid() != 0:
        return []
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*drop, "true"], capture_output=True).returncode:
        pytest.skip("root, and without setpriv: permissions bind no child of this test")
    return drop


def _error_of(arguments: dict[str, Any], max_file_bytes: int | None = None) -> tuple[str, str]:
    if max_file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    try:
        run(**arguments)
    except Exception as error:
        return type(error).__name__, str(error)
    return "", ""


def test_a_file_larger_than_allowed(child: Child, places: Places) -> None:
    (places.source / "random").write_bytes(os.urandom(300_000))
    before = snapshot(places.out)
    kind, said = child.call(_error_of, places.arguments, 200_000)
    assert kind == "OSError"
    assert "File too large" in said
    assert str(places.work / "archive.tar.gz") in said
    assert snapshot(places.out) == before


@pytest.mark.parametrize(("files", "full"), [(1, "archive.tar.gz"), (1_500, "manifest.jsonl")])
def test_a_full_disk(places: Places, files: int, full: str) -> None:
    for number in range(files):
        (places.source / f"{number}").write_bytes(os.urandom(300_000 // files))
    with _small_disk(places.out):
        (places.out / "stranger.txt").write_bytes(b"not ours")
        said = fails(places, OSError)
    assert "No space left on device" in said
    assert str(places.work / full) in said


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# Children: crashes, and what cannot be had in this process


class Child:
    """Another process, with this file loaded, that calls functions of it: each in a copy of its own."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        code = "from tests.integration import test_process_files as here; here.serve()"
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-c", code],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([function.__name__, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]


def serve() -> None:
    """What a child does: it answers each line of its input with one."""

    def answer(line: str) -> None:
        name, arguments = json.loads(line)
        try:
            said = {"result": globals()[name](*arguments)}
        except BaseException:
            said = {"error": traceback.format_exc()}
        print(json.dumps(said), flush=True)

    importlib.import_module("taskflow.persistence.backends.impl_sqlalchemy")  # once, not in each copy
    for line in sys.stdin:
        in_fork(lambda line=line: answer(line))  # type: ignore[misc]


def in_fork(code: Callable[[], object]) -> tuple[int, Any]:
    """Run `code` in a copy of this process, which has to be a child; how it ended, and what it used."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            code()
            status = 0
        finally:
            os._exit(status)
    _, status, usage = os.wait4(pid, 0)
    return status, usage


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child() as started:
        yield started


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# Killed in the middle of a task, with TaskFlow's own storage


@contextmanager
def storage(folder: Path) -> Iterator[Any]:
    backend = backends.fetch({"connection": f"sqlite:///{folder / 'taskflow.db'}"})
    try:
        yield backend
    finally:
        backend.close()


def make_storage(folder: Path) -> Path:
    """A database with the logbook of a job that was not begun."""
    book = LogBook("book", "book")
    book.add(FlowDetail("flow", "flow"))
    with storage(folder) as backend:
        backend.get_connection().upgrade()
        backend.get_connection().save_logbook(book)
    return folder / "taskflow.db"


def _killed(folders: list[str], deaths: list[tuple[str, int]]) -> list[int]:
    """In each folder, start the flow and have it killed at one of its reports."""
    return [
        in_fork(lambda folder=folder, death=death: _start(Path(folder), *death))[0]  # type: ignore[misc]
        for folder, death in zip(folders, deaths, strict=True)
    ]


def _start(folder: Path, task: str, number: int) -> None:
    places = Places(folder / "source", folder / "out")
    with storage(folder) as backend:
        book = backend.get_connection().get_logbook("book")
        context = RunContext(job="job-1", report=Reports((task, number), die))
        options = {"book": book, "flow_detail": book.find("flow"), "backend": backend}
        engine_for(places.arguments, context, **options).run()


def _go_on(folder: Path, *, cancelled: bool) -> str:
    """As another conductor does; the state of the flow in the end."""
    places = Places(folder / "source", folder / "out")
    token = CancelToken()
    if cancelled:
        token.set(USER)
    with storage(folder) as backend:
        book = backend.get_connection().get_logbook("book")
        options = {"book": book, "flow_detail": book.find("flow"), "backend": backend}
        in_flight = frozenset(atom.name for atom in options["flow_detail"] if atom.state == st.RUNNING)
        assert len(in_flight) == 1
        engine = engine_for(
            places.arguments,
            RunContext(token=token, report=lambda _: None, job="job-1", in_flight=in_flight),
            **options,
        )
        try:
            engine.run()
        except (JobCancelled, WrappedFailure):
            assert cancelled
        state: str = engine.storage.get_flow_state()
        return state


def test_killed_in_any_task_and_taken_over(child: Child, tmp_path: Path) -> None:
    cases = [(task, cancelled) for task in TASKS for cancelled in (False, True)]
    folders = [tmp_path / f"{task}-{cancelled}" for task, cancelled in cases]
    database = make_storage(tmp_path)
    before = []
    for folder in folders:
        places = make_places(folder)
        shutil.copy(database, folder)
        before.append(publish_before(places, 1))
        (places.source / "a.txt").write_bytes(b"new")
    ends = child.call(_killed, [str(folder) for folder in folders], [(task, 1) for task, *_ in cases])
    assert ends == [signal.SIGKILL] * len(cases)
    for folder, was, (_, cancelled) in zip(folders, before, cases, strict=True):
        assert snapshot(folder / "out") != was, "it was killed before it had done anything"
        if cancelled:
            assert _go_on(folder, cancelled=True) == st.REVERTED
            assert snapshot(folder / "out") == was, folder
        else:
            assert _go_on(folder, cancelled=False) == st.SUCCESS
            target = folder / "out" / "made.tar.gz"
            assert unpacked(target, folder / "unpacked") == snapshot(folder / "source")
            assert len(list((folder / "out").iterdir())) == 5


# Killed, or cancelled, wherever it touches the file system


class Touches:
    """Counts what the flow asks of the file system, and does something just before one of these."""

    KINDS = frozenset({"open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.scandir"})

    def __init__(self, *, hard_links: bool) -> None:
        self._hard_links = hard_links
        self._left: int | None = None
        self._act: Callable[[], object] = lambda: None
        sys.addaudithook(self._hook)  # for ever: in children only

    def at(self, number: int, act: Callable[[], object]) -> None:
        self._left, self._act = number, act

    def off(self) -> bool:
        """Whether it had come that far."""
        came = self._left is None
        self._left = None
        return came

    def _hook(self, event: str, _: object) -> None:
        if self._left is not None and event in self.KINDS:
            self._left -= 1
            if self._left < 0:
                self._left = None
                self._act()
        if event == "os.link" and not self._hard_links:
            raise PermissionError(errno.EPERM, "as on a file system without hard links")


@dataclass
class Journal:
    """As little of an engine as can be: stores each result when its task has ended, and goes on from there."""

    places: Places
    file: Path

    def run(self, context: RunContext) -> None:
        """Go on where the journal ends; with the flag up, revert."""
        built = SPEC.build(SPEC.as_json(self.places.arguments))
        known = dict(built.values)
        done: list[tuple[CancelableTask, Any]] = []
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        started = {json.loads(line)["task"] for line in lines}
        results = {line["task"]: line["result"] for line in map(json.loads, lines) if "result" in line}
        context = replace(context, in_flight=frozenset(started - set(results)))
        for task in built.flow:
            bind(task, context)
            if task.name in results:
                result = results[task.name]
            else:
                self._write(task=task.name)
                try:
                    result = task.execute(**{name: known[name] for name in task.requires})
                except JobCancelled as error:
                    done.append((task, Failure.from_exception(error)))
                    break
                self._write(task=task.name, result=result)
            done.append((task, result))
            known |= {name: result if index is None else result[index] for name, index in task.save_as.items()}
        if context.token.is_set:
            for task, result in reversed(done):
                wanted = {name: known[name] for name in task.revert_rebind}
                task.revert(**wanted, result=result)

    def _write(self, **line: Any) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _stopped_everywhere(folder: str, earlier: int, how: str, hard_links: bool) -> dict[str, Any]:
    """Stop the flow before each thing it asks of the file system. How many there are, and what went wrong."""
    touches = Touches(hard_links=hard_links)
    wrong: list[str] = []
    number = 0
    first = make_places(Path(folder) / "first")
    (first.source / "inner" / "b.bin").write_bytes(b"small")
    before = publish_before(first, earlier)
    (first.source / "a.txt").write_bytes(b"new")
    while True:
        here = Path(folder) / str(number)
        shutil.copytree(Path(folder) / "first", here, symlinks=True)
        places = Places(here / "source", here / "out")
        expected = _stop(places, Journal(places, here / "journal"), touches, number, how, before)
        if expected is None:
            return {"touches": number, "wrong": wrong}
        after = snapshot(places.out)
        if how == "kill, go on":
            good = len(after) == 3 + 2 * min(earlier, 1)
            good = good and unpacked(places.target, here / "unpacked") == snapshot(places.source)
        else:
            good = after == expected
        if not good:
            wrong.append(f"{number}: {sorted(map(repr, set(after) ^ set(expected)))}")
        shutil.rmtree(here)
        number += 1


def _stop(
    places: Places, journal: Journal, touches: Touches, number: int, how: str, before: Snapshot
) -> Snapshot | None:
    """Stop the flow once, and bring it to its end. What has to be there then; None if it was never stopped."""
    context = RunContext(token=CancelToken(), job="job-1", report=lambda _: None)
    if how == "cancel":
        touches.at(number, lambda: context.token.set(USER))
        journal.run(context)
        return before if touches.off() else None
    ended, _ = in_fork(lambda: (touches.at(number, die), journal.run(context)))
    if ended != signal.SIGKILL:
        return None
    still_there = list(snapshot(places.out).values())
    if how == "kill, revert":
        context.token.set(USER)
    elif how == "kill, go on, cancel":
        context = replace(context, report=Reports(("publish", 1), lambda: context.token.set(USER)))
    journal.run(context)
    # An older previous is gone once publish has come to its end.
    return {name: looked for name, looked in before.items() if looked in still_there}


@pytest.mark.parametrize(
    ("how", "earlier", "hard_links"),
    [
        ("cancel", 0, True),
        ("cancel", 1, False),
        ("kill, go on", 2, True),
        ("kill, go on", 1, False),
        ("kill, revert", 0, True),
        ("kill, revert", 2, False),
        ("kill, go on, cancel", 2, True),
    ],
)
def test_stopped_wherever_it_touches_the_file_system(
    child: Child, tmp_path: Path, how: str, earlier: int, hard_links: bool
) -> None:
    found = child.call(_stopped_everywhere, str(tmp_path), earlier, how, hard_links)
    assert found["wrong"] == []
    assert found["touches"] > 30
