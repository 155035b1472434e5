"""The structure of a flow: its tasks in order, and a fingerprint that changes when they do."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from taskflow import flow as taskflow_flow
from taskflow import retry
from taskflow.engines.action_engine import compiler

from flows.errors import InvalidFlow

_LONGEST_NAME: Final = 255  # as long as TaskFlow's tables allow


@dataclass(frozen=True)
class TaskInfo:
    """One task of a flow."""

    name: str
    irreversible: bool


@dataclass(frozen=True)
class Structure:
    """What a flow is made of."""

    tasks: tuple[TaskInfo, ...]  # in flow order
    edges: tuple[tuple[str, str], ...]  # between tasks, retry controllers, and the starts and ends of flows
    fingerprint: str


def structure_of(flow: Any) -> Structure:
    """Compile `flow` (a TaskFlow flow or task) and describe it. `InvalidFlow` if two atoms are named alike."""
    return structure_of_graph(compiled(flow))


def compiled(flow: Any) -> Any:
    """The execution graph of `flow`. `InvalidFlow` if two atoms are named alike."""
    twice = [name for name, count in Counter(atom.name for atom in atoms_in(flow)).items() if count > 1]
    if twice:
        raise InvalidFlow(
            f"flow {flow.name}: two tasks are named {', '.join(sorted(twice))}: give each a name of its own"
        )
    return compiler.PatternCompiler(flow).compile().execution_graph


def structure_of_graph(execution_graph: Any) -> Structure:
    """The structure of a flow that an engine has compiled."""
    atoms = atoms_of(execution_graph)
    tasks = tuple(
        TaskInfo(atom.name, bool(getattr(atom, "irreversible", False))) for atom in atoms if not is_retry(atom)
    )
    edges = tuple(sorted((source.name, target.name) for source, target in execution_graph.edges))
    nodes = sorted((atom.name, is_retry(atom)) for atom in atoms)
    digest = hashlib.sha256(json.dumps([nodes, edges]).encode()).hexdigest()
    return Structure(tasks, edges, digest)


def atoms_of(execution_graph: Any) -> list[Any]:
    """Tasks and retry controllers of a compiled flow, in flow order."""
    return [node for node, data in execution_graph.nodes(data=True) if data["kind"] in compiler.ATOMS]


def atoms_in(flow: Any) -> Iterator[Any]:
    """Tasks and retry controllers of a flow that is not compiled yet."""
    if not isinstance(flow, taskflow_flow.Flow):
        yield flow
        return
    if flow.retry is not None:
        yield flow.retry
    for item, _ in flow.iter_nodes():
        yield from atoms_in(item)


def check_names(flow_name: str, flow: Any) -> None:
    """`InvalidFlow` for a task or retry controller with a name that TaskFlow's tables do not take everywhere."""
    for atom in atoms_in(flow):
        if not 0 < len(atom.name) <= _LONGEST_NAME or not atom.name.isprintable():
            wanted = f"1 to {_LONGEST_NAME} printable characters"
            raise InvalidFlow(f"flow {flow_name}: a task is named {atom.name!r:.60}: give it {wanted}")


def is_retry(atom: Any) -> bool:
    """Whether `atom` is a retry controller rather than a task."""
    return isinstance(atom, retry.Retry)
