"""A graph as SVG: one file for light and dark, without scripts, and without anything from elsewhere. Pure.

States are told three times, by colour, by a sign and by a word; what has to do with reverting has a broken border.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from poster.graph_edges import edges
from poster.graph_layout import Layout, Sizes, lay_out
from poster.svg_words import escaped, number

if TYPE_CHECKING:
    from poster.graph import Graph, Node

_MARGIN: Final = 24.0
_HEAD: Final = 56.0  # the title above the graph
_HEADING_LETTER: Final = 10.0
_LETTER: Final = 7.9  # pixels of a letter of a name, a little more than most fonts need
_SMALL_LETTER: Final = 6.9
_LONGEST: Final = 34  # letters of a name; the whole stands in the box's title
_LEAST_WIDTH: Final = 116.0

SIGNS: Final[Mapping[str, str]] = {
    "pending": "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
    "running": "M-3.5-5.5L5.5 0L-3.5 5.5Z",
    "success": "M-5.5 .5L-1.5 4.5L5.5-4.5",
    "failure": "M-4.5-4.5L4.5 4.5M4.5-4.5L-4.5 4.5",
    "reverting": "M-1.5-6L-5.5-2L-1.5 2M-5.5-2H2A3.8 3.8 0 0 1 2 5.6H-2",
    "reverted": "M-1.5-6L-5.5-2L-1.5 2M-5.5-2H2A3.8 3.8 0 0 1 2 5.6H-2",
    "revert_failure": "M0-6V1.5M0 5.6V5.7",
    "retry": "M5-2.6A5.6 5.6 0 1 0 5.6 1M5.6-6.4V-2.4H1.6",
}
"""Signs, 12 pixels wide, about the origin."""

_LIGHT: Final[Mapping[str, tuple[str, str]]] = {
    "pending": ("#f6f8fa", "#818b98"),
    "running": ("#ddf4ff", "#0969da"),
    "success": ("#dafbe1", "#1a7f37"),
    "failure": ("#ffebe9", "#cf222e"),
    "reverting": ("#fff1d6", "#9a6700"),
    "reverted": ("#f7f1e3", "#9a6700"),
    "revert_failure": ("#ffebe9", "#cf222e"),
    "retry": ("#f4eeff", "#8250df"),
    "task": ("#f6f8fa", "#59636e"),
}
_DARK: Final[Mapping[str, tuple[str, str]]] = {
    "pending": ("#161b22", "#7d8590"),
    "running": ("#0c2743", "#58a6ff"),
    "success": ("#10291a", "#3fb950"),
    "failure": ("#381618", "#f85149"),
    "reverting": ("#33260a", "#e3b341"),
    "reverted": ("#221d12", "#d29922"),
    "revert_failure": ("#381618", "#f85149"),
    "retry": ("#231a38", "#a371f7"),
    "task": ("#161b22", "#9198a1"),
}
"""Of each class of boxes: the area, and the border and sign."""


def svg_of(graph: Graph) -> str:
    """The picture. Its first element names it, its second tells it in words."""
    layout = lay_out(graph, _sizes(graph))
    heading = max(letters(graph.name) * _HEADING_LETTER, letters(_subtitle(graph)) * _SMALL_LETTER)
    width = max(layout.width, heading) + 2 * _MARGIN
    height = _HEAD + layout.height + 2 * _MARGIN
    across = (width - layout.width) / 2
    return "\n".join(
        [
            _opening(width, height),
            f'<title id="graph-title">{escaped(_named(graph))}</title>',
            f'<desc id="graph-desc">{escaped(_told(graph))}</desc>',
            f"<style>{_style()}</style>",
            f'<rect class="ground" width="{number(width)}" height="{number(height)}" rx="12"/>',
            _line("heading", _MARGIN, 34, graph.name),
            _line("small", _MARGIN, 54, _subtitle(graph)),
            f'<g transform="translate({number(across)} {number(_HEAD + _MARGIN)})">',
            *edges(layout),
            *(_box(node, layout) for node in graph.nodes),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _opening(width: float, height: float) -> str:
    named = 'class="countermand-graph" role="img" aria-labelledby="graph-title graph-desc"'
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {named} {size}>'


def _line(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" text-anchor="{anchor}" x="{number(x)}" y="{number(y)}">{escaped(text)}</text>'


# Words


def _named(graph: Graph) -> str:
    return f"Flow {graph.name}" if graph.job is None else f"Job {graph.job}, {graph.state}: flow {graph.name}"


def _subtitle(graph: Graph) -> str:
    if graph.job is None:
        tasks = sum(node.kind == "task" for node in graph.nodes)
        return f"{tasks} tasks" if tasks != 1 else "1 task"
    guess = "" if graph.guess is None else ", drawn from its record: tasks in a line"
    return f"job {graph.job}, {graph.state}{guess}"


def _told(graph: Graph) -> str:
    """The graph in words: each node, its state, what it waits for."""
    return (
        " ".join(_told_of(node, graph.before[node.name]) for layer in graph.layers for node in layer)
        or "No tasks."
    )


def _told_of(node: Node, before: Iterable[str]) -> str:
    facts = _second_line(node)
    waits = ", ".join(before)
    return node.name + (f" ({facts})" if facts else "") + (f", after {waits}." if waits else ".")


def _second_line(node: Node) -> str:
    state = node.state.replace("_", " ") if node.state else ""
    far = f"{state} {int(node.progress * 100 + 1e-6)} %" if node.progress is not None else state
    return ", ".join(
        word
        for word in (far, "retry controller" * (node.kind == "retry"), "irreversible" * node.irreversible)
        if word
    )


# Boxes


def _sizes(graph: Graph) -> Sizes:
    """One size for all boxes: that of the longest words."""
    signs = 30.0 if any(map(_sign, graph.nodes)) else 0.0
    names = (letters(short(node.name)) * _LETTER for node in graph.nodes)
    seconds = (letters(_second_line(node)) * _SMALL_LETTER for node in graph.nodes)
    width = max(_LEAST_WIDTH, *names, *seconds, 0.0) + signs + 28
    height = 52.0 if any(map(_second_line, graph.nodes)) else 38.0
    return Sizes(width, height, gap_across=28, gap_down=46, bend_width=10)


def _box(node: Node, layout: Layout) -> str:
    sizes = layout.sizes
    left, top = layout.centres[node.name] - sizes.box_width / 2, layout.top(layout.layer_of[node.name])
    radius = sizes.box_height / 2 if node.kind == "retry" else 9
    facts = _second_line(node)
    return "\n".join(
        [
            f'<g class="node {_look(node)}" transform="translate({number(left)} {number(top)})">',
            f"<title>{escaped(node.name + (f': {facts}' if facts else ''))}</title>",
            f'<rect width="{number(sizes.box_width)}" height="{number(sizes.box_height)}" rx="{number(radius)}"/>',
            *_inside(node, facts, sizes),
            "</g>",
        ]
    )


def _inside(node: Node, facts: str, sizes: Sizes) -> Iterator[str]:
    middle = sizes.box_height / 2
    sign = _sign(node)
    at, anchor = (42.0, "start") if sign else (sizes.box_width / 2, "middle")
    if sign:
        yield f'<path class="sign" transform="translate(23 {number(middle)})" d="{SIGNS[sign]}"/>'
    yield _line("name", at, middle + (-4 if facts else 5), short(node.name), anchor)
    if facts:
        yield _line("small", at, middle + 15, facts, anchor)
    if node.progress is not None:
        yield _bar(node.progress, sizes)


def _bar(progress: float, sizes: Sizes) -> str:
    """How far a task is, along the lower border."""
    length = (sizes.box_width - 24) * min(1.0, max(0.0, progress))
    at = f'x="12" y="{number(sizes.box_height - 5)}"'
    return f'<rect class="bar" {at} width="{number(length)}" height="2.5" rx="1.2"/>'


def _look(node: Node) -> str:
    """The class that colours a node: its state, where it has one."""
    return node.state if node.state is not None and node.state in _LIGHT else node.kind


def _sign(node: Node) -> str | None:
    return _look(node) if _look(node) in SIGNS else None


# Looks


def _style() -> str:
    fonts = 'system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif'
    still = [
        f"text{{font-family:{fonts};font-size:14px}}",
        ".heading{font-size:17px;font-weight:600}",
        ".small{font-size:12px}",
        ".name{font-weight:500}",
        ".edge{fill:none;stroke-width:1.5}",
        ".node>rect{stroke-width:1.5}",
        ".node>.bar{stroke:none}",
        ".sign{fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}",
        ".reverting>rect,.reverted>rect,.revert_failure>rect{stroke-dasharray:5 3}",
        ".running>rect,.failure>rect,.revert_failure>rect{stroke-width:2.5}",
    ]
    light = _colours(_LIGHT, ground="#ffffff", ink="#1f2328", faint="#4f5862", line="#818b98")
    dark = _colours(_DARK, ground="#0d1117", ink="#e6edf3", faint="#a9b1ba", line="#7d8590")
    return "".join([*_scoped(still), *_scoped(light), "@media(prefers-color-scheme:dark){", *_scoped(dark), "}"])


def _colours(boxes: Mapping[str, tuple[str, str]], *, ground: str, ink: str, faint: str, line: str) -> list[str]:
    return [
        f".ground{{fill:{ground}}}",
        f"text{{fill:{ink}}}",
        f".small{{fill:{faint}}}",
        f".edge{{stroke:{line}}}",
        f".head{{fill:{line}}}",
        *(
            f".{look}>rect{{fill:{area};stroke:{border}}}.{look}>.sign{{stroke:{border}}}.{look}>.bar{{fill:{border}}}"
            for look, (area, border) in boxes.items()
        ),
        f".running>.sign{{fill:{boxes['running'][1]}}}",
        f".pending>.sign{{fill:{boxes['pending'][1]}}}",
    ]


def _scoped(rules: Iterable[str]) -> Iterator[str]:
    """Rules that touch nothing else, where a page carries the picture in itself."""
    for rule in rules:
        for one in rule.split("}"):
            selectors, brace, values = one.partition("{")
            if brace:
                yield ",".join(f".countermand-graph {part}" for part in selectors.split(",")) + f"{{{values}}}"


# Letters


def short(name: str) -> str:
    """A name that is not endless."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def letters(text: str) -> int:
    """How wide a text is, in letters."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
