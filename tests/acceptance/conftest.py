"""Places to store and dispatch in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.place import Place
from tests.servers import ZooKeeper


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
