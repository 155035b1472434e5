"""Whether a test that needs a server can run here."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from tests.servers.process import ServerProcess


def require(kind: type[ServerProcess]) -> None:
    """Skip the test where that server is not installed; in CI, where it must be, fail."""
    if not kind.installed():
        go_without(kind.missing())


def require_program(name: str) -> None:
    """The same for a program that is no server."""
    if shutil.which(name) is None:
        go_without(f"{name} is not installed")


def go_without(why: str) -> NoReturn:
    """Skip the test for this reason; in CI, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
