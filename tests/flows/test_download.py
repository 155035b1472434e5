"""`download`, from a real server, as a job: nothing is left of it where it is cancelled, or its conductor dies."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.library.download import download
from tests.flows.site import Site, breaks_off, says

TASKS = ("fetch", "verify", "unpack", "publish")
CONTENT = os.urandom(3_000_000)


def tar_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


GOOD = tar_of({"top/a.bin": CONTENT, "top/b.txt": b"b"})


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    with Site({"/good.tar.gz": GOOD, "/file": CONTENT}) as site:
        yield site


@pytest.fixture
def site(server: Site) -> Site:
    server.next_answers.clear()
    server.ranges.clear()
    return server


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def error_of(ran) -> str:
    assert ran.state == "failed"
    return ran.error


# What it makes


def test_a_file(run_flow, site, tmp_path):
    target = tmp_path / "file"
    ran = run_flow(download, url=f"{site.url}/file", target=target, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert ran.state == "completed", ran.error
    assert ran.results["path"] == str(target)
    assert ran.results["bytes"] == len(CONTENT)
    assert target.read_bytes() == CONTENT
    assert names_in(tmp_path) == ["file"]


def test_the_file_that_was_there_is_kept_beside_it(run_flow, site, tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    ran = run_flow(download, url=f"{site.url}/file", target=target)
    assert ran.state == "completed", ran.error
    assert target.read_bytes() == CONTENT
    assert (tmp_path / "file.previous").read_text() == "old"


def test_a_zip_archive(run_flow, site, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("top/a.txt", "a" * 100_000)
        tool = zipfile.ZipInfo("top/tool")
        tool.external_attr = (stat.S_IFREG | 0o755) << 16
        archive.writestr(tool, "#!/bin/sh\n")
        link = zipfile.ZipInfo("top/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "a.txt")
    site.files["/a.zip"] = packed.getvalue()
    ran = run_flow(download, url=f"{site.url}/a.zip", target=tmp_path / "x", unpack=True)
    assert ran.state == "completed", ran.error
    assert (ran.results["files"], ran.results["unpacked_bytes"]) == (3, 100_010)
    top = tmp_path / "x" / "top"
    assert top.joinpath("link").read_text() == "a" * 100_000
    assert top.joinpath("link").is_symlink()
    assert os.access(top / "tool", os.X_OK)
    assert not os.access(top / "a.txt", os.X_OK)


# A server with bad days


def test_it_goes_on_where_it_broke_off(run_flow, site, tmp_path):
    site.next_answers["/file"] = [breaks_off(1_000_000), breaks_off(500_000)]
    ran = run_flow(download, url=f"{site.url}/file", target=tmp_path / "file")
    assert ran.state == "completed", ran.error
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert site.ranges["/file"] == ["", "bytes=1000000-", "bytes=1500000-"]


def test_it_begins_anew_when_the_file_is_another(run_flow, site, tmp_path):
    site.files["/changing"] = b"new" * 500_000

    def older(handler, _content):
        handler.serve(b"old" * 500_000, most=1_000_000)

    site.next_answers["/changing"] = [older]
    ran = run_flow(download, url=f"{site.url}/changing", target=tmp_path / "file")
    assert ran.state == "completed", ran.error
    assert (tmp_path / "file").read_bytes() == b"new" * 500_000
    assert site.ranges["/changing"] == ["", "bytes=1000000-"]


def test_it_goes_on_on_another_conductor(run_flow, crash_when, site, tmp_path):
    site.next_answers["/file"] = [breaks_off(1_000_000), says(503, Retry_After="3000")]
    asked = site.ranges["/file"]
    ran = run_flow(download, crash_when(lambda: len(asked) == 2), url=f"{site.url}/file", target=tmp_path / "file")
    assert ran.state == "completed", ran.error
    assert asked == ["", "bytes=1000000-", "bytes=1000000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_it_asks_again_when_it_is_told_to(run_flow, site, tmp_path):
    site.next_answers["/file"] = [says(503, Retry_After="1"), says(429)]
    ran = run_flow(download, url=f"{site.url}/file", target=tmp_path / "file")
    assert ran.state == "completed", ran.error
    assert site.ranges["/file"] == ["", "", ""]


def test_a_cancel_ends_a_wait_for_the_server(run_flow, cancel_when, site, tmp_path):
    site.next_answers["/file"] = [says(503, Retry_After="3000")]
    asked = site.ranges["/file"]
    ran = run_flow(download, cancel_when(lambda: asked), url=f"{site.url}/file", target=tmp_path / "file")
    assert (ran.state, len(asked)) == ("cancelled", 1)
    assert names_in(tmp_path) == []


# What it refuses


def test_a_wrong_checksum(run_flow, site, tmp_path):
    ran = run_flow(download, url=f"{site.url}/file", target=tmp_path / "file", sha256="0" * 64)
    assert f"its checksum is {hashlib.sha256(CONTENT).hexdigest()}, and not {'0' * 64}" in error_of(ran)
    assert names_in(tmp_path) == []


def test_what_is_not_there(run_flow, site, tmp_path):
    ran = run_flow(download, url=f"{site.url}/no", target=tmp_path / "file")
    assert f"Declined: GET {site.url}/no: 404 Not Found" in error_of(ran)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(("length", "said"), [(True, "has 3,000,000 bytes"), (False, "has more than max_bytes")])
def test_what_is_too_large(run_flow, site, tmp_path, length, said):
    if not length:

        def without_length(handler, content):
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(content)
            handler.close_connection = True

        site.next_answers["/file"] = [without_length]
    ran = run_flow(download, url=f"{site.url}/file", target=tmp_path / "file", max_bytes=2_999_999)
    assert said in error_of(ran)
    assert "2,999,999" in ran.error
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("limits", "said"),
    [({"max_files": 1}, "more entries than max_files, 1"), ({"max_unpacked_bytes": 9}, "max_unpacked_bytes, 9")],
    ids=["files", "bytes"],
)
def test_an_archive_that_is_too_large(run_flow, site, tmp_path, limits, said):
    ran = run_flow(download, url=f"{site.url}/good.tar.gz", target=tmp_path / "x", unpack=True, **limits)
    assert said in error_of(ran)
    assert names_in(tmp_path) == []


BAD = {
    "/evil": (tar_of({"../evil": b"x"}), "Unsafe: '../evil' in the archive leads out of the folder"),
    "/text": (b"text", "Unusable: what was fetched is neither a tar nor a zip archive"),
    "/cut": (GOOD[:1_000_000], "Damaged: "),
}


@pytest.mark.parametrize("path", BAD)
def test_an_archive_that_is_none(run_flow, site, tmp_path, path):
    site.files[path], said = BAD[path]
    ran = run_flow(download, url=f"{site.url}{path}", target=tmp_path / "x", unpack=True)
    assert said in error_of(ran)
    assert names_in(tmp_path) == []


def test_a_target_that_cannot_be(run_flow, site, tmp_path):
    (tmp_path / "folder").mkdir()
    ran = run_flow(download, url=f"{site.url}/file", target=tmp_path / "folder")
    assert "folder: is a folder, where a file has to go" in error_of(ran)
    ran = run_flow(download, url=f"{site.url}/file", target="/")
    assert "target /: is a folder, where a file has to go" in error_of(ran)
    ran = run_flow(download, url=f"{site.url}/good.tar.gz", target=tmp_path / "folder", unpack=True)
    assert "is there already" in error_of(ran)
    ran = run_flow(download, url=f"{site.url}/file", target=tmp_path / "no" / "file")
    assert "there is no folder" in error_of(ran)
    assert site.ranges == {}
    assert names_in(tmp_path) == ["folder"]


def test_a_folder_that_someone_else_makes_meanwhile(run_flow, site, tmp_path):
    target = tmp_path / "x"

    def meanwhile(handler, content):
        target.mkdir()
        handler.serve(content)

    site.next_answers["/good.tar.gz"] = [meanwhile]
    ran = run_flow(download, url=f"{site.url}/good.tar.gz", target=target, unpack=True)
    assert f"{target}: someone else made it while the job ran" in error_of(ran)
    assert ran.job.error.task == "publish"
    assert (names_in(tmp_path), names_in(target)) == (["x"], [])


# Cancelled, and killed


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("at", ["begin", "end"])
def test_a_cancel_leaves_nothing(run_flow, cancel_at, site, tmp_path, task, at):
    ran = run_flow(
        download, cancel_at(task, at), url=f"{site.url}/good.tar.gz", target=tmp_path / "x", unpack=True
    )
    assert ran.state == "cancelled", ran.error
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("task", ["fetch", "verify", "unpack"])
def test_a_cancel_midway_and_a_retry(run_flow, cancel_at, site, tmp_path, task):
    ran = run_flow(download, cancel_at(task, 3), url=f"{site.url}/good.tar.gz", target=tmp_path / "x", unpack=True)
    assert ran.state == "cancelled", ran.error
    assert names_in(tmp_path) == []
    assert ran.retry().state == "completed"
    assert (tmp_path / "x/top/a.bin").read_bytes() == CONTENT


def test_a_cancel_puts_back_what_was_replaced(run_flow, cancel_at, site, tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    ran = run_flow(download, cancel_at("publish", "end"), url=f"{site.url}/file", target=target)
    assert ran.state == "cancelled", ran.error
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("task", "at"), [*((task, "end") for task in TASKS), ("fetch", 3), ("verify", 3), ("unpack", 3)]
)
def test_a_crash_costs_nothing(run_flow, crash_at, site, tmp_path, task, at):
    ran = run_flow(download, crash_at(task, at), url=f"{site.url}/good.tar.gz", target=tmp_path / "x", unpack=True)
    assert ran.state == "completed", ran.error
    assert (tmp_path / "x/top/a.bin").read_bytes() == CONTENT
    assert names_in(tmp_path) == ["x"]


@pytest.mark.parametrize("task", ["fetch", "unpack", "publish"])
@pytest.mark.parametrize("unpack", [False, True], ids=["file", "folder"])
def test_a_crash_while_it_is_undone(run_flow, cancel_at, crash_at, site, tmp_path, task, unpack):
    """The next conductor undoes it once more."""
    target = tmp_path / "x"
    if not unpack:
        target.write_text("old")
    ran = run_flow(
        download,
        cancel_at("publish", "end"),
        crash_at(task, "reverted"),
        url=f"{site.url}/good.tar.gz",
        target=target,
        unpack=unpack,
    )
    assert ran.state == "cancelled", ran.error
    assert names_in(tmp_path) == ([] if unpack else ["x"])
    assert unpack or target.read_text() == "old"
