"""What every test may ask for: servers, fresh databases, and an environment without anyone's settings."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

import hypothesis
import pytest

from tests.servers import Etcd, PostgreSQL, Redis, ServerProcess, ZooKeeper
from tests.servers.required import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Read before the settings are cleared away.
CHAOS = os.environ.get("COUNTERMAND_CHAOS")
CHAOS_SEED = os.environ.get("COUNTERMAND_CHAOS_SEED")
_SECONDS = {"s": 1, "m": 60, "h": 3600}

S = TypeVar("S", bound=ServerProcess)

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# For who only wants to know whether something fails, not the shortest way to it: that may take minutes.
hypothesis.settings.register_profile("unshrunk", phases=[hypothesis.Phase.generate])


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings of who runs it, or writes into their home."""
    for name in [name for name in os.environ if name.startswith("COUNTERMAND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COUNTERMAND_HOME", str(tmp_path / "countermand-home"))


@pytest.fixture(scope="session")
def chaos_s() -> float:
    """How long a chaos test shall run: what `dev.py test --chaos` was given."""
    if CHAOS is None:
        pytest.skip("run by `dev.py test --chaos 30m`")
    return float(CHAOS[:-1]) * _SECONDS[CHAOS[-1]]


@pytest.fixture(scope="session")
def chaos_seed() -> str | None:
    """The seed of a chaos run that is to be repeated."""
    return CHAOS_SEED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only one kind of database can hold is no test of the other."""
    others = {item for item in items if _is_of_another_database(item)}
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]


def _is_of_another_database(item: pytest.Item) -> bool:
    only_on = item.get_closest_marker("only_on")
    return only_on is not None and item.callspec.params["database_url"] != only_on.args[0]  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """The end of a test that hangs ends the worker too: pytest's own watch is off once a test has failed."""
    limit_s = float(item.config.getini("faulthandler_timeout"))
    if limit_s:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=sys.__stderr__)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[pytest.TestReport]:
    """Reports travel between processes as UTF-8, and some tests log what is none."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


# Servers: started on first use, one of a kind for each worker. A test that breaks one starts its own.


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    yield from _serve(PostgreSQL)


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[ZooKeeper]:
    yield from _serve(ZooKeeper)


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    yield from _serve(Redis)


@pytest.fixture(scope="session")
def etcd() -> Iterator[Etcd]:
    yield from _serve(Etcd)


def _serve(kind: type[S]) -> Iterator[S]:
    require(kind)
    with kind() as server:
        yield server


# Databases: fresh for each test, copied from one that was migrated once.


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database; the test runs on each kind."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    file = tmp_path / "countermand.db"
    shutil.copyfile(_sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, _postgresql_template: str) -> Iterator[str]:
    url = postgresql.create_database(template=_postgresql_template)
    yield url
    postgresql.drop_database(url)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "countermand.db"
    _migrate(f"sqlite:///{file}")
    # With a connection left open, part of the data would still stand in a second file.
    assert not file.with_name(f"{file.name}-wal").exists()
    return file


@pytest.fixture(scope="session")
def _postgresql_template(postgresql: PostgreSQL) -> str:
    url = postgresql.create_database()
    _migrate(url)
    return url


def _migrate(url: str) -> None:
    from jobboard.database import open_database

    open_database(url).close()
