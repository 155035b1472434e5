"""The picture of a run: an SVG that can be read on light and on dark pages."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from benchmarks.figure import Figure, percentile
from benchmarks.systems import SYSTEMS

_INK: Final = "#24292f"
_INK_ON_DARK: Final = "#e6edf3"
_OURS: Final = "#2f81f7"
_OTHERS: Final = "#8b949e"
# matplotlib writes a colour into each element, so the style has to find them by it.
_STYLE: Final = (
    f'<style>@media (prefers-color-scheme: dark) {{ [style*="fill: {_INK}"] {{ fill: {_INK_ON_DARK} !important }} '
    f'[style*="stroke: {_INK}"] {{ stroke: {_INK_ON_DARK} !important }} }}</style>'
)
_LOOK: Final = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "countermand",  # the same run makes the same file
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
}


def write_svg(path: Path, figures: Mapping[str, Figure], note: str) -> None:
    """Draw what was measured side by side: jobs a second, time to the first step, and several conductors."""
    panels = [panel for panel in _panels(figures) if panel.bars]
    rows = sum(len(panel.bars) for panel in panels)
    with rc_context(_LOOK):
        canvas = Canvas(figsize=(8, 0.26 * rows + 0.6 * len(panels) + 0.3), layout="constrained")
        heights = [len(panel.bars) + 1 for panel in panels]
        axes = canvas.subplots(len(panels), squeeze=False, height_ratios=heights) if panels else []
        for (one,), panel in zip(axes, panels, strict=True):
            _draw(one, panel)
        canvas.supxlabel("\n".join(textwrap.wrap(note, 150)), fontsize=6)
        text = io.StringIO()
        canvas.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    path.write_text(_styled(text.getvalue()), encoding="utf-8")


@dataclass(frozen=True)
class _Bar:
    name: str
    least: float
    middle: float
    most: float
    is_ours: bool = True


@dataclass(frozen=True)
class _Panel:
    title: str
    bars: Sequence[_Bar]
    is_log: bool = False


def _panels(figures: Mapping[str, Figure]) -> list[_Panel]:
    of_systems = {system: system.key.startswith("countermand") for system in SYSTEMS}
    drained = [
        _Bar(system.name, min(one.values), one.median, max(one.values), ours)
        for system, ours in of_systems.items()
        if (one := figures.get(f"drained:{system.key}"))
    ]
    starts = [
        _Bar(system.name, one.median, one.median, percentile(one.values, 0.95), ours)
        for system, ours in of_systems.items()
        if (one := figures.get(f"start:{system.key}"))
    ]
    conductors = [
        _Bar(key.replace("conductors:", "conductors: "), min(one.values), one.median, max(one.values))
        for key, one in figures.items()
        if key.startswith("conductors:")
    ]
    return [
        _Panel("jobs of three steps drained a second: median, least to most", drained),
        _Panel("from post to first step when idle, ms: median, to p95", starts, is_log=True),
        _Panel("jobs drained a second by several conductors on one PostgreSQL", conductors),
    ]


def _draw(axes: Any, panel: _Panel) -> None:
    bars = panel.bars
    lines = [[bar.middle - bar.least for bar in bars], [bar.most - bar.middle for bar in bars]]
    colors = [_OURS if bar.is_ours else _OTHERS for bar in bars]
    names, middles = [bar.name for bar in bars], [bar.middle for bar in bars]
    axes.barh(names, middles, xerr=lines, color=colors, ecolor=_INK, height=0.7)
    axes.invert_yaxis()
    axes.set_title(panel.title, loc="left", fontsize=10)
    if panel.is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")


def _styled(svg: str) -> str:
    before, tag, after = svg.partition("<defs>")
    return f"{before}{_STYLE}{tag}{after}"
