"""The stock TaskFlow conductor, set up as its documentation has it: ZooKeeper board, SQL persistence."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

from taskflow import engines, task
from taskflow.conductors import backends as conductors
from taskflow.jobs import backends as jobboards
from taskflow.patterns import linear_flow
from taskflow.persistence import backends as persistences
from taskflow.persistence import models

from benchmarks.place import Place

PARAMETERS = "nonblocking conductor, serial engine, ZooKeeper board, SQLAlchemy persistence"
_LOOK_S = 0.02


class Step(task.Task):
    """One of the three."""

    def execute(self) -> int:
        return 1


def three_steps() -> Any:
    """Three steps in a line."""
    return linear_flow.Flow("three_steps").add(*(Step(f"step_{n}", provides=f"result_{n}") for n in range(3)))


def post(place: Place, jobs: int) -> None:
    """Post so many jobs."""
    with _opened(place) as (board, persistence):
        for _ in range(jobs):
            book, flow = models.LogBook("bench"), models.FlowDetail("three_steps", str(uuid4()))
            book.add(flow)
            with closing(persistence.get_connection()) as connection:
                connection.save_logbook(book)
            engines.save_factory_details(flow, three_steps, [], {}, backend=persistence)
            board.post("three_steps", book, details={"flow_uuid": flow.uuid, "store": {}})


def drain(place: Place, jobs: int) -> float:
    """Run them all; the seconds that took."""
    with _opened(place) as (board, persistence):
        conductor = conductors.fetch(
            "nonblocking",
            "bench",
            board,
            persistence=persistence,
            engine="serial",
            max_simultaneous_jobs=place.slots,
        )
        thread = threading.Thread(target=conductor.run)
        begun = time.monotonic()
        thread.start()
        while board.job_count:
            time.sleep(_LOOK_S)
        took_s = time.monotonic() - begun
        conductor.stop()
        thread.join()
        done = _completed(persistence)
    if done < jobs:
        raise RuntimeError(f"{done} of {jobs} jobs completed")
    return took_s


def _completed(persistence: Any) -> int:
    with closing(persistence.get_connection()) as connection:
        return sum(flow.state == "SUCCESS" for book in connection.get_logbooks() for flow in book)


@contextmanager
def _opened(place: Place) -> Iterator[tuple[Any, Any]]:
    warnings.simplefilter("ignore")  # of its own parts, that they are deprecated
    with closing(persistences.fetch({"connection": place.database_url})) as persistence:
        with closing(persistence.get_connection()) as connection:
            connection.upgrade()
        conf = {"board": "zookeeper", "hosts": place.zookeeper, "path": "/bench", "check_compatible": False}
        board = jobboards.fetch("bench", conf, persistence=persistence)
        board.connect()
        with contextlib.closing(board):
            yield board, persistence
