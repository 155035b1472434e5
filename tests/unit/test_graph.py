"""Graphs: what follows what, what of it is known without arguments, where it stands, how it is drawn."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pydantic import SecretStr
from taskflow import retry
from taskflow.patterns import graph_flow, linear_flow, unordered_flow

from flows import CancelableTask, flow
from flows.errors import ArgumentNeeded, GraphNotKnown, InvalidArguments, InvalidFlow
from flows.graph import FlowGraph, graph_of
from flows.registry import FlowSpec, Registry
from flows.stand_in import StandIn
from jobboard.models import Task
from jobboard.states import State
from poster.graph import Graph, Node, graph_in_a_line, graph_of_flow, graph_of_job
from poster.graph_layout import Layout, Sizes, lay_out
from poster.graph_svg import svg_of
from poster.job_json import graph_document
from tests.jobs import a_job

SVG = "{http://www.w3.org/2000/svg}"
SIZES = Sizes(box_width=100, box_height=40, gap_across=20, gap_down=30, bend_width=10)
STATES = ("pending", "running", "success", "failure", "reverting", "reverted", "revert_failure")


class T(CancelableTask):
    def execute(self) -> None:
        pass


class Final(T):
    irreversible = True


def linear(*items: Any, name: str = "line", **options: Any) -> linear_flow.Flow:
    return linear_flow.Flow(name, **options).add(*items)


def unordered(*items: Any, name: str = "crowd", **options: Any) -> unordered_flow.Flow:
    return unordered_flow.Flow(name, **options).add(*items)


def tasks(names: str) -> list[T]:
    return [T(name) for name in names]


def edges(text: str) -> tuple[tuple[str, str], ...]:
    """`ab bc` as edges."""
    return tuple((pair[0], pair[1]) for pair in text.split())


def drawn(text: str, nodes: str = "") -> Graph:
    """A graph with tasks of one letter each."""
    names = nodes or sorted(set(text.replace(" ", "")))
    return Graph("demo", tuple(Node(name, "task") for name in names), edges(text))


def layers(graph: Graph) -> list[str]:
    return ["".join(node.name for node in layer) for layer in graph.layers]


class TestGraphOf:
    def test_linear(self):
        graph = graph_of(linear(*tasks("ab"), Final("c")))
        assert [(atom.name, atom.irreversible) for atom in graph.atoms] == [
            ("a", False),
            ("b", False),
            ("c", True),
        ]
        assert graph.edges == edges("ab bc")

    def test_unordered(self):
        graph = graph_of(unordered(*tasks("abc")))
        assert [atom.name for atom in graph.atoms] == ["a", "b", "c"]
        assert graph.edges == ()

    def test_graph(self):
        a, b, c, d = tasks("abcd")
        made = graph_flow.Flow("g").add(a, b, c, d)
        for upper, lower in ((a, b), (a, c), (b, d), (c, d), (a, d)):
            made.link(upper, lower)
        assert set(graph_of(made).edges) == set(edges("ab ac bd cd ad"))

    def test_nested_flows_are_linked_through(self):
        inner = linear(*tasks("bc"), name="inner")
        graph = graph_of(linear(T("a"), unordered(inner, T("d")), unordered(*tasks("ef"), name="pair")))
        assert set(graph.edges) == set(edges("ab bc ad ce cf de df"))

    def test_an_empty_flow_within_is_no_gap(self):
        assert graph_of(linear(T("a"), linear(name="nothing"), T("b"))).edges == edges("ab")

    def test_a_flow_and_a_task_may_have_the_same_name(self):
        assert graph_of(linear(T("a"), linear(T("line"), name="a"), T("b"))).edges == (
            ("a", "line"),
            ("line", "b"),
        )

    def test_a_retry_controller(self):
        inner = linear(T("b"), name="inner", retry=retry.Times(3, name="r"))
        graph = graph_of(linear(T("a"), inner))
        assert graph.edges == edges("ar rb")
        assert [atom.name for atom in graph.atoms if atom.retry] == ["r"]

    def test_a_task_alone_and_nothing_at_all(self):
        assert [atom.name for atom in graph_of(T("a")).atoms] == ["a"]
        assert graph_of(linear()) == FlowGraph((), ())

    def test_two_alike(self):
        with pytest.raises(InvalidFlow, match="two tasks are named a"):
            graph_of(linear(T("a"), linear(T("a"), name="inner")))


class TestStandIn:
    @pytest.mark.parametrize(
        "ask",
        [
            *(bool, str, len, list, hash, int, float, os.fspath, Path, dict, abs, reversed, next, round),
            *(lambda x: x.name, lambda x: hasattr(x, "name"), lambda x: getattr(x, "name", None), lambda x: x()),
            *(lambda x: x == 1, lambda x: x != 1, lambda x: x < 1, lambda x: 1 in x, lambda x: x[0], lambda x: -x),
            *(
                lambda x: x + 1,
                lambda x: 1 + x,
                lambda x: f"{x}",
                lambda x: isinstance(x, str),
            ),
            *(lambda x: setattr(x, "a", 1), range, lambda x: [0][x], lambda x: {**x}),
        ],
    )
    def test_tells_nothing(self, ask: Callable[[Any], Any]):
        with pytest.raises(ArgumentNeeded, match="the argument many"):
            ask(StandIn("many"))

    def test_can_be_handed_on(self):
        x = StandIn("many")
        assert [x][0] is x
        assert repr(x) == "<many>"


def spec_of(function: Callable[..., Any]) -> FlowSpec:
    registry = Registry()
    flow("demo", registry=registry)(function)
    return registry.get("demo")


def names(graph: FlowGraph) -> str:
    return "".join(atom.name for atom in graph.atoms)


class Given(T):
    def __init__(self, name: str, value: Any) -> None:
        super().__init__(name, inject={"value": value})


def passes_on(source: Path, times: int = 2):
    return linear(Given("a", source), *tasks("bcd"[:times]))


def looks(files: list[str], extra: bool = False):
    return linear(*tasks("".join(files)), *tasks("z" * extra))


def secret(token: SecretStr | None = None, text: str = "x"):
    return linear(T("a"), *tasks("b" if token is None else "c"))


def opens(token: SecretStr):
    return linear(T(token.get_secret_value()))


class TestGraphOfARegisteredFlow:
    def test_without_arguments(self):
        assert names(spec_of(passes_on).graph()) == "abc"

    def test_with_arguments(self):
        assert names(spec_of(passes_on).graph({"source": "/x", "times": 3})) == "abcd"
        assert names(spec_of(looks).graph({"files": ["p", "q"], "extra": True})) == "pqz"

    def test_one_that_needs_them(self):
        with pytest.raises(GraphNotKnown, match=r"flow demo: .* depends on the argument files: graph a job of it"):
            spec_of(looks).graph()

    def test_a_function_that_fails(self):
        def fails():
            raise OSError("no disk")

        with pytest.raises(GraphNotKnown, match="OSError: no disk"):
            spec_of(fails).graph()

    def test_arguments_that_do_not_fit(self):
        with pytest.raises(InvalidArguments, match="times"):
            spec_of(passes_on).graph({"source": "/x", "times": "often"})

    def test_a_secret_is_not_looked_up(self):
        assert names(spec_of(secret).graph({"token": "env:NOT_HERE", "text": "x"})) == "ac"
        assert names(spec_of(secret).graph({"token": None, "text": "x"})) == "ab"
        assert names(spec_of(secret).graph()) == "ab"
        with pytest.raises(GraphNotKnown, match=r"the argument token$"):
            spec_of(opens).graph({"token": "env:NOT_HERE"})

    def test_it_is_no_run(self):
        kept = linear(T("a"))
        spec = spec_of(lambda: kept)
        assert names(spec.graph()) == names(spec.graph()) == "a"
        spec.build({})

    def test_what_is_no_flow(self):
        with pytest.raises(InvalidFlow, match="return a TaskFlow flow"):
            spec_of(lambda: None).graph()


class TestGraphs:
    def flow_graph(self) -> FlowGraph:
        return graph_of(linear(T("a"), linear(Final("b"), retry=retry.Times(2, name="r"), name="inner")))

    def test_of_a_flow(self):
        graph = graph_of_flow("demo", self.flow_graph())
        assert graph.nodes == (Node("a", "task"), Node("r", "retry"), Node("b", "task", irreversible=True))
        assert (graph.job, graph.state, graph.guess) == (None, None, None)

    def test_of_a_job(self):
        job = a_job(State.RUNNING, flow="demo", tasks=(Task("a", "success", 1.0), Task("b", "running", 0.5)))
        graph = graph_of_job(job, self.flow_graph())
        assert [(node.name, node.state, node.progress) for node in graph.nodes] == [
            ("a", "success", None),
            ("r", None, None),
            ("b", "running", 0.5),
        ]
        assert (graph.name, graph.job, graph.state) == ("demo", job.id, "running")

    def test_of_a_job_that_has_not_begun(self):
        graph = graph_of_job(a_job(flow="demo"), self.flow_graph())
        assert [node.state for node in graph.nodes] == ["pending", None, "pending"]

    def test_of_a_job_whose_flow_has_changed(self):
        job = a_job(tasks=(Task("a"), Task("c", irreversible=True), Task("d")))
        graph = graph_of_job(job, self.flow_graph())
        assert graph.edges == edges("ac cd")
        assert graph.nodes[1] == Node("c", "task", irreversible=True, state="pending")
        assert "other tasks now" in (graph.guess or "")

    def test_in_layers(self):
        assert layers(drawn("ab bc")) == ["a", "b", "c"]
        assert layers(drawn("", nodes="ab")) == ["ab"]
        assert layers(drawn("ab ac bd cd ae")) == ["a", "bce", "d"]
        assert layers(drawn("ac", nodes="cba")) == ["ba", "c"]
        assert layers(drawn("")) == []

    def test_what_is_before(self):
        assert drawn("ac bc").before == {"a": (), "b": (), "c": ("a", "b")}

    def test_json(self):
        graph = Graph(
            "demo", (Node("a", "task", state="success"), Node("r", "retry")), edges("ar"), "01j", "running"
        )
        assert graph_document(graph) == {
            "name": "demo",
            "nodes": [
                {"name": "a", "kind": "task", "state": "success", "irreversible": False},
                {"name": "r", "kind": "retry", "irreversible": False},
            ],
            "edges": [["a", "r"]],
        }


def assert_nothing_overlaps(graph: Graph, layout: Layout) -> None:
    """Boxes of a layer stand apart; edges pass between them, and begin and end at the right ones."""
    widths = [(layer, layout.centres[name], SIZES.box_width) for name, layer in layout.layer_of.items()]
    for route, (source, target) in zip(layout.routes, graph.edges, strict=True):
        assert route.columns[0] == layout.centres[source]
        assert route.columns[-1] == layout.centres[target]
        assert len(route.columns) == layout.layer_of[target] - layout.layer_of[source] + 1
        bends = enumerate(route.columns[1:-1], start=route.first_layer + 1)
        widths += [(layer, column, SIZES.bend_width) for layer, column in bends]
    for (layer, column, width), (next_layer, next_column, next_width) in pairwise(sorted(widths)):
        if layer == next_layer:
            assert next_column - column >= (width + next_width) / 2 + SIZES.gap_across - 1e-6
    for _, column, width in widths:
        assert column - width / 2 >= -1e-6
        assert column + width / 2 <= layout.width + 1e-6


class TestLayout:
    @pytest.mark.parametrize(
        "text", ["ab bc cd", "ab ac ad be ce de", "ab bc cd ad ac bd", "ac ad bc bd ce de af", "ae be ce de ab"]
    )
    def test_nothing_overlaps(self, text):
        graph = drawn(text)
        assert_nothing_overlaps(graph, lay_out(graph, SIZES))

    def test_a_line_is_straight(self):
        layout = lay_out(drawn("ab bc"), SIZES)
        assert set(layout.centres.values()) == {50.0}
        assert (layout.width, layout.height) == (100.0, 180.0)
        assert [layout.top(layer) for layer in range(3)] == [0, 70, 140]

    def test_what_follows_many_stands_in_their_middle(self):
        layout = lay_out(drawn("ab ac ad be ce de"), SIZES)
        assert [layout.centres[name] for name in "abcde"] == [170, 50, 170, 290, 170]

    def test_crossings_are_undone(self):
        centres = lay_out(drawn("ad bc", nodes="abcd"), SIZES).centres
        assert (centres["a"] < centres["b"]) == (centres["d"] < centres["c"])

    def test_the_order_of_the_flow_is_kept_where_it_can_be(self):
        centres = lay_out(drawn("ab ac ad"), SIZES).centres
        assert centres["b"] < centres["c"] < centres["d"]

    def test_nothing(self):
        layout = lay_out(drawn(""), SIZES)
        assert (layout.width, layout.height, layout.routes) == (0.0, 0.0, ())

    def test_a_wide_and_a_long_one(self):
        wide = Graph("w", tuple(Node(f"n{n}", "task") for n in range(300)), ())
        long = Graph("l", wide.nodes, tuple(pairwise(node.name for node in wide.nodes)))
        assert lay_out(wide, SIZES).width == 300 * 120 - 20
        assert lay_out(long, SIZES).width == 100


class TestSvg:
    def boxes(self, picture: str) -> dict[str, ET.Element]:
        """The groups of nodes, by what their title says."""
        groups = [group for group in ET.fromstring(picture).iter(f"{SVG}g") if "node" in group.get("class", "")]
        return {group.findtext(f"{SVG}title", ""): group for group in groups}

    def test_every_node_and_edge_is_there(self):
        picture = svg_of(drawn("ab ac bd cd ad"))
        assert list(self.boxes(picture)) == ["a", "b", "c", "d"]
        kinds = [path.get("class") for path in ET.fromstring(picture).iter(f"{SVG}path")]
        assert (kinds.count("edge"), kinds.count("head")) == (5, 5)

    def test_states_are_told_by_colour_sign_and_word(self):
        nodes = tuple(Node(f"{state}_task", "task", state=state, progress=None) for state in STATES)
        boxes = self.boxes(svg_of(Graph("demo", nodes, (), "01j", "running")))
        for state in STATES:
            word = state.replace("_", " ")
            box = boxes[f"{state}_task: {word}"]
            assert box.get("class") == f"node {state}"
            assert box.find(f"{SVG}path") is not None
            assert [text.text for text in box.iter(f"{SVG}text")] == [f"{state}_task", word]

    def test_what_else_a_box_says(self):
        nodes = (Node("a", "task", True, "running", 0.456), Node("r", "retry"), Node("b", "task", True))
        assert list(self.boxes(svg_of(Graph("demo", nodes, edges("ar rb"))))) == [
            "a: running 45 %, irreversible",
            "r: retry controller",
            "b: irreversible",
        ]

    @pytest.mark.parametrize("name", ["<b>&amp;\"'", "]]>", "a\0b\x1b\ud800", "漢字" * 40, "x" * 500, "{}%s"])
    def test_any_name_is_text(self, name):
        graph = Graph(name, (Node(name, "task", state="success"),), ())
        picture = svg_of(graph)
        said = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
        assert list(self.boxes(picture)) == [f"{said}: success"]
        assert ET.fromstring(picture.encode()).findtext(f"{SVG}title") == f"Flow {said}"

    def test_it_is_told_in_words(self):
        root = ET.fromstring(svg_of(drawn("ab ac bd cd")))
        assert [child.tag.removeprefix(SVG) for child in root][:2] == ["title", "desc"]
        assert root.findtext(f"{SVG}desc") == "a. b, after a. c, after a. d, after b, c."
        assert root.get("role") == "img"
        ids = {element.get("id") for element in root.iter()}
        assert set((root.get("aria-labelledby") or "").split()) <= ids

    def test_a_guess_says_so(self):
        job = a_job(State.FAILED, tasks=(Task("a", "failure"), Task("b")))
        assert "tasks in a line" in svg_of(graph_in_a_line(job, "no such flow"))

    def test_light_and_dark_and_nothing_from_elsewhere(self):
        picture = svg_of(drawn("ab"))
        assert "@media(prefers-color-scheme:dark)" in picture
        tags = {element.tag.removeprefix(SVG) for element in ET.fromstring(picture).iter()}
        assert tags == {"svg", "title", "desc", "style", "rect", "text", "g", "path"}
        assert "url(" not in picture
        assert picture.count("http") == 1  # the namespace

    def test_no_rule_reaches_beyond_it(self):
        style = ET.fromstring(svg_of(drawn("ab"))).findtext(f"{SVG}style") or ""
        rules = style.replace("@media(prefers-color-scheme:dark){", "").replace("}}", "}").split("}")
        for selector in ",".join(rule.partition("{")[0] for rule in rules if rule).split(","):
            assert selector.startswith(".countermand-graph ")

    def test_nothing(self):
        assert "No tasks." in svg_of(drawn(""))
