"""The fixtures `run_flow`, `cancel_at` and `crash_at`, for who has Countermand and pytest installed.

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
    from conductor.testing.moments import Moment


@pytest.fixture
def run_flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ran]]:
    """`run_flow(flow, *moments, **arguments)`: run a flow as a job until it rests, and give what became of it.

    `flow` is its function or its name. A conductor runs it, in a process of its own, on a database in a temporary
    folder; a killed one is replaced. Nobody retries it but `Ran.retry`.
    """
    from conductor.testing.bench import Bench  # noqa: PLC0415 - who runs no flow does not wait for it

    with Bench(tmp_path_factory.mktemp("countermand")) as bench:
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
