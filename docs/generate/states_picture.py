"""Draws the main ways of a job, from the table of transitions.

Colours follow the reader's light or dark setting. Ways back are words beside a state: as arrows they would cross
everything.
"""

from __future__ import annotations

from jobboard.states import AT_REST, ENDED, TRANSITIONS, Cause, State

S = State
PLACES: dict[State, tuple[int, int]] = {
    S.PENDING: (80, 160),
    S.RUNNING: (280, 160),
    S.PAUSING: (490, 50),
    S.PAUSED: (700, 50),
    S.COMPLETED: (700, 160),
    S.REVERTING: (490, 260),
    S.FAILED: (700, 260),
    S.CANCELLING: (490, 360),
    S.CANCELLED: (700, 360),
    S.REVERT_FAILED: (700, 450),
}
MAIN = (
    (S.PENDING, S.RUNNING),
    (S.PENDING, S.CANCELLED),
    (S.RUNNING, S.PAUSING),
    (S.PAUSING, S.PAUSED),
    (S.RUNNING, S.COMPLETED),
    (S.RUNNING, S.REVERTING),
    (S.RUNNING, S.CANCELLING),
    (S.REVERTING, S.FAILED),
    (S.REVERTING, S.CANCELLING),
    (S.CANCELLING, S.CANCELLED),
    (S.CANCELLING, S.REVERT_FAILED),
)
BACK = {
    S.PAUSED: ("resume", (Cause.RESUME, S.PENDING)),
    S.FAILED: ("retry", (Cause.RETRY, S.PENDING)),
    S.CANCELLED: ("retry", (Cause.RETRY, S.PENDING)),
    S.REVERT_FAILED: ("clean up", (Cause.CLEANUP, S.CANCELLING)),
}
WIDTH, HEIGHT, BOX_W, BOX_H = 960, 490, 120, 38
STYLE = """
  :root{color-scheme:light dark}
  text{font:500 14px system-ui,sans-serif;text-anchor:middle;dominant-baseline:central;fill:#1c2733}
  .box{fill:#fff;stroke:#7b8794;stroke-width:1.4}
  .current{fill:#e8f1fd;stroke:#2f6fc4}
  .ended{fill:#eef1f4;stroke:#52606d}
  .back{text-anchor:start;font-size:13px;fill:#66727f}
  .edge{fill:none;stroke:#8a97a5;stroke-width:1.3;marker-end:url(#tip)}
  .cancel{stroke:#c2410c}
  #tip path{fill:#8a97a5}
  @media (prefers-color-scheme:dark){
    text{fill:#e4e9ee}.box{fill:#1b232b;stroke:#8a97a5}.current{fill:#17304f;stroke:#5b9bf0}
    .ended{fill:#2a333c;stroke:#9aa7b4}.edge{stroke:#7b8794}.back{fill:#a3afbb}.cancel{stroke:#f08a4b}
    #tip path{fill:#9aa7b4}
  }
"""


def picture() -> str:
    """The whole SVG."""
    reasons = {
        pair: [f"{t.cause}: {t.reason}" for t in TRANSITIONS if (t.source, t.target) == pair] for pair in MAIN
    }
    drawn = "\n".join(_edge(source, target, why) for (source, target), why in reasons.items())
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
    word, back = BACK.get(state, ("", None))
    said = f'<text class="back" x="{x + BOX_W / 2 + 14:g}" y="{y}">↺ {word}, to {back[1]}</text>' if back else ""
    return (
        f'<rect class="box {kind}" x="{x - BOX_W / 2:g}" y="{y - BOX_H / 2:g}" width="{BOX_W}" height="{BOX_H}" '
        f'rx="8"/><text x="{x}" y="{y}">{label}</text>{said}'
    )


def _edge(source: State, target: State, reasons: list[str]) -> str:
    (x1, y1), (x2, y2) = PLACES[source], PLACES[target]
    kind = "edge cancel" if any(reason.startswith("cancel:") for reason in reasons) else "edge"
    if y1 == y2:
        way = f"M{x1 + BOX_W / 2:g} {y1}H{x2 - BOX_W / 2 - 3:g}"
    elif x1 == x2:
        way = f"M{x1} {y1 + BOX_H / 2:g}V{y2 - BOX_H / 2 - 3:g}"
    elif source is S.PENDING:
        low = y2 + 55
        left = x2 - BOX_W / 2
        down = f"M{x1} {y1 + BOX_H / 2:g}V{low - 14}q0 14 14 14H{left - 50:g}"
        way = f"{down}q24 0 24 -24V{y2 + 26}q0 -14 14 -14H{left - 3:g}"
    else:
        start, end, mid = x1 + BOX_W / 2, x2 - BOX_W / 2 - 3, (x1 + x2) / 2
        way = f"M{start:g} {y1}C{mid:g} {y1} {mid:g} {y2} {end:g} {y2}"
    return f'<g><title>{source} to {target}. {"; ".join(reasons)}</title><path class="{kind}" d="{way}"/></g>'
