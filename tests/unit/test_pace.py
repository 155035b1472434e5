"""How many jobs a conductor claims."""

from __future__ import annotations

import pytest

from conductor.pace import SHORT_S, Pace

SLOTS = 4


def pace_of(*took_s: float) -> Pace:
    pace = Pace(SLOTS)
    for seconds in took_s:
        pace.note(seconds)
    return pace


@pytest.mark.parametrize("took_s", [(), (SHORT_S * 2,), (0.01, 10.0)])
def test_jobs_are_claimed_for_free_slots(took_s):
    rooms = [pace_of(*took_s).room(runs) for runs in range(2 * SLOTS + 1)]
    assert rooms == [4, 3, 2, 1, 0, 0, 0, 0, 0]


def test_short_jobs_are_claimed_ahead_when_none_waits_any_more():
    rooms = [pace_of(0.01).room(runs) for runs in range(2 * SLOTS + 1)]
    assert rooms == [16, 15, 14, 13, 12, 0, 0, 0, 0]


@pytest.mark.parametrize(("took_s", "ahead"), [(0.01, 12), (SHORT_S / 2, 8), (SHORT_S, 4)])
def test_no_more_are_claimed_ahead_than_get_a_slot_soon(took_s, ahead):
    assert pace_of(took_s).room(SLOTS) == ahead


def test_what_jobs_usually_take_counts_not_one_of_them():
    assert pace_of(*[0.01] * 20, SHORT_S * 2).room(SLOTS) > SLOTS
    assert pace_of(10.0, *[0.01] * 50).room(SLOTS) > SLOTS
