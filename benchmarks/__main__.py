"""Measures everything, and prints, writes and draws it.

    python3 dev.py bench [--quick] [--only PART ...] [--out FOLDER]

Servers are started on loopback, in temporary folders, and stopped at the end. What is not installed is left out,
and said so. Ends with 1 if a part failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import cancels, growth, memory, posting, scaling, serving, side_by_side, start_up
from benchmarks.conditions import Conditions, conditions
from benchmarks.figure import Figure, Reading, collected, short
from benchmarks.lab import Lab
from benchmarks.report import markdown
from benchmarks.sizes import FULL, QUICK, Sizes
from benchmarks.systems import SYSTEMS, System
from benchmarks.targets import Row, held, targets

ROOT: Final = Path(__file__).resolve().parents[1]
PARTS: Final = ("systems", "conductors", "post", "cancel", "memory", "http", "commands", "growth")
_FAILED: Final = 1


@dataclass
class Run:
    """What a run has found so far."""

    sizes: Sizes
    systems: list[System] = field(default_factory=list)  # those that are there
    readings: list[Reading] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # parts, and what was wrong
    left_out: dict[str, str] = field(default_factory=dict)  # systems, and why

    @property
    def figures(self) -> dict[str, Figure]:
        """All of them, by key."""
        return collected(self.readings)

    @property
    def rows(self) -> list[Row]:
        """The targets."""
        return held(self.figures, targets(self.sizes))


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, write and draw."""
    options = _parser().parse_args(words)
    # Else every process that is measured would compile all that it imports anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    run = Run(QUICK if options.quick else FULL)
    begun = time.monotonic()
    with Lab() as lab:
        measure(lab, run, options.only or PARTS)
        found = conditions(lab.versions)
    text = markdown(run.figures, run.rows, _notes(run, found))
    print(text)
    _write(options.out, run, found, text)
    _say(f"{time.monotonic() - begun:.0f} s; written to {options.out}")
    return _FAILED if run.failed else 0


def measure(lab: Lab, run: Run, parts: Sequence[str], systems: Sequence[System] = SYSTEMS) -> None:
    """Add to `run` what these parts find, on those systems that are there."""
    run.left_out |= {system.name: why for system in systems if (why := _why_not(system, run.sizes))}
    for name, why in run.left_out.items():
        _say(f"left out: {name}: {why}")
    run.systems = [system for system in systems if system.name not in run.left_out]
    for part in parts:
        begun = time.monotonic()
        try:
            for reading in _readings(part, lab, run.sizes, run.systems):
                if not run.readings or run.readings[-1].key != reading.key:  # the first of a row is enough
                    _say(f"{reading.what}: {short(reading.value)} {reading.unit}")
                run.readings.append(reading)
        except Exception as error:  # noqa: BLE001 - one part that fails must not cost what the others found
            run.failed[part] = f"{type(error).__name__}: {error}"
            _say(f"{part} FAILED: {run.failed[part]}")
        _say(f"-- {part}: {time.monotonic() - begun:.0f} s")


def _why_not(system: System, sizes: Sizes) -> str:
    return system.missing or ("" if sizes.jobs(system) else "takes too long for a quick run")


def _readings(part: str, lab: Lab, sizes: Sizes, systems: Sequence[System]) -> Iterator[Reading]:
    own = [system for system in systems if system.key in ("countermand-postgresql", "countermand-sqlite")]
    shared = [system for system in own if system.database == "postgresql"]
    one_by_one = {"conductors": (scaling.measure, shared), "http": (serving.measure, own)}
    match part:
        case "systems":
            yield from side_by_side.measure(lab, sizes, systems)
        case "conductors" | "http":
            measure_one, systems = one_by_one[part]
            for system in systems:
                yield from measure_one(lab, sizes, system)
        case "post":
            yield from posting.measure(lab, sizes, own)
        case "cancel":
            yield from cancels.measure(lab, sizes, own)
        case "memory":
            yield from memory.measure(lab, sizes, (shared or own)[0])
        case "commands":
            yield from start_up.measure_help(sizes)
        case "growth":
            yield from growth.measure(lab, sizes, own)


def _notes(run: Run, found: Conditions) -> list[str]:
    modules = {system.module: system for system in run.systems}
    return [
        f"Measured on {found}.",
        "PostgreSQL waits for its disk (fsync on), Redis (appendfsync no) and ZooKeeper (forceSync no) do not.",
        "Systems ran alternating, with 8 jobs at once; a ratio is the median of the ratios of each round.",
        "Of fewer than 100 readings p99 is the slowest, of fewer than 20 p95 too.",
        f"Sizes: {json.dumps(asdict(run.sizes))}.",
        *(f"{system.name.partition(',')[0]}: {system.load().PARAMETERS}." for system in modules.values()),
        *(f"Left out: {name}: {why}." for name, why in run.left_out.items()),
        *(f"Failed: {part}: {why}." for part, why in run.failed.items()),
    ]


def _write(folder: Path, run: Run, found: Conditions, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps(as_json(run, found), indent=1) + "\n", encoding="utf-8")
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is None:
        _say("no picture: matplotlib is not installed")
        return
    from benchmarks.plot import write_svg  # noqa: PLC0415 - not everyone has what it needs

    write_svg(folder / "benchmarks.svg", run.figures, f"Measured on {found}")


def as_json(run: Run, found: Conditions) -> dict[str, Any]:
    """All of a run, each reading too."""
    return {
        "conditions": asdict(found),
        "sizes": asdict(run.sizes),
        "jobs": {system.key: run.sizes.jobs(system) for system in run.systems},
        "parameters": {system.key: system.load().PARAMETERS for system in run.systems},
        "figures": [asdict(figure) for figure in run.figures.values()],
        "targets": [
            {
                "what": row.target.what,
                "unit": row.target.unit,
                "goal": row.target.goal,
                "stretch": row.target.stretch,
                "at_most": row.target.at_most,
                "measured": asdict(row.value) if row.value else None,
                "reached": row.verdict.value,
            }
            for row in run.rows
        ],
        "left_out": run.left_out,
        "failed": run.failed,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev.py bench",
        description="Measure Countermand, and other systems beside it.",
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: two minutes, not an hour")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "benchmarks" / "results",
        metavar="FOLDER",
        help="where benchmarks.json, .md and .svg are written  [benchmarks/results]",
    )
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
