"""DBOS Transact: a workflow of three steps on a queue, its state in PostgreSQL or SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from dbos import DBOS, DBOSClient

from benchmarks.bell import ring_now
from benchmarks.place import Place

PARAMETERS: Final = (
    "one process: a queue with worker_concurrency 8, `@DBOS.workflow` of three `@DBOS.step`, each stored as it "
    "ends; the queue is polled each second as it comes, or with polling_interval_sec 0.01; all else as it comes; "
    "posted by DBOSClient, before a drain in one transaction; its documentation recommends PostgreSQL"
)
_QUEUE: Final = "benchmark"
_LOOK_S: Final = 0.02
_QUIET: Final = {"load_input": False, "load_output": False}


@DBOS.step()
def step() -> int:
    """One of the three."""
    return 1


@DBOS.step()
def ringing_step() -> int:
    """One that tells when it began."""
    ring_now()
    return 1


@DBOS.workflow(name="three_steps")
def three_steps() -> list[int]:
    """Three steps in a line."""
    return [step() for _ in range(3)]


@DBOS.workflow(name="ringing_steps")
def ringing_steps() -> list[int]:
    """The same; the first one rings."""
    return [ringing_step(), step(), step()]


def post(place: Place, jobs: int) -> None:
    _prepare(place)
    with _client(place) as client, _transaction(place) as connection:
        for _ in range(jobs):
            client.enqueue_in_transaction(connection, _options("three_steps"))


def drain(place: Place, jobs: int) -> float:  # noqa: ARG001 - it runs what there is
    _make(place)
    begun = time.monotonic()
    DBOS.launch()
    try:
        while DBOS.list_workflows(status=["ENQUEUED", "PENDING"], limit=1, **_QUIET):
            time.sleep(_LOOK_S)
        return time.monotonic() - begun
    finally:
        DBOS.destroy()


def completed(place: Place) -> int:
    with _client(place) as client:
        return len(client.list_workflows(status="SUCCESS", **_QUIET))


@contextmanager
def serving(place: Place) -> Iterator[None]:
    _make(place)
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()


@contextmanager
def posting(place: Place) -> Iterator[Callable[[], object]]:
    with _client(place) as client:
        yield lambda: client.enqueue(_options("ringing_steps"))


def _make(place: Place) -> None:
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": place.database_url,
            "application_version": "1",
            "log_level": "WARNING",
        }
    )


@contextmanager
def _client(place: Place) -> Iterator[DBOSClient]:
    client = DBOSClient(system_database_url=place.database_url)
    try:
        yield client
    finally:
        client.destroy()


def _prepare(place: Place) -> None:
    """Make the tables and the queue, and run nothing."""
    _make(place)
    DBOS.listen_queues([])
    DBOS.launch()
    try:
        polling = {"polling_interval_sec": float(place.variant)} if place.variant else {}
        DBOS.register_queue(_QUEUE, worker_concurrency=place.slots, **polling)
    finally:
        DBOS.destroy()


def _options(workflow: str) -> Any:
    return {"queue_name": _QUEUE, "workflow_name": workflow}


@contextmanager
def _transaction(place: Place) -> Iterator[sa.Connection]:
    url = sa.make_url(place.database_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")  # the driver that DBOS uses
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
