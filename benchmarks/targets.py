"""What was measured, held against what is wanted. Pure.

A ratio is taken round by round, of two systems that ran one after the other, and then its median.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from benchmarks.figure import Figure, percentile, ratios
from benchmarks.sizes import FULL, Sizes

Figures = Mapping[str, Figure]


@dataclass(frozen=True)
class Value:
    """What counts, and between what the single readings lie."""

    middle: float
    least: float
    most: float


@dataclass(frozen=True)
class Target:
    """What is wanted of one value."""

    what: str
    unit: str
    measure: Callable[[Figures], Value]  # `KeyError` if it was not measured
    goal: float
    stretch: float | None = None
    at_most: bool = False  # else at least


class Verdict(StrEnum):
    """How a value stands to its target."""

    STRETCH = "yes, and the stretch"
    REACHED = "yes"
    MISSED = "no"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Row:
    """A target, and what became of it."""

    target: Target
    value: Value | None
    verdict: Verdict


def held(figures: Figures, targets: Sequence[Target]) -> list[Row]:
    """Each target with what was measured."""
    rows = []
    for target in targets:
        try:
            value = target.measure(figures)
        except KeyError:
            rows.append(Row(target, None, Verdict.UNKNOWN))
        else:
            rows.append(Row(target, value, verdict(target, value.middle)))
    return rows


def verdict(target: Target, value: float) -> Verdict:
    """Whether `value` is good enough."""

    def reaches(limit: float | None) -> bool:
        return limit is not None and (value <= limit if target.at_most else value >= limit)

    if reaches(target.stretch):
        return Verdict.STRETCH
    return Verdict.REACHED if reaches(target.goal) else Verdict.MISSED


def targets(sizes: Sizes) -> list[Target]:
    """All of them; `sizes` stand in their names."""
    return [*_AGAINST_OTHERS, *_SCALING, *_growth(sizes), *_LATENCY, *_MEMORY, *_SERVING, *_commands(sizes)]


def ratio(above: str, below: str) -> Callable[[Figures], Value]:
    """One figure against another, in pairs."""
    return lambda figures: _middle(ratios(figures[above], figures[below]))


def median(key: str) -> Callable[[Figures], Value]:
    """The median of a figure."""
    return lambda figures: _middle(figures[key].values)


def share(key: str, part: float) -> Callable[[Figures], Value]:
    """A percentile of a figure."""

    def measure(figures: Figures) -> Value:
        values = figures[key].values
        return Value(percentile(values, part), min(values), max(values))

    return measure


def _middle(values: Sequence[float]) -> Value:
    return Value(statistics.median(values), min(values), max(values))


def _drained(ours: str, theirs: str, shown: str, goal: float, stretch: float | None = None) -> Target:
    return Target(f"drained: {shown}", "times", ratio(f"drained:{ours}", f"drained:{theirs}"), goal, stretch)


_PG: Final = "countermand-postgresql"
_LITE: Final = "countermand-sqlite"
_ZK: Final = "countermand-zookeeper"

_AGAINST_OTHERS: Final = (
    _drained(_PG, "taskflow-postgresql", "against the stock conductor, PostgreSQL", 25, 35),
    _drained(_LITE, "taskflow-sqlite", "against the stock conductor, SQLite", 25, 35),
    _drained(_ZK, "taskflow-postgresql", "with the ZooKeeper jobboard, against the stock conductor", 12, 20),
    _drained(_PG, "dbos-postgresql-10ms", "against DBOS with polling at 10 ms, PostgreSQL", 1.3, 2),
    _drained(_LITE, "dbos-sqlite-10ms", "against DBOS with polling at 10 ms, SQLite", 1.3, 2),
    _drained(_PG, "dbos-postgresql", "against DBOS as it comes, PostgreSQL", 15),
    _drained(_LITE, "dbos-sqlite", "against DBOS as it comes, SQLite", 15),
    _drained(_PG, "celery-prefork", "PostgreSQL, against a Celery chain, processes", 1, 1.5),
    _drained(_PG, "celery-threads", "PostgreSQL, against a Celery chain, threads", 1, 1.5),
    _drained(_LITE, "celery-prefork", "SQLite, against a Celery chain, processes", 1, 1.5),
    _drained(_LITE, "celery-threads", "SQLite, against a Celery chain, threads", 1, 1.5),
)
_SCALING: Final = (
    Target("two conductors against one, PostgreSQL", "times", ratio("conductors:2", "conductors:1"), 1.2, 1.5),
    Target("posted with --from, PostgreSQL", "jobs/s", median(f"posted:{_PG}"), 1500, 5000),
    Target("posted with --from, SQLite", "jobs/s", median(f"posted:{_LITE}"), 3000, 5000),
)
_LATENCY: Final = (
    Target("post to first step, p50, PostgreSQL", "ms", share(f"start:{_PG}", 0.5), 12, 8, at_most=True),
    Target("post to first step, p95, PostgreSQL", "ms", share(f"start:{_PG}", 0.95), 30, 13, at_most=True),
    Target("post to first step, p50, SQLite", "ms", share(f"start:{_LITE}", 0.5), 20, 8, at_most=True),
    Target("post to first step, p95, SQLite", "ms", share(f"start:{_LITE}", 0.95), 40, 13, at_most=True),
    Target("cancel to stopped, p50, PostgreSQL", "ms", share("cancel:postgresql", 0.5), 10, 5, at_most=True),
    Target("cancel to stopped, p99, PostgreSQL", "ms", share("cancel:postgresql", 0.99), 50, 20, at_most=True),
    Target("cancel to stopped, p50, SQLite", "ms", share("cancel:sqlite", 0.5), 50, 5, at_most=True),
    Target("cancel to stopped, p99, SQLite", "ms", share("cancel:sqlite", 0.99), 150, 20, at_most=True),
)
_MEMORY: Final = (
    Target("memory of an idle conductor", "MB", median("memory:idle"), 90, at_most=True),
    Target("memory with 8 busy slots", "MB", median("memory:busy"), 120, at_most=True),
)

_SERVING: Final = tuple(
    target
    for key, database in ((_PG, "PostgreSQL"), (_LITE, "SQLite"))
    for target in (
        Target(
            f"a request beside 200 streams, p99, {database}", "ms", share(f"http:{key}", 0.99), 250, at_most=True
        ),
        Target(
            f"memory added by streams and requests, {database}",
            "MB",
            median(f"http:growth:{key}"),
            5,
            at_most=True,
        ),
        Target(f"SIGTERM to the end of the server, {database}", "s", median(f"http:stop:{key}"), 1, at_most=True),
    )
)


def _growth(sizes: Sizes) -> list[Target]:
    return [
        Target(
            f"drained beside {sizes.large:,} {shown} jobs, against {sizes.small:,}, {database}",
            "times",
            ratio(f"{kind}-large:{key}", f"{kind}-small:{key}"),
            0.8,
            0.95,
        )
        for kind, shown in (("backlog", "waiting"), ("history", "finished"))
        for key, database in ((_PG, "PostgreSQL"), (_LITE, "SQLite"))
    ]


def _commands(sizes: Sizes) -> list[Target]:
    fleet = f"{sizes.fleet_jobs or FULL.fleet_jobs:,} jobs cancelled at once on 4 conductors: all flags up"
    listed = f"`poster list` of {sizes.large:,} jobs"
    return [
        Target(f"{fleet}, PostgreSQL", "s", median("fleet:postgresql"), 2, 0.5, at_most=True),
        Target(f"{fleet}, SQLite", "s", median("fleet:sqlite"), 2, 0.5, at_most=True),
        Target(f"memory added by {sizes.memory_jobs:,} jobs", "MB", median("memory:growth"), 10, at_most=True),
        Target("`checkpoint()` with the flag down", "ns", median("checkpoint"), 100, 60, at_most=True),
        Target("`poster --help`", "ms", median("help"), 100, at_most=True),
        Target(f"{listed}, PostgreSQL", "ms", median(f"list:{_PG}"), 350, at_most=True),
        Target(f"{listed}, SQLite", "ms", median(f"list:{_LITE}"), 350, at_most=True),
    ]
