"""The graph of a flow as people think of it: its tasks and retry controllers, and what follows what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from taskflow.engines.action_engine import compiler

from flows.structure import atoms_in, compiled, is_retry


@dataclass(frozen=True)
class AtomInfo:
    """A task or a retry controller."""

    name: str
    retry: bool
    irreversible: bool


@dataclass(frozen=True)
class FlowGraph:
    """What a flow does, and in which order. The starts and ends of flows inside of it are linked through."""

    atoms: tuple[AtomInfo, ...]  # in flow order
    edges: tuple[tuple[str, str], ...]  # names of atoms: the second begins when the first has ended


def graph_of(flow: Any) -> FlowGraph:
    """The graph of `flow` (a TaskFlow flow or task). `InvalidFlow` if two atoms are named alike."""
    execution_graph = compiled(flow)
    atoms = list(atoms_in(flow))
    place = {atom: number for number, atom in enumerate(atoms)}
    edges = [
        (atom.name, follower.name)
        for atom in atoms
        for follower in sorted(_followers(execution_graph, atom), key=place.__getitem__)
    ]
    return FlowGraph(tuple(map(_atom, atoms)), tuple(edges))


def _atom(atom: Any) -> AtomInfo:
    return AtomInfo(atom.name, is_retry(atom), bool(getattr(atom, "irreversible", False)))


def _followers(execution_graph: Any, atom: Any) -> Iterator[Any]:
    """The next atoms, through starts and ends of flows."""
    seen: set[Any] = set()
    waiting = [atom]
    while waiting:
        for node in execution_graph.successors(waiting.pop()):
            if node in seen:
                continue
            seen.add(node)
            if execution_graph.nodes[node]["kind"] in compiler.ATOMS:
                yield node
            else:
                waiting.append(node)
