"""The graph of a job as SVG that a page carries in itself: its style sheet colours it, its script changes it.

Each node says its task in `data-task`, its state in its class. It has room for the words of every state, so that a
change of state moves nothing. A sign is one of those at the beginning, by its id.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from poster.graph_layout import Route, Sizes, lay_out
from poster.graph_svg import SIGNS, letters, short

if TYPE_CHECKING:
    from poster.graph import Graph, Node
    from poster.graph_layout import Layout

Direction = Literal["right", "down"]

_LETTER: Final = 7.9  # pixels, a little more than most fonts need
_SMALL_LETTER: Final = 6.6
_LONGEST_STATE: Final = "revert failure"
_HEIGHT: Final = 48.0
_ARROW: Final = 7.0
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
        width, height = _n(wide + 2 * _MARGIN), _n(high + 2 * _MARGIN)
        yield f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" width="{width}" height="{height}"'
        yield f' viewBox="{_n(-_MARGIN)} {_n(-_MARGIN)} {width} {height}" role="img">'
        yield f"<title>{_text(f'The tasks of flow {self._graph.name}, and which waits for which')}</title><defs>"
        yield from (f'<path id="sign-{sign}" d="{path}"/>' for sign, path in SIGNS.items())
        yield "</defs>"
        for route in self._layout.routes:
            yield f'<path class="edge" d="{self._way(route)}"/><path class="head" d="{self._head(route)}"/>'
        yield from (self._box(node) for node in self._graph.nodes)
        yield "</svg>"

    def _box(self, node: Node) -> str:
        layout, sizes = self._layout, self._layout.sizes
        corner = layout.centres[node.name] - sizes.box_width / 2, layout.top(layout.layer_of[node.name])
        x, y = self._turned(*corner)
        width, height = self._turned(sizes.box_width, sizes.box_height)
        look = node.state or node.kind
        radius = 24 if node.kind == "retry" else 8
        final = _FINAL.format(x=_n(width - 16)) if node.irreversible else ""
        told = node.state.replace("_", " ") if node.state else "retry controller" * (node.kind == "retry")
        return (
            f'<g class="node {look}" data-task="{_text(node.name)}" transform="translate({_n(x)} {_n(y)})">'
            f"<title>{_text(node.name)}</title>"
            f'<rect class="box" width="{_n(width)}" height="{_n(height)}" rx="{radius}"/>'
            f'<use class="sign" href="#sign-{look if look in SIGNS else "pending"}" x="22" y="{_n(height / 2)}"/>'
            f'<text class="name" x="40" y="{_n(height / 2 - 4)}">{_text(short(node.name))}</text>'
            f'<text class="told" x="40" y="{_n(height / 2 + 13)}"><tspan class="state">{told}</tspan></text>'
            f'<rect class="bar" x="1" y="{_n(height - 4)}" width="0" height="3" data-whole="{_n(width - 2)}"/>'
            f"{final}</g>"
        )

    def _way(self, route: Route) -> str:
        """Curves from layer to layer; straight where it passes one."""
        layout, size = self._layout, self._layout.sizes.box_height
        layer, at = route.first_layer, route.columns[0]
        parts = [f"M{self._point(at, layout.top(layer) + size)}"]
        for number, to in enumerate(route.columns[1:], start=1):
            last = number == len(route.columns) - 1
            begin, end = layout.top(layer) + size, layout.top(layer + 1) - (_ARROW if last else 0)
            half = (begin + end) / 2
            parts.append(f"C{self._point(at, half)} {self._point(to, half)} {self._point(to, end)}")
            if not last:
                parts.append(f"L{self._point(to, end + size)}")
            at, layer = to, layer + 1
        return "".join(parts)

    def _head(self, route: Route) -> str:
        at = route.columns[-1]
        tip = self._layout.top(route.first_layer + len(route.columns) - 1) - 1
        back = tip - _ARROW - 1
        return f"M{self._point(at - 4.5, back)}L{self._point(at, tip)}L{self._point(at + 4.5, back)}Z"

    def _turned(self, x: float, y: float) -> tuple[float, float]:
        return (y, x) if self._across else (x, y)

    def _point(self, x: float, y: float) -> str:
        return " ".join(map(_n, self._turned(x, y)))


def _width(node: Node) -> float:
    told = letters("retry controller" if node.kind == "retry" else _LONGEST_STATE)
    sign = 18 if node.irreversible else 0
    return 54 + max(letters(short(node.name)) * _LETTER + sign, told * _SMALL_LETTER)


def _text(text: str) -> str:
    """Text for XML, in which some characters cannot even be written as references."""
    return html.escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
