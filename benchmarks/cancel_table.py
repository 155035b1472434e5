"""What was measured of cancels, as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.cancel_flows import KINDS
from benchmarks.conditions import Conditions
from benchmarks.figure import percentile

BEGIN: Final = "<!-- measured: begin, written by python -m benchmarks.cancel_latency --markdown -->"
END: Final = "<!-- measured: end -->"

CANCELLED: Final = "cancelled"
PROMPT: Final = ("checkpoint", "sleep", "async", "run")
TARGETS_MS: Final = {"postgresql": (10, 50), "sqlite": (50, 150)}
CHECKPOINT_NS: Final = 100
NAMES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True)
class Sample:
    """One cancelled job. Times are from the request, as the receipt has them."""

    database: str
    kind: str
    engine: str
    job: str
    state: str  # how it ended
    left: int  # effects that were not reverted
    delivered_ms: float | None
    stopped_ms: float | None
    reverted_ms: float | None

    @property
    def is_good(self) -> bool:
        """Whether it kept the promise."""
        return self.state == CANCELLED and not self.left


@dataclass(frozen=True)
class Measured:
    """A whole run."""

    conditions: Conditions
    repetitions: int
    samples: tuple[Sample, ...]
    checkpoint_ns: float

    @property
    def broken(self) -> list[Sample]:
        """Jobs that did not keep the promise."""
        return [sample for sample in self.samples if not sample.is_good]


def markdown(measured: Measured) -> str:
    """Everything, for people."""
    one_by_one = "one at a time but in `many_jobs`"
    parts = [
        f"Measured on {measured.conditions}; {measured.repetitions} jobs for each row, {one_by_one}.",
        "Milliseconds from the accepted request, p50 / p99 (of fewer than 100 jobs p99 is the slowest).",
    ]
    for database, name in NAMES.items():
        rows = [sample for sample in measured.samples if sample.database == database]
        if rows:
            parts += [f"### On {name}", _table(rows)]
    return "\n\n".join([*parts, "### Against the targets", _targets(measured)]) + "\n"


def between_markers(page: str, text: str) -> str:
    """`page` with `text` in place of what stands between the markers. `ValueError` if they are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks its markers: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _table(samples: Sequence[Sample]) -> str:
    rows = [
        _row(kind.name, kind.shown, engine, found)
        for kind in KINDS
        for engine in kind.engines
        if (found := [s for s in samples if (s.kind, s.engine) == (kind.name, engine)])
    ]
    head = ["kind", "work", "engine", "cancelled", "delivered", "stopped", "reverted"]
    return _lines([head, ["---"] * 4 + ["---:"] * 3, *rows])


def _row(kind: str, shown: str, engine: str, samples: Sequence[Sample]) -> list[str]:
    good = sum(sample.is_good for sample in samples)
    moments = ("delivered_ms", "stopped_ms", "reverted_ms")
    return [kind, shown, engine, f"{good} of {len(samples)}", *(_spread(samples, moment) for moment in moments)]


def _spread(samples: Sequence[Sample], moment: str) -> str:
    values = _values(samples, moment)
    return f"{percentile(values, 0.5):.1f} / {percentile(values, 0.99):.1f}" if values else "-"


def _values(samples: Iterable[Sample], moment: str) -> list[float]:
    found: list[Any] = [getattr(sample, moment) for sample in samples]
    return [value for value in found if value is not None]


def _targets(measured: Measured) -> str:
    rows = [["what", "measured", "target", ""], ["---", "---:", "---:", "---"]]
    for database, (middle, most) in TARGETS_MS.items():
        prompt = [s for s in measured.samples if s.database == database and s.kind in PROMPT]
        values = _values(prompt, "stopped_ms")
        if values:
            p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
            what = f"{NAMES[database]}: cancel accepted to stopped, {', '.join(PROMPT)}, both engines"
            kept = p50 <= middle and p99 <= most
            rows.append([what, f"{p50:.1f} / {p99:.1f} ms", f"{middle} / {most} ms", _verdict(kept)])
    ns = measured.checkpoint_ns
    rows.append(
        ["`checkpoint()` with the flag down", f"{ns:.0f} ns", f"{CHECKPOINT_NS} ns", _verdict(ns <= CHECKPOINT_NS)]
    )
    return _lines(rows)


def _verdict(kept: bool) -> str:  # noqa: FBT001, RUF100 - a yes or no in words
    return "kept" if kept else "missed"


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
