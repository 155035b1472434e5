"""The graph of a flow, or of a job with its tasks' states: nodes, edges, layers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from flows.graph import FlowGraph
    from jobboard.models import Job, Task


@dataclass(frozen=True)
class Node:
    """A task or a retry controller."""

    name: str
    kind: Literal["task", "retry"]
    irreversible: bool = False
    state: str | None = None  # None: of a flow's, and of a retry controller, whose state no record has
    progress: float | None = None  # 0 to 1; None where it says nothing


@dataclass(frozen=True)
class Graph:
    """What a flow does, and in which order."""

    name: str  # of the flow
    nodes: tuple[Node, ...]  # in flow order
    edges: tuple[tuple[str, str], ...]  # names of nodes: the second begins when the first has ended
    job: str | None = None
    state: str | None = None  # of the job
    guess: str | None = None  # why the edges are but the order of the tasks; None: they are as the flow has them

    @cached_property
    def layers(self) -> tuple[tuple[Node, ...], ...]:
        """Nodes by the length of the longest way to them. What is in one layer may run at once."""
        import networkx

        graph = networkx.DiGraph()
        graph.add_nodes_from(node.name for node in self.nodes)
        graph.add_edges_from(self.edges)
        place = {node.name: number for number, node in enumerate(self.nodes)}
        return tuple(
            tuple(self.nodes[number] for number in sorted(place[name] for name in layer))
            for layer in networkx.topological_generations(graph)
        )

    @cached_property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """Of each node, those it waits for."""
        found: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for source, target in self.edges:
            found[target].append(source)
        return {name: tuple(sources) for name, sources in found.items()}


def graph_of_flow(name: str, graph: FlowGraph) -> Graph:
    """The graph of a flow that no job has begun."""
    nodes = tuple(Node(atom.name, "retry" if atom.retry else "task", atom.irreversible) for atom in graph.atoms)
    return Graph(name, nodes, graph.edges)


def graph_of_job(job: Job, graph: FlowGraph) -> Graph:
    """The graph of a job: that of its flow, if it still has the job's tasks, with the states of the record."""
    tasks = {task.name: task for task in job.tasks}
    if tasks and set(tasks) != {atom.name for atom in graph.atoms if not atom.retry}:
        return graph_in_a_line(job, f"flow {job.flow}: it has other tasks now than when the job began")
    nodes = tuple(
        Node(atom.name, "retry") if atom.retry else _node(tasks.get(atom.name), atom.name, atom.irreversible)
        for atom in graph.atoms
    )
    return Graph(job.flow, nodes, graph.edges, job.id, str(job.state))


def graph_in_a_line(job: Job, why: str) -> Graph:
    """The tasks of a job's record one after another: all that is known where its flow cannot be made."""
    nodes = tuple(_node(task, task.name, task.irreversible) for task in job.tasks)
    edges = tuple(pairwise(node.name for node in nodes))
    return Graph(job.flow, nodes, edges, job.id, str(job.state), guess=why)


def _node(task: Task | None, name: str, irreversible: bool) -> Node:  # noqa: FBT001, RUF100 - a field's value
    if task is None:
        return Node(name, "task", irreversible, "pending")
    progress = task.progress if task.state in ("running", "failure") else None
    return Node(name, "task", irreversible, task.state, progress)
