"""What benchmarks make of their readings: figures, ratios, and what they say to the targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.figure import Figure, Reading, collected, ratios, short, spread
from benchmarks.lab import redis_version, zookeeper_version
from benchmarks.report import figures_table, markdown, systems_table, targets_table
from benchmarks.sizes import FULL, QUICK
from benchmarks.systems import SYSTEMS, named
from benchmarks.targets import Target, Verdict, held, median, ratio, share, targets, verdict

OURS = "drained:countermand-postgresql"
STOCK = "drained:taskflow-postgresql"


def figure(key, *values, unit="jobs/s"):
    return Figure(key, f"what {key} is", unit, tuple(values))


def figures(*found):
    return {one.key: one for one in found}


def test_readings_of_one_key_make_a_figure_in_their_order():
    readings = [Reading("a", "A", "ms", 3.0), Reading("b", "B", "s", 1.0), Reading("a", "A", "ms", 2.0)]
    assert collected(readings) == figures(Figure("a", "A", "ms", (3.0, 2.0)), Figure("b", "B", "s", (1.0,)))


def test_a_ratio_is_taken_round_by_round():
    assert ratios(figure("a", 10, 40), figure("b", 5, 10)) == (2, 4)
    with pytest.raises(ValueError, match="zip"):
        ratios(figure("a", 10, 40), figure("b", 5))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,234"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (-0.0123, "-0.0123")],
)
def test_a_number_is_shown_with_three_digits_that_count(value, text):
    assert short(value) == text


def test_a_spread_goes_from_the_least_to_the_most():
    assert spread([3.0, 1.0, 2.0]) == "1.00 to 3.00"


AT_LEAST = Target("a", "times", median("a"), 25, 35)
AT_MOST = Target("a", "ms", median("a"), 12, 8, at_most=True)


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        (AT_LEAST, 35, Verdict.STRETCH),
        (AT_LEAST, 34.9, Verdict.REACHED),
        (AT_LEAST, 25, Verdict.REACHED),
        (AT_LEAST, 24.9, Verdict.MISSED),
        (AT_MOST, 8, Verdict.STRETCH),
        (AT_MOST, 8.1, Verdict.REACHED),
        (AT_MOST, 12.1, Verdict.MISSED),
        (replace(AT_LEAST, stretch=None), 99, Verdict.REACHED),
    ],
)
def test_a_target_is_reached_at_its_limit(target, value, expected):
    assert verdict(target, value) is expected


def test_the_median_of_the_ratios_counts_not_the_ratio_of_the_medians():
    found = figures(figure(OURS, 100, 10, 60), figure(STOCK, 10, 10, 2))
    [row] = held(found, [Target("x", "times", ratio(OURS, STOCK), 10)])
    assert (row.value.middle, row.value.least, row.value.most) == (10, 1, 30)
    assert row.verdict is Verdict.REACHED


def test_a_percentile_is_held_against_its_target():
    found = figures(figure("a", *range(1, 101), unit="ms"))
    [row] = held(found, [Target("p95", "ms", share("a", 0.95), 90, at_most=True)])
    assert (row.value.middle, row.value.least, row.value.most) == (95, 1, 100)
    assert row.verdict is Verdict.MISSED


def test_what_was_not_measured_is_no_failure_and_no_success():
    assert {row.verdict for row in held({}, targets(QUICK))} == {Verdict.UNKNOWN}


def test_every_target_is_of_systems_that_are_measured():
    found = figures(*(figure(f"{kind}:{system.key}", 1.0) for system in SYSTEMS for kind in ("drained", "start")))
    known = [row.target.what for row in held(found, targets(FULL)) if row.verdict is not Verdict.UNKNOWN]
    assert len([what for what in known if what.startswith("drained: ")]) == 11
    assert len([what for what in known if what.startswith("post to first step")]) == 4


def test_the_sizes_stand_in_the_names_of_targets():
    assert any("1,000,000 finished jobs, against 1,000" in target.what for target in targets(FULL))
    assert any("20,000 finished jobs, against 1,000" in target.what for target in targets(QUICK))


def test_a_system_has_one_line_with_all_that_was_measured_of_it():
    key = "countermand-postgresql"
    found = figures(
        figure(f"drained:{key}", 150.0, 170.0, 160.0),
        figure(f"cpu:{key}", 4.25, unit="ms/job"),
        figure(f"start:{key}", 5.0, 6.0, 20.0, unit="ms"),
        figure("drained:celery-threads", 80.0),
    )
    table = systems_table(found)
    assert "| Countermand, PostgreSQL | 160 | 150 to 170 | 4.25 | 6.00 / 20.0 |" in table
    assert "| Celery chain, Redis, 8 threads | 80.0 | 80.0 to 80.0 | - | - |" in table
    assert table.count("\n") == 3


def test_other_figures_have_a_line_each():
    found = figures(figure("posted:x", 10.0, 30.0), figure(OURS, 1.0))
    assert "| what posted:x is | 20.0 | 10.0 to 30.0 | 2 | jobs/s |" in figures_table(found)
    assert OURS not in figures_table(found)


def test_a_target_has_its_measured_value_beside_it():
    rows = held(figures(figure("a", 30.0, 26.0, 40.0)), [AT_LEAST, AT_MOST, Target("b", "s", median("b"), 0.5)])
    table = targets_table(rows)
    assert "| a | 25 | 35 | 30.0 | 26.0 to 40.0 | times | yes |" in table
    assert "| a | at most 12 | 8 | 30.0 | 26.0 to 40.0 | ms | no |" in table
    assert "| b | 0.5 | - | - | - | s | not measured |" in table


def test_the_report_tells_how_it_was_measured():
    text = markdown(figures(figure(OURS, 1.0)), held({}, targets(QUICK)), ["on two cores"])
    assert text.index("### Side by side") < text.index("### Against the targets") < text.index("- on two cores")


def test_systems_are_found_by_their_keys():
    assert len({system.key for system in SYSTEMS}) == len(SYSTEMS)
    assert [system.name for system in named("countermand-sqlite")] == ["Countermand, SQLite"]


def test_a_system_whose_package_is_missing_says_what_to_do():
    absent = replace(SYSTEMS[0], package="no_such_package")
    assert "no_such_package is not installed: `python3 dev.py bench`" in absent.missing


def test_servers_tell_their_versions():
    assert zookeeper_version("Zookeeper version: 3.8.0-5a02a05, built on 2022\nMode: standalone") == "3.8.0"
    assert redis_version("# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:0") == "7.0.15"
