"""The how-tos for TaskFlow users as `tests/documents` does not run them: on PostgreSQL, twice, with signals."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.documents.given import read
from tests.waiting import until

ROOT = Path(__file__).parents[2]
OR_POSTGRESQL = "  # or postgresql://user:password@host/name"


class Page:
    """A how-to, whose programs are written to a folder of their own."""

    def __init__(self, name: str, folder: Path, database_url: str | None = None) -> None:
        """`database_url` takes the place of the one in the page; None: it stays as it is."""
        blocks = read(f"docs/taskflow/{name}.md")
        self.outputs = {
            program.title: output.text
            for program, output in pairwise(blocks)
            if program.title and output.language == "output"
        }
        self._folder = folder
        programs = {block.title: block.text for block in blocks if block.title}
        assert database_url is None or any(OR_POSTGRESQL in text for text in programs.values())
        for title, text in programs.items():
            (folder / title).write_text(text if database_url is None else _with(database_url, text))

    @contextlib.contextmanager
    def started(self, program: str) -> Iterator[subprocess.Popen[str]]:
        """A process that writes to a file, which others may write to as well."""
        with self._output(program).open("a") as output:
            process = subprocess.Popen(
                [sys.executable, program], cwd=self._folder, env=_environment(), stdout=output, text=True
            )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def printed(self, program: str) -> str:
        return self._output(program).read_text()

    def run(self, program: str) -> str:
        done = subprocess.run(
            [sys.executable, program],
            cwd=self._folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _output(self, program: str) -> Path:
        return self._folder / f"{program}.out"


def _with(database_url: str, code: str) -> str:
    return re.sub(r"^URL = .*$", lambda _: f"URL = {database_url!r}", code, flags=re.MULTILINE)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(params=["sqlite", "postgresql"])
def on(request: pytest.FixtureRequest) -> str | None:
    """The page as it stands, and with the address of a real PostgreSQL."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgresql_url")


def test_the_sql_board_with_two_workers(tmp_path: Path, on: str | None) -> None:
    page = Page("jobboard", tmp_path, on)
    assert page.run("post.py") == page.outputs["post.py"]
    with page.started("work.py") as one, page.started("work.py") as two:
        assert (one.wait(100), two.wait(100)) == (0, 0)
    *sums, left = page.outputs["work.py"].splitlines()
    assert sorted(page.printed("work.py").splitlines()) == sorted([*sums, left, left])


def test_the_fenced_persistence_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    page = Page("persistence", tmp_path, postgresql_url)
    assert page.run("fenced.py") == page.outputs["fenced.py"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_conductor_in_a_program_of_ones_own(tmp_path: Path, on: str | None, number: signal.Signals) -> None:
    page = Page("conductor", tmp_path, on)
    *before, last = page.outputs["greet.py"].splitlines(keepends=True)
    with page.started("greet.py") as process:
        until(lambda: page.printed("greet.py") == "".join(before) or process.poll() is not None, 60, "the job")
        process.send_signal(number)
        assert process.wait(60) == 0
    assert page.printed("greet.py") == "".join([*before, last])
