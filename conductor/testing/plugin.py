"""The fixtures `run_flow`, `cancel_at`, `crash_at`, `cancel_when`, `crash_when`, for who has pytest installed.

def test_a_cancel_leaves_nothing(run_flow, cancel_at, tmp_path):
    ran = run_flow(hello, cancel_at("write", 10), folder=tmp_path)
    assert ran.state == "cancelled"
    assert list(tmp_path.iterdir()) == []
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conductor.testing.bench import Ran
    from conductor.testing.moments import Moment, When
    from conductor.testing.nursery import Nursery

# Imports are inside: who runs no flow does not wait for them.


def pytest_configure(config: pytest.Config) -> None:
    """A warning that nobody who tests a flow can do anything about."""
    # TaskFlow 6.5 imports a module of oslo.utils that is to go.
    config.addinivalue_line(
        "filterwarnings", "ignore:eventletutils module is deprecated:DeprecationWarning:oslo_utils.eventletutils"
    )


@pytest.fixture(scope="session")
def _nursery() -> Iterator[Nursery]:
    from conductor.testing.nursery import Nursery  # noqa: PLC0415

    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def run_flow(tmp_path_factory: pytest.TempPathFactory, _nursery: Nursery) -> Iterator[Callable[..., Ran]]:
    """`run_flow(flow, *moments, **arguments)`: run a flow as a job until it rests, and give what became of it.

    `flow` is its function or its name. A conductor runs it, in a process of its own, on a database in a temporary
    folder; a killed one is replaced. Nobody retries it but `Ran.retry`. Moments in tasks come one after the
    other, and beside them those of `cancel_when` and `crash_when`; the test fails if one never comes.
    """
    from conductor.testing.bench import Bench  # noqa: PLC0415

    with Bench(tmp_path_factory.mktemp("countermand"), _nursery) as bench:
        yield bench.run


@pytest.fixture
def cancel_at() -> Callable[..., Moment]:
    """`cancel_at(task, at=1)`: the job is cancelled then. See `conductor.testing.moments.At`."""
    from conductor.testing import moments  # noqa: PLC0415

    return moments.cancel_at


@pytest.fixture
def crash_at() -> Callable[..., Moment]:
    """`crash_at(task, at=1)`: the conductor is killed then, and another takes the job over."""
    from conductor.testing import moments  # noqa: PLC0415

    return moments.crash_at


@pytest.fixture
def cancel_when() -> Callable[[Callable[[], object]], When]:
    """`cancel_when(condition)`: the job is cancelled as soon as `condition()` is true, wherever it is."""
    from conductor.testing import moments  # noqa: PLC0415

    return moments.cancel_when


@pytest.fixture
def crash_when() -> Callable[[Callable[[], object]], When]:
    """`crash_when(condition)`: the conductor is killed as soon as `condition()` is true."""
    from conductor.testing import moments  # noqa: PLC0415

    return moments.crash_when
