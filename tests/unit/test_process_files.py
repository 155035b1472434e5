"""What `process_files` decides without touching a disk."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import InvalidArguments
from flows.library.files.errors import Damaged
from flows.library.process_files import process_files  # noqa: F401 - registers the flow
from flows.library.process_files.archive import ArchiveReader, ArchiveWriter
from flows.library.process_files.entry import Entry
from flows.library.process_files.source_tree import CHUNK_BYTES
from flows.library.process_files.workplace import Workplace
from flows.registry import REGISTRY

SPEC = REGISTRY.get("process_files")


# Parameters


def test_its_tasks_in_order() -> None:
    built = SPEC.build({"source": "/a", "target": "/b.tar.gz"})
    assert [task.name for task in built.structure.tasks] == ["scan", "checksum", "pack", "verify", "publish"]
    assert built.values == {"source": Path("/a"), "target": Path("/b.tar.gz"), "pattern": "*", "level": 6}


def test_every_parameter_and_the_flow_are_described() -> None:
    assert all(len(field["description"]) > 10 for field in SPEC.schema["properties"].values())
    assert SPEC.description.startswith("Pack a folder into a tar.gz")


@pytest.mark.parametrize("level", [-1, 10, "much", 1.5])
def test_a_level_out_of_range_is_refused(level: object) -> None:
    with pytest.raises(InvalidArguments, match="level"):
        SPEC.as_json({"source": "/a", "target": "/b", "level": level})


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="pattern"):
        SPEC.as_json({"source": "/a", "target": "/b", "pattern": ""})


def test_a_relative_path_is_meant_from_where_the_job_is_posted() -> None:
    stored = SPEC.as_json({"source": "some", "target": "made.tar.gz"})
    assert stored["source"] == str(Path.cwd() / "some")
    assert stored["target"] == str(Path.cwd() / "made.tar.gz")


# Entries


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*", "any/thing", True),
        ("*.txt", "a.txt", True),
        ("*.txt", "deep/er/a.txt", True),
        ("*.txt", "a.TXT", False),
        ("*.txt", "a.txt/b", False),
        ("read?e", "deep/readme", True),
        ("docs/*", "docs/x/y", True),
        ("docs/*", "other/docs/x", False),
        ("*/docs/*", "other/docs/x", True),
        ("[ab].md", "x/b.md", True),
        ("[!ab].md", "x/b.md", False),
        ("a*", "b\na", False),
        ("*a", "b\na", True),
        ("*\udcff", "x\udcff", True),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert Entry(path, "file").matches(pattern) is fits


names = st.binary(min_size=1, max_size=300).map(os.fsdecode)


@given(
    path=names,
    link=st.none() | names,
    size=st.none() | st.integers(min_value=0, max_value=2**63),
    mtime_ns=st.none() | st.integers(min_value=-(2**62), max_value=2**62),
)
def test_an_entry_comes_back_from_its_line(
    path: str, link: str | None, size: int | None, mtime_ns: int | None
) -> None:
    entry = Entry(path, "file", size=size, mtime_ns=mtime_ns, link=link)
    line = entry.line()
    assert Entry.from_line(line) == entry
    assert line.count(b"\n") == 1
    assert line.isascii()


def test_a_line_says_only_what_is_known() -> None:
    assert Entry("a", "folder").line() == b'{"path": "a", "kind": "folder"}\n'


@pytest.mark.parametrize(("ns", "kept"), [(1_999_999_999, 1_000_000_000), (-1, -1_000_000_000), (0, 0)])
def test_an_archive_keeps_whole_seconds(ns: int, kept: int) -> None:
    assert Entry("a", "file", size=1, mtime_ns=ns).in_archive().mtime_ns == kept


# Archives


def archived(*entries: tuple[str, bytes], level: int = 6) -> bytes:
    file = io.BytesIO()
    with ArchiveWriter(file, level) as archive:
        for name, content in entries:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.add(header, iter([content]))
    return file.getvalue()


def read_back(data: bytes) -> list[Entry]:
    return list(ArchiveReader(io.BytesIO(data)).entries(iter))


@given(
    names=st.lists(
        st.binary(min_size=1, max_size=300)
        .filter(lambda name: b"\0" not in name and name.strip(b"/") == name)
        .map(os.fsdecode),
        max_size=5,
    )
)
def test_any_name_goes_through_an_archive(names: list[str]) -> None:
    found = read_back(archived(*((name, name.encode("utf-8", "surrogateescape")) for name in names)))
    assert [entry.path for entry in found] == names


def test_the_same_entries_give_the_same_bytes() -> None:
    assert archived(("a", b"1"), ("b", b"2")) == archived(("a", b"1"), ("b", b"2"))


def test_level_0_does_not_compress() -> None:
    assert len(archived(("a", bytes(100_000)), level=0)) > 100_000
    assert len(archived(("a", bytes(100_000)), level=9)) < 1_000


def test_a_damaged_archive_is_found_out() -> None:
    whole = archived(("a", os.urandom(5_000)), ("b", b"2"))
    for place in [*range(0, len(whole), 97), *range(len(whole) - 8, len(whole))]:
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        try:
            assert read_back(bytes(damaged)) == read_back(whole)  # only bytes that mean nothing
        except Damaged:
            continue
        assert place < 10
    for length in range(0, len(whole), 97):
        with pytest.raises(Damaged):
            read_back(whole[:length])


def test_an_archive_is_read_to_its_last_byte() -> None:
    # So long that what tar wants of it ends with a chunk, before gzip's own checksum.
    whole = archived(("a", os.urandom(5 * CHUNK_BYTES - 3 * tarfile.BLOCKSIZE)))
    reader = ArchiveReader(io.BytesIO(whole))
    assert len(list(reader.entries(iter))) == 1
    assert reader.sha256 == hashlib.sha256(whole).hexdigest()
    with pytest.raises(Damaged):
        read_back(whole[:-1])


# The workplace


def test_a_workplace_is_named_for_target_and_job() -> None:
    assert Workplace(Path("/x/a.tar.gz"), "j-1").folder == Path("/x/.a.tar.gz.j-1.work")
    assert Workplace(Path("/x/a.tar.gz"), "").folder == Path("/x/.a.tar.gz.local.work")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (".a.tar.j-2.work", True),
        (".a.tar.local.work", True),
        (".a.tar.gz.j-2.work", False),  # for the target a.tar.gz
        (".b.a.tar.j-2.work", False),
        ("a.tar.j-2.work", False),
        (".a.tar.work", False),
        (".a.tar.j-2.works", False),
    ],
)
def test_only_workplaces_for_the_same_target_are_in_the_way(name: str, is_one: bool) -> None:
    assert Workplace(Path("/x/a.tar"), "j-1")._is_workplace(name) is is_one
