"""How long commands take that should take no time: `poster --help`, and `poster list` on many jobs."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.command import poster
from benchmarks.figure import Reading
from benchmarks.place import Place
from benchmarks.sizes import Sizes
from benchmarks.systems import System


def measure_help(sizes: Sizes) -> Iterator[Reading]:
    """`poster --help`, which needs no database."""
    poster(Place(), "--help")  # Python compiles what it imports, once
    for _ in range(sizes.commands):
        yield Reading("help", "`poster --help`", "ms", poster(Place(), "--help").took_s * 1000)


def measure_list(place: Place, system: System, sizes: Sizes) -> Iterator[Reading]:
    """`poster list` where there are many jobs."""
    poster(place, "list")
    for _ in range(sizes.commands):
        what = f"`poster list` of {sizes.large:,} jobs: {system.name}"
        yield Reading(f"list:{system.key}", what, "ms", poster(place, "list").took_s * 1000)
