"""Countermand, set up as `conductor run` does it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from benchmarks.place import Place
from benchmarks.three_steps import NAME, RINGING
from conductor import garbage
from conductor.service import Conductor
from flows.discovery import load_flows
from flows.registry import REGISTRY
from jobboard.database import open_database
from jobboard.dispatch.opening import open_dispatch, open_records
from jobboard.settings import Settings, read_settings
from poster.client import Client
from poster.post_request import PostRequest

FLOWS: Final = "benchmarks.three_steps"
PARAMETERS: Final = (
    "one process with 8 slots, as `conductor run --slots 8`; everything on: records, history, seal, fence, cancel "
    "watch; a step's state and result are committed before the next one begins; posted 1,000 in a transaction"
)
_BATCH: Final = 1000


def post(place: Place, jobs: int) -> None:
    with Client.open(settings_of(place), by="benchmark") as client:
        for start in range(0, jobs, _BATCH):
            client.post_many([PostRequest(NAME)] * min(_BATCH, jobs - start))


def drain(place: Place, jobs: int) -> float:
    with _conductor(place) as conductor:
        begun = time.monotonic()
        conductor.run(jobs, burst=True)
        return time.monotonic() - begun


def completed(place: Place) -> int:
    with closing(open_database(place.database_url)) as database:
        counted = open_records(database, settings_of(place)).count()
    return sum(states.get("completed", 0) for states in counted.values())


@contextmanager
def serving(place: Place) -> Iterator[None]:
    with _conductor(place) as conductor:
        thread = threading.Thread(target=conductor.run)
        thread.start()
        try:
            yield
        finally:
            conductor.stop()
            thread.join()


@contextmanager
def posting(place: Place) -> Iterator[Callable[[], object]]:
    with Client.open(settings_of(place), by="benchmark") as client:
        request = PostRequest(RINGING)
        yield lambda: client.post(request)


def settings_of(place: Place) -> Settings:
    """The settings of everyone at this place."""
    board = {"jobboard_url": f"zookeeper://{place.zookeeper}{place.folder}"} if place.zookeeper else {}
    return read_settings({}, database_url=place.database_url, flows=FLOWS, **board)


@contextmanager
def _conductor(place: Place) -> Iterator[Conductor]:
    settings = settings_of(place)
    load_flows(settings.flows)
    with closing(open_database(place.database_url)) as database:
        dispatch = open_dispatch(database, settings)
        conductor = Conductor(database, dispatch, REGISTRY, settings, slots=place.slots)
        garbage.settle()
        yield conductor
