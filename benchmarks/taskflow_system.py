"""The stock TaskFlow conductor, set up as its documentation has it: ZooKeeper board, SQL persistence."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final
from uuid import uuid4

from taskflow import engines, task
from taskflow.conductors import backends as conductors
from taskflow.jobs import backends as jobboards
from taskflow.patterns import linear_flow
from taskflow.persistence import backends as persistences
from taskflow.persistence import models

from benchmarks.bell import ring_now
from benchmarks.place import Place

PARAMETERS: Final = (
    "one process: nonblocking conductor with 8 jobs at once, serial engine, ZooKeeper board, SQLAlchemy "
    "persistence; a step's state and result are committed before the next one begins"
)
_LOOK_S: Final = 0.02


class Step(task.Task):
    """One of the three."""

    def execute(self) -> int:
        return 1


class RingingStep(task.Task):
    """One that tells when it began."""

    def execute(self) -> int:
        ring_now()
        return 1


def three_steps() -> Any:
    """Three steps in a line."""
    return linear_flow.Flow("three_steps").add(*(_named(Step, number) for number in range(3)))


def ringing_steps() -> Any:
    """The same; the first one rings."""
    return linear_flow.Flow("ringing_steps").add(_named(RingingStep, 0), _named(Step, 1), _named(Step, 2))


def post(place: Place, jobs: int) -> None:
    with _opened(place) as (board, persistence):
        for _ in range(jobs):
            _post(board, persistence, three_steps)


def drain(place: Place, jobs: int) -> float:
    with _opened(place) as (board, persistence):
        while board.job_count < jobs:  # ZooKeeper tells of them after the connection is made
            time.sleep(_LOOK_S)
        begun = time.monotonic()
        with _running(place, board, persistence):
            while board.job_count:
                time.sleep(_LOOK_S)
            return time.monotonic() - begun


def completed(place: Place) -> int:
    with _opened(place) as (_, persistence), closing(persistence.get_connection()) as connection:
        return sum(flow.state == "SUCCESS" for book in connection.get_logbooks() for flow in book)


@contextmanager
def serving(place: Place) -> Iterator[None]:
    with _opened(place) as (board, persistence), _running(place, board, persistence):
        yield


@contextmanager
def posting(place: Place) -> Iterator[Callable[[], object]]:
    with _opened(place) as (board, persistence):
        yield lambda: _post(board, persistence, ringing_steps)


def _named(step: type[task.Task], number: int) -> task.Task:
    return step(f"step_{number}", provides=f"result_{number}")


def _post(board: Any, persistence: Any, factory: Callable[[], Any]) -> None:
    book, flow = models.LogBook("benchmark"), models.FlowDetail(factory.__name__, str(uuid4()))
    book.add(flow)
    with closing(persistence.get_connection()) as connection:
        connection.save_logbook(book)
    engines.save_factory_details(flow, factory, [], {}, backend=persistence)
    board.post(factory.__name__, book, details={"flow_uuid": flow.uuid, "store": {}})


@contextmanager
def _running(place: Place, board: Any, persistence: Any) -> Iterator[None]:
    conductor = conductors.fetch(
        "nonblocking",
        "benchmark",
        board,
        persistence=persistence,
        engine="serial",
        max_simultaneous_jobs=place.slots,
    )
    thread = threading.Thread(target=conductor.run)
    thread.start()
    try:
        yield
    finally:
        conductor.stop()
        thread.join()


@contextmanager
def _opened(place: Place) -> Iterator[tuple[Any, Any]]:
    warnings.simplefilter("ignore")  # of its own parts, that they are deprecated
    with closing(persistences.fetch({"connection": place.database_url})) as persistence:
        with closing(persistence.get_connection()) as connection:
            connection.upgrade()
        conf = {"board": "zookeeper", "hosts": place.zookeeper, "path": place.folder, "check_compatible": False}
        board = jobboards.fetch("benchmark", conf, persistence=persistence)
        board.connect()
        with closing(board):
            yield board, persistence
