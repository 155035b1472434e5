"""Random histories on both databases: some in the ordinary suite, for as long as asked under `chaos`.

Those of a seed that was printed are told again with
`COUNTERMAND_CHAOS_SEED=12345 python3 dev.py test tests/histories`.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from jobboard.database import Database, open_database
from tests.histories.machine import Histories

STEPS = 40
EXAMPLES = {"sqlite": 150, "postgresql": 15}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    yield database
    database.close()


def explore(database: Database, number: int, examples: int, *, patient: bool) -> None:
    """Histories that follow from a number. On a failure the shortest that fails is printed."""
    print(f"seed {number}")
    how = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in settings().phases if phase is not Phase.explain],  # that takes long
        print_blob=False,
    )
    run_state_machine_as_test(seed(number)(lambda: Histories(database, patient=patient)), settings=how)


@pytest.fixture
def seeds(chaos_seed: str | None) -> Iterator[int]:
    """Numbers from which histories follow."""
    first = int(chaos_seed) if chaos_seed else secrets.randbelow(1_000_000)
    return itertools.count(first)


def test_random_histories(database, seeds):
    explore(database, next(seeds), EXAMPLES[database.dialect], patient=False)


@pytest.mark.chaos
@pytest.mark.timeout(0)
def test_random_histories_for_as_long_as_asked(database, seeds, chaos_s):
    deadline = time.monotonic() + chaos_s
    while time.monotonic() < deadline:
        explore(database, next(seeds), 50, patient=True)
