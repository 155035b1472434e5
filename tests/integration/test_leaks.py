"""A thousand cancels in one conductor leave nothing behind: no thread, file, process or memory."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobboard.database import open_database
from jobboard.models import NewJob
from jobboard.states import State
from tests.integration import kinds
from tests.integration.house import House, settings_for
from tests.waiting import until

WARM_UP, CANCELS, AT_ONCE = 100, 1000, 20
MOST_GROWTH_BYTES = 30_000_000


@pytest.fixture
def house(sqlite_url: str) -> Iterator[House]:
    database = open_database(sqlite_url)
    yield House(database, settings_for(sqlite_url))
    database.close()


def used() -> tuple[set[str], int, set[int]]:
    """Threads, open files and child processes of this process."""
    me = psutil.Process()
    threads = {f"{thread.name} {thread.ident}" for thread in threading.enumerate()}
    return threads, me.num_fds(), {child.pid for child in me.children(recursive=True)}


def memory() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


@pytest.mark.timeout(300)
def test_a_thousand_cancels_leave_nothing_behind(house: House, tmp_path: Path) -> None:
    # Mostly what is quick; each round has a command, a coroutine and an endless loop, every other one a child.
    mix = [kinds.Sleep] * 12 + [kinds.Run, kinds.Async, kinds.Async, kinds.Thread, kinds.Thread, kinds.OnCancel]
    mix += [kinds.Checkpoint, kinds.Process]
    assert len(mix) == AT_ONCE
    folders: Iterator[Path] = (tmp_path / str(number) for number in itertools.count())

    class Quiet:
        """Reverts are not kept."""

        def append(self, _seen: Any) -> None: ...

    def make(kind: type[kinds.Work]) -> Any:
        folder = next(folders)
        folder.mkdir()
        return [kind("work", folder, Quiet())]  # type: ignore[arg-type]

    for kind in set(mix):
        house.flow(lambda kind=kind: make(kind), kind.__name__)

    def cancel_round() -> None:
        posted = [job.id for job in house.records.post([NewJob(kind.__name__, {}) for kind in mix], by="ann")]
        until(lambda: all(house.get(job).tasks and is_at_work(job) for job in posted), 60, "the work")
        for job in posted:
            house.records.cancel(job, by="bob")
        for job in posted:
            house.comes_to(job, State.CANCELLED)

    def is_at_work(job: str) -> bool:
        return house.get(job).tasks[0].state == "running"

    with house.running(slots=AT_ONCE):
        for _ in range(WARM_UP // AT_ONCE):
            cancel_round()
        (threads, files, children), bytes_before = used(), memory()
        for _ in range(CANCELS // AT_ONCE):
            cancel_round()

        def is_as_before() -> bool:
            now_threads, now_files, now_children = used()
            return now_threads <= threads and now_files <= files and now_children <= children

        until(is_as_before, 60, f"no more than {(threads, files, children)}")
        assert memory() - bytes_before < MOST_GROWTH_BYTES
