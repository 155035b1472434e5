"""What docs/moving/celery.md tells of Celery is what Celery does, with a real worker and a real broker."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.documents.given import read, titled
from tests.servers import Redis
from tests.waiting import until

PAGE = "docs/moving/celery.md"
BROKER = "redis://127.0.0.1:6379/0"
APART = 7  # a database of that Redis in which no other test is


@contextlib.contextmanager
def worker(folder: Path) -> Iterator[None]:
    """As the page has it; of two processes."""
    argv = [sys.executable, "-m", "celery", "-A", "frames", "worker", "--concurrency", "2", "--loglevel", "INFO"]
    log = folder / "worker.log"
    with log.open("w") as output:
        process = subprocess.Popen(argv, cwd=folder, stdout=output, stderr=output)
    with process:
        try:
            until(lambda: " ready." in log.read_text() or process.poll() is not None, what="the worker")
            yield
        finally:
            process.terminate()
            process.wait(60)


def in_general(printed: str) -> str:
    """Without how far it was just then."""
    return re.sub(r"\b(?!30\b)\d+ frames", "some frames", printed)


def test_a_revoke_does_what_the_page_says(tmp_path: Path, redis: Redis) -> None:
    program = titled(PAGE, "frames.py")
    assert program.count(BROKER) == 2
    (tmp_path / "frames.py").write_text(program.replace(BROKER, f"{redis.url}/{APART}"))
    [shown] = [block.text for block in read(PAGE) if block.text.startswith("terminate=False: ")]
    with worker(tmp_path):
        ran = subprocess.run(
            [sys.executable, "frames.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert ran.returncode == 0, ran.stderr
    assert in_general(ran.stdout) == in_general(shown)
    *_, then, later = ran.stdout.splitlines()
    assert then == later, "what was terminated went on"
