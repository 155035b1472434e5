"""Whether a test that needs a server can run here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.process import ServerProcess


def require(kind: type[ServerProcess]) -> None:
    """Skip the test where that server is not installed; in CI, where it must be, fail."""
    if kind.installed():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(kind.missing(), pytrace=False)
    pytest.skip(kind.missing())
