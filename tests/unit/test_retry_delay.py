"""The pause before an automatic retry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobboard.retry_delay import retry_delay_s

DAY_S = 24 * 3600
intervals, chances = st.floats(0, 1e6), st.floats(0, 1)


@pytest.mark.parametrize(
    ("interval_s", "retry", "chance", "delay_s"),
    [(60, 1, 0, 60), (60, 2, 0, 120), (60, 3, 0, 240), (60, 1, 1, 66), (0, 9, 1, 0), (60, 12, 0, DAY_S)],
)
def test_it_doubles_up_to_a_day(interval_s, retry, chance, delay_s):
    assert retry_delay_s(interval_s, retry, chance) == pytest.approx(delay_s)


@given(intervals, st.integers(1, 10_000), chances)
def test_it_is_never_longer_than_a_day_and_a_tenth_nor_shorter_than_the_interval(interval_s, retry, chance):
    delay_s = retry_delay_s(interval_s, retry, chance)
    assert min(interval_s, DAY_S) <= delay_s <= DAY_S * 1.1


@given(intervals, st.integers(1, 10_000))
def test_a_later_retry_never_comes_sooner(interval_s, retry):
    assert retry_delay_s(interval_s, retry, 0) <= retry_delay_s(interval_s, retry + 1, 0)


@given(intervals, st.integers(1, 100), chances, chances)
def test_chance_spreads_them_by_a_tenth(interval_s, retry, one, other):
    first, second = sorted([retry_delay_s(interval_s, retry, one), retry_delay_s(interval_s, retry, other)])
    assert second <= first * 1.1 + 1e-6
