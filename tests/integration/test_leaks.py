"""A thousand cancels in one conductor leave nothing behind: no thread, file, process or memory."""

from __future__ import annotations

import contextlib
import gc
import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobboard.database import open_database
from jobboard.models import NewJob
from jobboard.states import State
from tests.integration import kinds
from tests.integration.house import House, settings_for
from tests.waiting import until

WARM_UP, CANCELS = 100, 1000
MOST_GROWTH_BYTES = 30_000_000
# Mostly what is quick.
MIX = (
    *[kinds.Sleep] * 12,
    kinds.Checkpoint,
    kinds.Run,
    kinds.Async,
    kinds.Async,
    kinds.Thread,
    kinds.Thread,
    kinds.OnCancel,
    kinds.Process,
)
AT_ONCE = len(MIX)


@pytest.fixture
def house(sqlite_url: str) -> Iterator[House]:
    database = open_database(sqlite_url)
    yield House(database, settings_for(sqlite_url))
    database.close()


def used() -> Counter[str]:
    """Threads, open files and child processes of this process.

    Without connections to the database: a pool keeps them, up to its size.
    """
    used = Counter(f"thread {thread.name} {thread.ident}" for thread in threading.enumerate())
    used.update(f"child {child.pid}" for child in psutil.Process().children(recursive=True))
    files = Path("/proc/self/fd")
    for file in list(files.iterdir()):
        with contextlib.suppress(OSError):
            name = re.sub(r"\d+", "", str(file.readlink()))
            if ".db" not in name:
                used[f"file {name}"] += 1
    return used


def memory() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def cancel_round(house: House) -> None:
    """Post one job of each of the mix, and cancel them all when all are at work."""
    posted = [job.id for job in house.records.post([NewJob(kind.__name__, {}) for kind in MIX], by="ann")]
    until(lambda: all(is_at_work(house, job) for job in posted), 60, "the work")
    for job in posted:
        house.records.cancel(job, by="bob")
    for job in posted:
        house.comes_to(job, State.CANCELLED)


def is_at_work(house: House, job: str) -> bool:
    tasks = house.get(job).tasks
    return bool(tasks) and tasks[0].state == "running"


@pytest.mark.timeout(300)
def test_a_thousand_cancels_leave_nothing_behind(house: House, tmp_path: Path) -> None:
    for kind in MIX:
        house.flow(lambda kind=kind: [kind("work", tmp_path)], kind.__name__)
    with house.running(slots=AT_ONCE):
        for _ in range(WARM_UP // AT_ONCE):
            cancel_round(house)
        used_before, bytes_before = used(), memory()
        for _ in range(CANCELS // AT_ONCE):
            cancel_round(house)
        until(lambda: used() <= used_before, 60, f"no more than {used_before}")
        assert memory() - bytes_before < MOST_GROWTH_BYTES
