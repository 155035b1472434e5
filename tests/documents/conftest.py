"""What stands in for the addresses of a page: servers of the session, started when a page names one."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.documents.stand_ins import StandIns


@pytest.fixture
def stand_ins(request: pytest.FixtureRequest, tmp_path: Path) -> StandIns:
    def address(kind: str) -> str:
        if kind == "postgresql":
            return str(request.getfixturevalue("postgresql_url"))
        url, name = request.getfixturevalue(kind).url, uuid.uuid4().hex
        return f"{url}/0?namespace={name}" if kind == "redis" else f"{url}/{name}"

    (tmp := tmp_path / "tmp").mkdir()
    return StandIns(tmp, address)
