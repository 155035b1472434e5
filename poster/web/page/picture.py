"""The graph of a job as SVG that a page carries in itself: its style sheet colours it, its script changes it.

Each node says its task in `data-task`, its state in its class. It has room for the words of every state, so that a
change of state moves nothing. A sign is one of those at the beginning, by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from poster.graph_edges import edges
from poster.graph_layout import Sizes, lay_out
from poster.graph_svg import SIGNS, letters, short
from poster.svg_words import escaped, number

if TYPE_CHECKING:
    from poster.graph import Graph, Node
    from poster.graph_layout import Layout

Direction = Literal["right", "down"]

_LETTER: Final = 7.9  # pixels, a little more than most fonts need
_SMALL_LETTER: Final = 6.6
_LONGEST_STATE: Final = "revert failure"
_HEIGHT: Final = 48.0
_MARGIN: Final = 3.0
_FINAL: Final = (
    '<g class="final" transform="translate({x} 15)"><title>Cannot be undone</title>'
    '<path d="M-4 0V-2.2A2.2 2.2 0 0 1 4-2.2V0M-4.6 0H4.6V5.4H-4.6Z"/></g>'
)
"""A lock: of a task whose effect cannot be undone."""


def picture_of(graph: Graph, direction: Direction) -> str:
    """The picture. `direction`: where the flow leads."""
    return "".join(_Picture(graph, direction).parts())


class _Picture:
    """Layers are laid out downwards; where they lead to the right, both axes are exchanged."""

    def __init__(self, graph: Graph, direction: Direction) -> None:
        self._graph = graph
        self._across = direction == "right"
        self._width = max(_width(node) for node in graph.nodes) if graph.nodes else 0.0
        self._layout: Layout = lay_out(graph, self._sizes())

    def _sizes(self) -> Sizes:
        if self._across:
            return Sizes(_HEIGHT, self._width, gap_across=16, gap_down=40, bend_width=10)
        return Sizes(self._width, _HEIGHT, gap_across=20, gap_down=34, bend_width=10)

    def parts(self) -> Iterator[str]:
        wide, high = self._turned(self._layout.width, self._layout.height)
        width, height = number(wide + 2 * _MARGIN), number(high + 2 * _MARGIN)
        yield f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" width="{width}" height="{height}"'
        yield f' viewBox="{number(-_MARGIN)} {number(-_MARGIN)} {width} {height}" role="img">'
        yield f"<title>{escaped(f'The tasks of flow {self._graph.name}, and which waits for which')}</title><defs>"
        yield from (f'<path id="sign-{sign}" d="{path}"/>' for sign, path in SIGNS.items())
        yield "</defs>"
        yield from edges(self._layout, across=self._across)
        yield from (self._box(node) for node in self._graph.nodes)
        yield "</svg>"

    def _box(self, node: Node) -> str:
        layout, sizes = self._layout, self._layout.sizes
        corner = layout.centres[node.name] - sizes.box_width / 2, layout.top(layout.layer_of[node.name])
        x, y = self._turned(*corner)
        width, height = self._turned(sizes.box_width, sizes.box_height)
        look = node.state or node.kind
        radius = 24 if node.kind == "retry" else 8
        final = _FINAL.format(x=number(width - 16)) if node.irreversible else ""
        told = node.state.replace("_", " ") if node.state else "retry controller" * (node.kind == "retry")
        sign = look if look in SIGNS else "pending"
        place = f'transform="translate({number(x)} {number(y)})"'
        return (
            f'<g class="node {look}" data-task="{escaped(node.name)}" {place}>'
            f"<title>{escaped(node.name)}</title>"
            f'<rect class="box" width="{number(width)}" height="{number(height)}" rx="{radius}"/>'
            f'<use class="sign" href="#sign-{sign}" x="22" y="{number(height / 2)}"/>'
            f'<text class="name" x="40" y="{number(height / 2 - 4)}">{escaped(short(node.name))}</text>'
            f'<text class="told" x="40" y="{number(height / 2 + 13)}"><tspan class="state">{told}</tspan></text>'
            f'<rect class="bar" x="1" y="{number(height - 4)}" width="0" height="3"'
            f' data-whole="{number(width - 2)}"/>'
            f"{final}</g>"
        )

    def _turned(self, x: float, y: float) -> tuple[float, float]:
        return (y, x) if self._across else (x, y)


def _width(node: Node) -> float:
    told = letters("retry controller" if node.kind == "retry" else _LONGEST_STATE)
    sign = 18 if node.irreversible else 0
    return 54 + max(letters(short(node.name)) * _LETTER + sign, told * _SMALL_LETTER)
