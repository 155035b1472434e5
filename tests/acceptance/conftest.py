"""Places to store and dispatch in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.place import Place
from tests.acceptance.serving import Serving
from tests.servers import ZooKeeper

Start = Callable[..., Serving]


@pytest.fixture(params=["sqlite", "postgresql", "postgresql+zookeeper"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each way to store and dispatch."""
    database, _, board = request.param.partition("+")
    url = request.getfixturevalue(f"{database}_url")
    jobboard = "sql"
    if board:
        server: ZooKeeper = request.getfixturevalue("zookeeper")
        jobboard = f"zookeeper://{server.hosts}/{uuid.uuid4()}"
    with closing(Place(tmp_path, url, jobboard)) as place:
        yield place


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Iterator[Place]:
    with closing(Place(tmp_path, sqlite_url)) as place:
        yield place


@pytest.fixture
def serving() -> Iterator[Start]:
    """Starts servers, with options, which end with the test."""
    started: list[Serving] = []

    def start(place: Place, *options: str) -> Serving:
        started.append(Serving(place, *options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()
