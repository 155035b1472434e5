"""The graph that a page carries in itself."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from poster.graph import Graph, Node
from poster.web.page.picture import Direction, picture_of

_SVG = "{http://www.w3.org/2000/svg}"
_NODES = (
    Node("fetch", "task", state="success"),
    Node("again", "retry"),
    Node('<b> & "quoted"', "task", irreversible=True, state="running"),
)
_GRAPH = Graph("film", _NODES, (("fetch", "again"), ("again", '<b> & "quoted"'), ("fetch", '<b> & "quoted"')))


@pytest.mark.parametrize("direction", ["right", "down"])
def test_nodes_are_told_by_their_task(direction: Direction) -> None:
    drawn = ElementTree.fromstring(picture_of(_GRAPH, direction))
    nodes = {node.get("data-task"): node for node in drawn.iter(f"{_SVG}g") if node.get("data-task")}
    assert {name: node.get("class") for name, node in nodes.items()} == {
        "fetch": "node success",
        "again": "node retry",
        '<b> & "quoted"': "node running",
    }
    assert nodes['<b> & "quoted"'].find(f"{_SVG}g[@class='final']") is not None
    assert nodes["fetch"].find(f"{_SVG}g[@class='final']") is None


@pytest.mark.parametrize("direction", ["right", "down"])
def test_it_has_no_style_and_no_script(direction: Direction) -> None:
    """The page's policy lets none be there."""
    drawn = ElementTree.fromstring(picture_of(_GRAPH, direction))
    assert not [one for one in drawn.iter() if one.tag in (f"{_SVG}style", f"{_SVG}script") or one.get("style")]


def test_it_leads_to_the_right_or_down() -> None:
    line = Graph("line", _NODES[:2], (("fetch", "again"),))
    right, down = (ElementTree.fromstring(picture_of(line, direction)) for direction in ("right", "down"))
    assert float(right.get("width", 0)) > float(right.get("height", 0))
    assert float(down.get("height", 0)) > float(right.get("height", 0))


def test_no_tasks() -> None:
    assert ElementTree.fromstring(picture_of(Graph("none", (), ()), "right")).tag == f"{_SVG}svg"


def test_every_sign_that_is_used_is_there() -> None:
    drawn = ElementTree.fromstring(picture_of(_GRAPH, "right"))
    signs = {one.get("id") for one in drawn.iter(f"{_SVG}path") if one.get("id")}
    assert {one.get("href", "")[1:] for one in drawn.iter(f"{_SVG}use")} <= signs
