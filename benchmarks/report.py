"""What was measured, as tables for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.figure import Figure, percentile, short, spread
from benchmarks.systems import SYSTEMS
from benchmarks.targets import Row

_PER_SYSTEM = ("drained", "cpu", "start")


def markdown(figures: Mapping[str, Figure], rows: Sequence[Row], notes: Sequence[str]) -> str:
    """Everything: the systems side by side, the other figures, the targets, and how it was measured."""
    parts = [
        "### Side by side",
        systems_table(figures),
        "### All else",
        figures_table(figures),
        "### Against the targets",
        targets_table(rows),
        "### How",
        "\n".join(f"- {note}" for note in notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def systems_table(figures: Mapping[str, Figure]) -> str:
    """A line for each system."""
    head = ["system", "jobs/s drained", "least to most", "processor ms a job", "post to first step, p50 / p95 ms"]
    found = [
        [
            system.name,
            _median(figures.get(f"drained:{system.key}")),
            _spread(figures.get(f"drained:{system.key}")),
            _median(figures.get(f"cpu:{system.key}")),
            _shares(figures.get(f"start:{system.key}")),
        ]
        for system in SYSTEMS
        if any(f"{kind}:{system.key}" in figures for kind in _PER_SYSTEM)
    ]
    return _lines([head, ["---", *["---:"] * 4], *found])


def figures_table(figures: Mapping[str, Figure]) -> str:
    """A line for each figure that is not of a system."""
    head = ["what", "median", "least to most", "readings", "unit"]
    found = [
        [one.what, _median(one), _spread(one), str(len(one.values)), one.unit]
        for key, one in figures.items()
        if key.partition(":")[0] not in _PER_SYSTEM
    ]
    return _lines([head, ["---", *["---:"] * 3, "---"], *found])


def targets_table(rows: Sequence[Row]) -> str:
    """A line for each target."""
    head = ["what", "target", "stretch", "measured", "least to most", "unit", "reached"]
    found = [
        [
            row.target.what,
            ("at most " if row.target.at_most else "") + f"{row.target.goal:,g}",
            "-" if row.target.stretch is None else f"{row.target.stretch:,g}",
            "-" if row.value is None else short(row.value.middle),
            "-" if row.value is None else spread((row.value.least, row.value.most)),
            row.target.unit,
            row.verdict.value,
        ]
        for row in rows
    ]
    return _lines([head, ["---", *["---:"] * 4, "---", "---"], *found])


def _median(figure: Figure | None) -> str:
    return "-" if figure is None else short(figure.median)


def _spread(figure: Figure | None) -> str:
    return "-" if figure is None else spread(figure.values)


def _shares(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return " / ".join(short(percentile(figure.values, part)) for part in (0.5, 0.95))


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
