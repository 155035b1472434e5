"""Real processes and servers, whatever happens to them: nothing is lost, and nothing counts twice.

A run is repeated with its seed: `COUNTERMAND_CHAOS_SEED=12345 python3 dev.py test tests/chaos`.
"""

from __future__ import annotations

import secrets
from typing import Final

import pytest

from tests.chaos.storm import storm

ALWAYS: Final = ("sqlite+sql", "postgresql+sql", "postgresql+zookeeper")
BACKENDS: Final = (*ALWAYS, "postgresql+redis", "postgresql+etcd")
_SHORT_S: Final = 12.0
_ROUND_S: Final = 60.0


@pytest.fixture
def seed(chaos_seed: str | None) -> str:
    return chaos_seed or str(secrets.randbelow(1_000_000))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", ALWAYS)
def test_a_short_storm(backend, seed, tmp_path):
    storm(backend, tmp_path, seed, _SHORT_S)


@pytest.mark.chaos
@pytest.mark.timeout(0)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_storm_for_as_long_as_asked(backend, seed, chaos_s, tmp_path):
    share_s = chaos_s / len(BACKENDS)
    rounds = max(1, round(share_s / _ROUND_S))
    for number in range(rounds):
        folder = tmp_path / str(number)
        folder.mkdir()
        storm(backend, folder, f"{seed}.{number}", share_s / rounds)
