"""`poster graph`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from poster.cli import completion, session, words
from poster.cli.exit_codes import DONE
from poster.cli.output import GAP, Output, Part, bold, dim, say

if TYPE_CHECKING:
    from poster.graph import Graph, Node


@click.argument("flow_or_job", metavar="FLOW|JOB", shell_complete=completion.flows_and_jobs)
@click.option(
    "--svg",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write a picture to FILE, - for standard output.",
)
def graph(flow_or_job: str, svg: str | None) -> int:
    """Draw the graph of a flow, or of a job with its tasks' states.

    Tasks that may run at once stand in one layer. Each waits for all of the layer above, unless "after" tells
    what it waits for. A flow is drawn with its default arguments. A job of a flow that is not known here, or
    has changed, is drawn from its record: its tasks in a line.

    \b
    Examples:
      poster graph process_files
      poster graph 01hx5 --svg job.svg
      poster graph 01hx5 --json | jq -r '.nodes[].state'
    """
    out = session.output()
    if svg is not None and out.json:
        raise click.UsageError("--svg or --json, not both")
    with session.open_client() as client:
        found = client.graph(flow_or_job)
    if found.guess is not None:
        say(f"job {found.job}: drawn from its record, its tasks in a line: {found.guess}")
    if svg is not None:
        _write_svg(found, svg)
    elif out.json:
        _write_json(out, found)
    else:
        _print(out, found)
    return DONE


def _write_svg(found: Graph, where: str) -> None:
    from poster.graph_svg import svg_of

    drawn = svg_of(found)
    if where == "-":
        # References for what is not ASCII: the picture says nothing of its encoding, so that of the terminal goes.
        click.echo(drawn.encode("ascii", "xmlcharrefreplace").decode(), nl=False)
        return
    try:
        Path(where).write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise click.FileError(where, error.strerror) from error


def _write_json(out: Output, found: Graph) -> None:
    from poster.job_json import graph_document

    out.document(graph_document(found))


def _print(out: Output, found: Graph) -> None:
    if found.job is not None:
        out.line(bold(found.job), GAP, found.name, GAP, out.state(found.state or ""))
    else:
        out.line(bold(found.name))
    if not found.nodes:
        say("no tasks to draw")
        return
    out.line()
    columns = [column for column in zip(*_rows(out, found), strict=True) if any(column)]
    out.table((), list(zip(*columns, strict=True)), indent="  ")


def _rows(out: Output, found: Graph) -> Iterator[tuple[Part, ...]]:
    above: tuple[Node, ...] = ()
    for layer in found.layers:
        if above:
            yield ("│" if out.icons else "|"), "", "", ""
        for node in layer:
            rail = _rail(out, layer, starts=not above and node is layer[0], ends=node is found.layers[-1][-1])
            yield rail + node.name, _state(out, node), _dim(_marks(node)), _dim(_after(found, node, above))
        above = layer


def _rail(out: Output, layer: tuple[Node, ...], *, starts: bool, ends: bool) -> str:
    """The line from the layer above, and a dot for the node."""
    if len(layer) == 1:
        return "● " if out.icons else "* "
    if not out.icons:
        return "+-* "
    return f"{'╭' if starts else '╰' if ends else '├'}─● "


def _state(out: Output, node: Node) -> Part:
    return out.state(node.state) if node.state else ""


def _dim(text: str) -> Part:
    return dim(text) if text else ""


def _marks(node: Node) -> str:
    far = "" if node.progress is None else words.percent(node.progress)
    return GAP.join(
        word for word in (far, "retry" * (node.kind == "retry"), "irreversible" * node.irreversible) if word
    )


def _after(found: Graph, node: Node, above: tuple[Node, ...]) -> str:
    """What it waits for; nothing if that is all of the layer above."""
    before = found.before[node.name]
    return "" if set(before) == {one.name for one in above} else f"after {', '.join(before)}"
