"""What is measured of cancels, as the table tells it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.cancel_flows import KINDS
from benchmarks.cancel_table import BEGIN, END, Measured, Sample, between_markers, markdown
from benchmarks.conditions import Conditions
from benchmarks.figure import percentile
from flows.registry import REGISTRY

GOOD = Sample("sqlite", "sleep", "serial", "j1", "cancelled", 0, 1.0, 2.0, 3.0)
CONDITIONS = Conditions("2030-01-01", 2, "Linux on x86_64", "3.11.0", {"SQLite": "3.40"})


def measured(*samples: Sample) -> Measured:
    return Measured(CONDITIONS, 1, samples, 50.0)


def test_each_kind_of_work_has_a_flow_for_each_of_its_engines():
    for kind in KINDS:
        for engine in kind.engines:
            spec = REGISTRY.get(kind.flow_name(engine))
            assert spec.engine == engine
            assert spec.build({"mark": "/a/mark", "bell": "/a/bell"}).structure.tasks


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0], 0.5, 3.0), ([4, 1, 3, 2], 0.5, 2), (range(30), 0.99, 29), (range(1, 201), 0.99, 198)],
)
def test_a_percentile_is_one_of_the_values(values, share, expected):
    assert percentile(values, share) == expected


def test_a_row_tells_how_many_ended_cancelled_and_how_long_it_took():
    text = markdown(measured(GOOD, replace(GOOD, stopped_ms=20.04), replace(GOOD, stopped_ms=4.0)))
    assert "| sleep | `sleep()` | serial | 3 of 3 | 1.0 / 1.0 | 4.0 / 20.0 | 3.0 / 3.0 |" in text
    assert "| 4.0 / 20.0 ms | 50 / 150 ms | kept |" in text
    assert "On PostgreSQL" not in text


@pytest.mark.parametrize("wrong", [{"state": "cancelling"}, {"state": "failed"}, {"left": 1}])
def test_a_job_that_broke_the_promise_is_named(wrong):
    bad = replace(GOOD, **wrong)
    found = measured(GOOD, bad)
    assert found.broken == [bad]
    assert "| 1 of 2 |" in markdown(found)


def test_moments_that_never_came_are_no_numbers():
    stuck = replace(GOOD, state="cancelling", stopped_ms=None, reverted_ms=None)
    assert "| 0 of 1 | 1.0 / 1.0 | - | - |" in markdown(measured(stuck))


def test_only_what_stands_between_the_markers_is_written_anew():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert between_markers(page, "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="lacks its markers"):
        between_markers("before\nafter\n", "new\n")
