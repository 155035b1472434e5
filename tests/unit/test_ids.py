"""Ids of jobs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from jobboard import ids

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def test_an_id_is_26_characters_that_people_can_read():
    for _ in range(100):
        assert len(made := ids.new_id()) == 26
        assert set(made) <= set(ALPHABET)


def test_ids_sort_by_time():
    made = [ids.new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_the_time_can_be_read_back():
    before = time.time_ns() // 1_000_000
    made = ids.new_id()
    after = time.time_ns() // 1_000_000
    milliseconds = 0
    for character in made[:10]:
        milliseconds = milliseconds << 5 | ALPHABET.index(character)
    assert before <= milliseconds <= after + 1


def test_a_clock_that_is_set_back_makes_no_smaller_id(monkeypatch):
    before = ids.new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert ids.new_id() > before


def test_the_first_id_of_a_moment():
    now = datetime.now(UTC)
    made = ids.new_id()
    assert ids.first_id(now, timedelta()) <= made < ids.first_id(now, timedelta(hours=-1))
    assert ids.first_id(now, timedelta(hours=1)) < ids.first_id(now, timedelta())
    assert ids.first_id(datetime(1, 1, 1, tzinfo=UTC), timedelta(hours=1)) == "0" * 26


def test_threads_never_get_the_same():
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: {ids.new_id() for _ in range(500)}, range(8)))
    assert len(set.union(*made)) == 4000
