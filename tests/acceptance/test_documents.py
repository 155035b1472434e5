"""What README and the demo promise, done as they say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.documents.given import read, titled
from tests.waiting import until

ROOT = Path(__file__).parents[2]


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


@contextmanager
def conductor(folder: Path) -> Iterator[None]:
    log = folder / "conductor.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "conductor", "run"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def test_the_first_flow_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hello.py").write_text(titled("README.md", "hello.py"))
    monkeypatch.setenv("COUNTERMAND_FLOWS", "hello.py")
    with conductor(tmp_path):
        posted = run("poster", "post", "hello", f"folder={tmp_path}", "lines=1000", cwd=tmp_path)
        assert posted.returncode == 0, posted.stderr
        job = posted.stdout.strip()
        target = tmp_path / job
        until(target.exists, 20, "the job to begin")
        cancelled = run("poster", "cancel", job, "--reason", "wrong file", "--wait", cwd=tmp_path)
        assert cancelled.returncode == 0, cancelled.stderr
        assert not target.exists()
        retried = run("poster", "retry", job, "--wait", cwd=tmp_path)
        assert retried.returncode == 0, retried.stderr
        assert target.read_text().split() == [str(number) for number in range(1000)]
        shown = run("poster", "show", job, cwd=tmp_path)
        assert "completed" in shown.stdout


def test_the_example_of_the_guarantees_may_run_twice(tmp_path: Path) -> None:
    (program,) = (block.text for block in read("docs/guarantees.md"))
    twice = (
        "task = Write()\n"
        "assert task.execute('.') == task.execute('.')\n"
        "assert Path('report-.txt').read_text() == 'what was found\\n'\n"
        "task.revert('.', result=None)\n"
        "task.revert('.', result=None)\n"
        "assert not list(Path().glob('report-*'))\n"
    )
    (tmp_path / "twice.py").write_text(program + twice)
    done = run("twice", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_demo(tmp_path: Path) -> None:
    told = run("poster.demo", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    story = told.stdout
    for said in (
        "pack       failure (interrupted)",
        "scan       reverted",
        "on the disk now: nothing",
        "completed",
    ):
        assert said in story, f"{said!r} is missing in\n{story}"
    assert not told.stderr
    assert not list(tmp_path.iterdir())
