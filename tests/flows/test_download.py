"""`download`, from a real server, as a job: nothing is left of it where it is cancelled, or its conductor dies."""

from __future__ import annotations

import functools
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.library.download import download

TASKS = ("fetch", "verify", "unpack", "publish")
CONTENT = os.urandom(500_000)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with an archive, and one that leads out of its folder."""
    folder = tmp_path_factory.mktemp("site")
    _put(folder / "good.tar.gz", {"top/a.bin": CONTENT, "top/b.txt": b"b"})
    _put(folder / "evil.tar", {"../evil": b"x"})
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _put(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_a_file(run_flow, url, tmp_path):
    target = tmp_path / "good.tar.gz"
    ran = run_flow(download, url=f"{url}/good.tar.gz", target=target)
    assert (ran.state, ran.results["path"]) == ("completed", str(target)), ran.error
    assert ran.results["bytes"] == target.stat().st_size
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("at", ["begin", "end"])
def test_a_cancel_leaves_nothing(run_flow, cancel_at, url, tmp_path, task, at):
    ran = run_flow(download, cancel_at(task, at), url=f"{url}/good.tar.gz", target=tmp_path / "x", unpack=True)
    assert ran.state == "cancelled", ran.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", TASKS)
def test_a_crash_costs_nothing(run_flow, crash_at, url, tmp_path, task):
    ran = run_flow(download, crash_at(task, "end"), url=f"{url}/good.tar.gz", target=tmp_path / "x", unpack=True)
    assert ran.state == "completed", ran.error
    assert (tmp_path / "x/top/a.bin").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(("path", "said"), [("evil.tar", "Unsafe"), ("no", "Declined")])
def test_what_cannot_be_had_fails_and_leaves_nothing(run_flow, url, tmp_path, path, said):
    ran = run_flow(download, url=f"{url}/{path}", target=tmp_path / "x", unpack=True)
    assert (ran.state, ran.job.error.type.rpartition(".")[2]) == ("failed", said)
    assert list(tmp_path.iterdir()) == []
