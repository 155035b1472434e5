"""Draws `docs/states.svg` from the table of transitions: `python docs/states_picture.py`.

A test holds the picture against the table. Colours follow the reader's light or dark setting.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jobboard.states import AT_REST, ENDED, TRANSITIONS, State

S = State
PLACES: dict[State, tuple[int, int]] = {
    S.PENDING: (90, 190),
    S.RUNNING: (290, 190),
    S.COMPLETED: (880, 60),
    S.PAUSING: (430, 60),
    S.PAUSED: (640, 60),
    S.REVERTING: (520, 190),
    S.CANCELLING: (520, 330),
    S.FAILED: (880, 190),
    S.CANCELLED: (880, 330),
    S.REVERT_FAILED: (720, 450),
}
WIDTH, HEIGHT, BOX_W, BOX_H = 980, 510, 116, 38
STYLE = """
  :root{color-scheme:light dark}
  text{font:500 14px system-ui,sans-serif;text-anchor:middle;dominant-baseline:central;fill:#1c2733}
  .box{fill:#fff;stroke:#7b8794;stroke-width:1.4}
  .current{fill:#e8f1fd;stroke:#2f6fc4}
  .ended{fill:#eef1f4;stroke:#52606d}
  .edge{fill:none;stroke:#8a97a5;stroke-width:1.3;marker-end:url(#tip)}
  .cancel{stroke:#c2410c}
  #tip path{fill:#8a97a5}
  @media (prefers-color-scheme:dark){
    text{fill:#e4e9ee}.box{fill:#1b232b;stroke:#8a97a5}.current{fill:#17304f;stroke:#5b9bf0}
    .ended{fill:#2a333c;stroke:#9aa7b4}.edge{stroke:#7b8794}.cancel{stroke:#f08a4b}#tip path{fill:#9aa7b4}
  }
"""


def picture() -> str:
    """The whole SVG."""
    edges: dict[tuple[State, State], list[str]] = {}
    for t in TRANSITIONS:
        edges.setdefault((t.source, t.target), []).append(f"{t.cause}: {t.reason}")
    drawn = "\n".join(_edge(source, target, reasons) for (source, target), reasons in edges.items())
    boxes = "\n".join(_box(state) for state in State)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="The states of a job and the ways between them">\n<style>{STYLE}</style>\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker></defs>\n'
        f"{drawn}\n{boxes}\n</svg>\n"
    )


def _box(state: State) -> str:
    x, y = PLACES[state]
    kind = "ended" if state in ENDED else "" if state in AT_REST or state is S.PENDING else "current"
    label = str(state).replace("_", " ")
    return (
        f'<rect class="box {kind}" x="{x - BOX_W / 2:g}" y="{y - BOX_H / 2:g}" width="{BOX_W}" height="{BOX_H}" '
        f'rx="8"/><text x="{x}" y="{y}">{label}</text>'
    )


def _edge(source: State, target: State, reasons: list[str]) -> str:
    (x1, y1), (x2, y2) = PLACES[source], PLACES[target]
    length = math.hypot(x2 - x1, y2 - y1)
    # Bent to the left of its way, so that there and back do not cover each other.
    bend = 0.13 * length
    cx, cy = (x1 + x2) / 2 + (y2 - y1) / length * bend, (y1 + y2) / 2 - (x2 - x1) / length * bend
    (ax, ay), (bx, by) = _border(x1, y1, cx, cy), _border(x2, y2, cx, cy)
    kind = "edge cancel" if any(reason.startswith("cancel:") for reason in reasons) else "edge"
    path = f'<path class="{kind}" d="M{ax:.0f} {ay:.0f}Q{cx:.0f} {cy:.0f} {bx:.0f} {by:.0f}"/>'
    return f"<g><title>{source} to {target}. {'; '.join(reasons)}</title>{path}</g>"


def _border(x: float, y: float, toward_x: float, toward_y: float) -> tuple[float, float]:
    dx, dy = toward_x - x, toward_y - y
    scale = min(
        (BOX_W / 2 + 3) / abs(dx) if dx else math.inf,
        (BOX_H / 2 + 3) / abs(dy) if dy else math.inf,
    )
    return x + dx * scale, y + dy * scale


if __name__ == "__main__":
    Path(__file__).with_name("states.svg").write_text(picture(), encoding="utf-8")
