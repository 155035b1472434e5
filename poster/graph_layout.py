"""Where the boxes of a graph stand and how its edges run: layers from top to bottom, few crossings. Pure.

A long edge bends where it passes a layer, between that layer's boxes: nothing runs through a box. Each layer is
ordered by where its neighbours stand; then all of them move under each other, as far as their order allows.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from poster.graph import Graph

_SWEEPS: Final = 9  # down and up in turn, down last; more hardly change anything


@dataclass(frozen=True)
class Sizes:
    """In pixels."""

    box_width: float
    box_height: float
    gap_across: float  # between boxes of a layer
    gap_down: float  # between layers
    bend_width: float  # what a long edge takes of a layer that it passes


@dataclass(frozen=True)
class Route:
    """The way of an edge: from the lower border of a box to the upper border of another."""

    source: str
    target: str
    columns: tuple[float, ...]  # x in each layer on the way, those of the two boxes included
    first_layer: int


@dataclass(frozen=True)
class Layout:
    """Boxes and edges; the origin is the upper left corner of the whole."""

    centres: Mapping[str, float]  # x of each node
    layer_of: Mapping[str, int]
    routes: tuple[Route, ...]
    width: float
    height: float
    sizes: Sizes

    def top(self, layer: int) -> float:
        """The upper border of a layer's boxes."""
        return layer * (self.sizes.box_height + self.sizes.gap_down)


@dataclass(frozen=True)
class _Bend:
    edge: int
    layer: int


_Spot = str | _Bend
"""What takes a place in a layer: a node by its name, or the bend of a long edge."""


@dataclass(frozen=True)
class _Grid:
    """Layers of spots, and each spot's neighbours."""

    rows: Sequence[list[_Spot]]
    above: Mapping[_Spot, list[_Spot]]
    below: Mapping[_Spot, list[_Spot]]


def lay_out(graph: Graph, sizes: Sizes) -> Layout:
    """Give each node and edge its place."""
    layer_of = {node.name: number for number, layer in enumerate(graph.layers) for node in layer}
    ways = [_way(number, edge, layer_of) for number, edge in enumerate(graph.edges)]
    grid = _ordered(_grid([[node.name for node in layer] for layer in graph.layers], ways))
    columns = _columns(grid, sizes)
    routes = tuple(
        Route(source, target, tuple(columns[spot] for spot in way), layer_of[source])
        for (source, target), way in zip(graph.edges, ways, strict=True)
    )
    rows = len(grid.rows)
    return Layout(
        centres={name: columns[name] for name in layer_of},
        layer_of=layer_of,
        routes=routes,
        width=max((columns[row[-1]] + _width(row[-1], sizes) / 2 for row in grid.rows), default=0.0),
        height=rows * sizes.box_height + max(0, rows - 1) * sizes.gap_down,
        sizes=sizes,
    )


def _way(number: int, edge: tuple[str, str], layer_of: Mapping[str, int]) -> list[_Spot]:
    source, target = edge
    passed = range(layer_of[source] + 1, layer_of[target])
    return [source, *(_Bend(number, layer) for layer in passed), target]


def _grid(rows: list[list[_Spot]] | list[list[str]], ways: Iterable[Sequence[_Spot]]) -> _Grid:
    filled: list[list[_Spot]] = [[*row] for row in rows]
    spots: list[_Spot] = [spot for row in filled for spot in row]
    above: dict[_Spot, list[_Spot]] = {spot: [] for spot in spots}
    below: dict[_Spot, list[_Spot]] = {spot: [] for spot in spots}
    for way in ways:
        for upper, lower in pairwise(way):
            if isinstance(lower, _Bend):
                filled[lower.layer].append(lower)
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    return _Grid(filled, above, below)


# The order in each layer


def _ordered(grid: _Grid) -> _Grid:
    """The best of several orders: fewest crossings, and the first among equals, which is nearest to the flow's."""
    return min(_orders(grid), key=_crossings)


def _orders(grid: _Grid) -> Iterator[_Grid]:
    rows = [list(row) for row in grid.rows]
    yield grid
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = grid.above if down else grid.below
        place: dict[_Spot, float] = {}
        for row in rows if down else reversed(rows):
            middles = {spot: _middle(neighbours[spot], place, float(at)) for at, spot in enumerate(row)}
            row.sort(key=middles.__getitem__)  # stable: equals keep their order
            place |= {spot: float(at) for at, spot in enumerate(row)}
        yield _Grid([list(row) for row in rows], grid.above, grid.below)


def _middle(neighbours: Sequence[_Spot], place: Mapping[_Spot, float], otherwise: float) -> float:
    return fmean(place[spot] for spot in neighbours) if neighbours else otherwise


def _crossings(grid: _Grid) -> int:
    place = {spot: at for row in grid.rows for at, spot in enumerate(row)}
    crossings = 0
    for row in grid.rows:
        passed: list[int] = []
        for spot in row:
            ends = sorted(place[lower] for lower in grid.below[spot])
            crossings += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return crossings


# The columns


def _columns(grid: _Grid, sizes: Sizes) -> dict[_Spot, float]:
    """x of the middle of each spot; the leftmost border is at 0."""
    columns: dict[_Spot, float] = {}
    for row in grid.rows:
        columns |= zip(row, _apart([0.0] * len(row), row, sizes), strict=True)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        neighbours = grid.above if down else grid.below
        for row in grid.rows if down else reversed(grid.rows):
            wanted = [_middle(neighbours[spot], columns, columns[spot]) for spot in row]
            columns |= zip(row, _apart(wanted, row, sizes), strict=True)
    left = min((columns[row[0]] - _width(row[0], sizes) / 2 for row in grid.rows), default=0.0)
    return {spot: column - left for spot, column in columns.items()}


def _apart(wanted: Sequence[float], row: Sequence[_Spot], sizes: Sizes) -> list[float]:
    """Columns as near to the wanted ones as they can be (least squares) without overlap, in the order given."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (_width(left, sizes) + _width(right, sizes)) / 2 + sizes.gap_across)
    # Without the room each needs at least, what is left must only not decrease: pools of equals give that.
    pools: list[tuple[float, int]] = []
    for column, offset in zip(wanted, offsets, strict=True):
        mean, count = column - offset, 1
        while pools and pools[-1][0] > mean:
            earlier, many = pools.pop()
            mean, count = (earlier * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    found = [mean for mean, count in pools for _ in range(count)]
    return [column + offset for column, offset in zip(found, offsets, strict=True)]


def _width(spot: _Spot, sizes: Sizes) -> float:
    return sizes.bend_width if isinstance(spot, _Bend) else sizes.box_width
