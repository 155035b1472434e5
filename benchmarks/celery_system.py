"""Celery: a chain of three tasks, with Redis as the broker and for the results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import redis
from celery import Celery, chain, signals
from celery.worker import state

from benchmarks.bell import ring_now
from benchmarks.place import Place

PARAMETERS: Final = (
    "one worker with concurrency 8, of processes (prefork, as it comes) or of threads; worker_prefetch_multiplier "
    "64, as its documentation advises for many short tasks; acknowledged before they run, as it comes: a task "
    "that a crash interrupts is not run again; JSON; each result is stored in Redis"
)
_LOOK_S: Final = 0.02
_READY_S: Final = 60.0
_STEPS: Final = 3


def post(place: Place, jobs: int) -> None:
    step = _app(place).tasks["step"]
    for _ in range(jobs):
        chain(*(step.s() for _ in range(_STEPS))).apply_async()


def drain(place: Place, jobs: int) -> float:
    with _working(place), closing(_results(place)) as results:
        begun = time.monotonic()
        while results.dbsize() < jobs * _STEPS:
            time.sleep(_LOOK_S)
        return time.monotonic() - begun


def completed(place: Place) -> int:
    with closing(_results(place)) as results:
        stored = results.mget(list(results.scan_iter("celery-task-meta-*")) or ["none"])
    return sum(b'"status": "SUCCESS"' in text for text in stored if text) // _STEPS


@contextmanager
def serving(place: Place) -> Iterator[None]:
    with _working(place):
        yield


@contextmanager
def posting(place: Place) -> Iterator[Callable[[], object]]:
    tasks = _app(place).tasks
    yield lambda: chain(tasks["ringing_step"].s(), tasks["step"].s(), tasks["step"].s()).apply_async()


def _step(_before: int = 0) -> int:
    return 1


def _ringing_step() -> int:
    ring_now()
    return 1


def _app(place: Place) -> Celery:
    app = Celery("benchmark", broker=f"redis://{place.redis}/0", backend=f"redis://{place.redis}/1")
    app.conf.update(
        worker_prefetch_multiplier=64,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
    )
    app.task(name="step")(_step)
    app.task(name="ringing_step")(_ringing_step)
    app.finalize()
    return app


@contextmanager
def _working(place: Place) -> Iterator[None]:
    ready = threading.Event()

    def tell(**_: Any) -> None:
        ready.set()

    signals.worker_ready.connect(tell)
    worker = _app(place).Worker(pool=place.variant, concurrency=place.slots, loglevel="WARNING")
    thread = threading.Thread(target=worker.start)
    thread.start()
    try:
        if not ready.wait(_READY_S):
            raise TimeoutError(f"the worker was not ready within {_READY_S:.0f} s")
        yield
    finally:
        state.should_stop = 0  # the exit code with which it is to end
        thread.join()
        state.should_stop = None


def _results(place: Place) -> redis.Redis:
    host, _, port = place.redis.partition(":")
    return redis.Redis(host, int(port), db=1)
