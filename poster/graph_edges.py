"""The edges of a graph as paths of SVG: a way from box to box, and the head of an arrow at its end. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from poster.svg_words import number

if TYPE_CHECKING:
    from poster.graph_layout import Layout, Route

_ARROW: Final = 7.0


def edges(layout: Layout, *, across: bool = False) -> Iterator[str]:
    """All of them. `across`: layers lead to the right and not down, so that both axes are exchanged."""
    pen = _Pen(layout, across)
    for route in layout.routes:
        yield f'<path class="edge" d="{pen.way(route)}"/><path class="head" d="{pen.head(route)}"/>'


class _Pen:
    def __init__(self, layout: Layout, across: bool) -> None:
        self._layout = layout
        self._across = across

    def way(self, route: Route) -> str:
        """Curves from layer to layer; straight where it passes one."""
        layout, size = self._layout, self._layout.sizes.box_height
        layer, at = route.first_layer, route.columns[0]
        parts = [f"M{self._point(at, layout.top(layer) + size)}"]
        for count, to in enumerate(route.columns[1:], start=1):
            last = count == len(route.columns) - 1
            begin, end = layout.top(layer) + size, layout.top(layer + 1) - (_ARROW if last else 0)
            half = (begin + end) / 2
            parts.append(f"C{self._point(at, half)} {self._point(to, half)} {self._point(to, end)}")
            if not last:
                parts.append(f"L{self._point(to, end + size)}")
            at, layer = to, layer + 1
        return "".join(parts)

    def head(self, route: Route) -> str:
        """An arrow's, its tip at the box."""
        at = route.columns[-1]
        tip = self._layout.top(route.first_layer + len(route.columns) - 1) - 1
        back = tip - _ARROW - 1
        return f"M{self._point(at - 4.5, back)}L{self._point(at, tip)}L{self._point(at + 4.5, back)}Z"

    def _point(self, x: float, y: float) -> str:
        return " ".join(map(number, (y, x) if self._across else (x, y)))
