"""Countermand, set up as `conductor run` does it."""

from __future__ import annotations

import gc
import time
from contextlib import closing

from benchmarks.place import Place
from benchmarks.three_steps import NAME
from jobboard.settings import Settings, read_settings
from poster.client import Client
from poster.post_request import PostRequest

PARAMETERS = "everything on: records, history, seal, fence, cancel watch"
_BATCH = 1000


def post(place: Place, jobs: int) -> None:
    """Post so many jobs."""
    with Client.open(_settings(place), by="bench") as client:
        for start in range(0, jobs, _BATCH):
            client.post_many([PostRequest(NAME, {})] * min(_BATCH, jobs - start))


def drain(place: Place, jobs: int) -> float:
    """Run them all; the seconds that took."""
    from conductor.service import Conductor  # noqa: PLC0415 - a poster does not pay for it
    from flows.discovery import load_flows  # noqa: PLC0415
    from flows.registry import REGISTRY  # noqa: PLC0415
    from jobboard.database import open_database  # noqa: PLC0415
    from jobboard.dispatch.opening import open_dispatch, open_records  # noqa: PLC0415

    settings = _settings(place)
    load_flows(settings.flows)
    with closing(open_database(place.database_url)) as database:
        conductor = Conductor(database, open_dispatch(database, settings), REGISTRY, settings, slots=place.slots)
        gc.collect()
        gc.freeze()
        begun = time.monotonic()
        conductor.run(burst=True)
        took_s = time.monotonic() - begun
        done = open_records(database, settings).count()[NAME]
    if done.get("completed", 0) < jobs:
        raise RuntimeError(f"not all of {jobs} jobs completed: {done}")
    return took_s


def _settings(place: Place) -> Settings:
    board = {"jobboard_url": f"zookeeper://{place.zookeeper}"} if place.zookeeper else {}
    return read_settings({}, database_url=place.database_url, flows="benchmarks.three_steps", **board)
