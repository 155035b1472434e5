"""A job's TaskFlow engine: made from the flow and what is stored of the attempt, driven step by step.

All that Countermand knows of TaskFlow's engine and storage beyond its public interface is in this file and in
`conductor.lean_engine`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any

from taskflow import states, task
from taskflow.engines.action_engine import compiler, completer, deciders, executor, selector
from taskflow.patterns import linear_flow
from taskflow.types.failure import Failure

from conductor.attempt import Attempt, LeftBehind
from conductor.lean_engine import make_engine
from conductor.seal import Seal
from flows.binding import bind_atoms
from flows.cancel_token import CancelToken
from flows.errors import JobCancelled
from flows.registry import BuiltFlow, FlowSpec
from flows.run_context import RunContext
from flows.storable import storable
from flows.structure import Structure, atoms_of, is_retry, structure_of_graph
from jobboard import task_view
from jobboard.job_persistence import JobPersistence
from jobboard.models import TaskError
from jobboard.states import State
from jobboard.task_view import SEAL


class JobEngine:
    """The engine for one run of one attempt. Making it compiles the flow; `prepare` stores and binds it."""

    def __init__(
        self,
        spec: FlowSpec,
        built: BuiltFlow,
        flow_detail: Any,
        persistence: JobPersistence,
        threads: futures.Executor,
        seal: Seal,
        *,
        keep: bool,
    ) -> None:
        """`keep`: when a task fails for good, what the others did stays, and nothing is reverted."""
        options: dict[str, Any] = {"executor": threads} if spec.engine == "parallel" else {}
        # defer_reverts: with it a nested retry controller that gives up never leaves outer tasks in place.
        self._engine = make_engine(
            spec.engine,
            linear_flow.Flow(spec.name).add(built.flow, seal),
            flow_detail,
            persistence,
            defer_reverts=True,
            **options,
        )
        self._engine.compile()
        # Cached properties of TaskFlow's, which it has not asked for yet.
        runtime = self._engine._runtime  # noqa: SLF001
        runtime._selector = _Selector(runtime)  # noqa: SLF001
        if keep:
            runtime._completer = _KeepingCompleter(runtime)  # noqa: SLF001
        self._storage = self._engine.storage
        self._connection = persistence.get_connection()
        self._flow_detail = flow_detail
        self._storage.inject(built.values, transient=True)
        self._atoms = atoms_of(self._engine.compilation.execution_graph)
        self._in_flight = _in_flight(flow_detail)
        self._goes_on = any(detail.state in (states.RUNNING, states.REVERTING) for detail in flow_detail)
        self._started: set[str] = set()  # tasks whose execute was called in this run

    @property
    def structure(self) -> Structure:
        """Of the flow, with its seal."""
        return structure_of_graph(self._engine.compilation.execution_graph)

    @property
    def in_flight(self) -> frozenset[str]:
        """Tasks that an earlier run began, and that did not succeed: they may have effects."""
        return self._in_flight

    @property
    def state(self) -> str:
        """TaskFlow's state of the flow."""
        return str(self._storage.get_flow_state())

    @property
    def atom_states(self) -> dict[str, str | None]:
        """TaskFlow's state of each task and retry controller."""
        return {atom.name: self._storage.get_atom_state(atom.name) for atom in self._atoms}

    @property
    def has_failed(self) -> bool:
        """Whether a task or retry controller failed, and was not reverted."""
        return states.FAILURE in self.atom_states.values()

    @property
    def is_undone(self) -> bool:
        """Whether an earlier run has reverted everything. To be asked first: `prepare` would begin anew."""
        return self.state == states.REVERTED and states.REVERT_FAILURE not in self.atom_states.values()

    @property
    def is_half_undone(self) -> bool:
        """Whether an earlier run has reverted what it could: TaskFlow calls the flow reverted all the same.

        To be asked first, too: `prepare` would forget the reverts that failed.
        """
        return self.state == states.REVERTED and states.REVERT_FAILURE in self.atom_states.values()

    @property
    def is_turning_back(self) -> bool:
        """Whether TaskFlow has decided to revert everything.

        Only then every atom is to be reverted: a retry controller that will try again keeps another intention.
        """
        return all(self._storage.get_atom_intention(atom.name) == states.REVERT for atom in self._atoms)

    def bind(self, context: RunContext) -> None:
        """Put every task and retry controller into the job."""
        bind_atoms(self._atoms, context)
        for atom in self._atoms:
            if not is_retry(atom):
                atom.pre_execute = functools.partial(self._start, atom.name, atom.pre_execute)

    def _start(self, name: str, hook: Callable[[], None]) -> None:
        self._started.add(name)
        hook()

    def prepare(self, *, check: bool) -> None:
        """Store what is not stored yet. With `check`, raise `MissingDependencies` for inputs no one provides."""
        self._engine.prepare()
        if self._goes_on:
            self._connection.store()  # without another word of TaskFlow's: is the claim still ours?
        if check:
            self._engine.validate()

    def turn_back(self, token: CancelToken) -> None:
        """Make the next run only revert: nothing of a user's task is executed any more.

        A task that ran when its conductor died gets its revert too, so it is stored as failed; and that first,
        since TaskFlow keeps a failure under the intention that stands when it is saved.
        """
        for atom in self._atoms:
            if self._storage.get_atom_state(atom.name) == states.RUNNING and isinstance(atom, task.Task):
                self._storage.save(atom.name, _interruption(token), states.FAILURE)
            self._storage.set_atom_intention(atom.name, states.REVERT)

    def clean_up(self) -> None:
        """Have the next run revert what an earlier one could not; to be called before `prepare`.

        TaskFlow takes a revert that failed for the end. It finds it begun, and all of the flow to be reverted;
        the results that the reverts get are as they were, since the persistence keeps them.
        """
        self._storage.set_flow_state(states.FAILURE)
        for name, state in self.atom_states.items():
            self._storage.set_atom_intention(name, states.REVERT)
            if state == states.REVERT_FAILURE:
                self._storage.set_atom_state(name, states.REVERTING)

    def begin_failed_again(self) -> None:
        """Have the next run execute the tasks that failed, and go on from there.

        They are stored as in flight: what they did when they failed is to be reverted, whether they begin again
        or not. In one write each: if this conductor died between two, no one would know of it.
        """
        for atom in self._atoms:
            if self._storage.get_atom_state(atom.name) == states.FAILURE:
                self._storage.reset(atom.name, states.RUNNING if isinstance(atom, task.Task) else states.PENDING)

    def forget_unstarted(self) -> None:
        """Take back that a task runs which no run has started: it has no effect to revert."""
        for atom in self._atoms:
            running = self._storage.get_atom_state(atom.name) == states.RUNNING
            if running and atom.name not in self._started | self._in_flight and isinstance(atom, task.Task):
                self._storage.reset(atom.name)

    def fail_reverts(self, error: Exception) -> None:
        """Let count as failed what TaskFlow could not even start to revert."""
        for atom in self._atoms:
            if self._storage.get_atom_state(atom.name) == states.REVERTING:
                self._storage.save(atom.name, Failure.from_exception(storable(error)), states.REVERT_FAILURE)

    def steps(self, suspend: Callable[[], bool]) -> Iterator[None]:
        """Run, giving control back before each step: before tasks start and after they ended.

        Asks `suspend` at each whether to stop between two tasks. Raises what TaskFlow raises: also the failure
        of a task, after everything was reverted.
        """
        run = self._engine.run_iter()
        try:
            state = next(run)
            while True:
                if state == states.WAITING:
                    self._connection.flush()  # nothing has begun that it was stored with
                yield
                state = run.send(suspend())
        except StopIteration:
            return

    def complete(self, attempt: Attempt) -> State:
        """What the seal does: see `Attempt.complete`. What is to be stored of flow and seal goes along."""
        flow, seal = self._flow_detail.copy(), self._flow_detail.find(self._storage.get_atom_uuid(SEAL)).copy()
        flow.state = states.SUCCESS
        seal.put(states.SUCCESS, None)
        rows = self._connection.rows_of(flow, seal)
        state = attempt.complete(self.results(), rows)
        if state is State.COMPLETED:
            self._connection.are_stored(rows)
        return state

    def results(self) -> dict[str, Any]:
        """What the tasks provide, by name."""
        found: dict[str, Any] = {}
        for atom in self._atoms:
            if atom.save_as and not is_retry(atom) and self._storage.get_atom_state(atom.name) == states.SUCCESS:
                found |= _named(self._storage.get_execute_result(atom.name), atom.save_as)
        return found

    def controllers_error(self) -> TaskError | None:
        """Why a retry controller failed; the tasks' errors are told as they happen."""
        failures = self._storage.get_execute_failures()
        failed = (atom.name for atom in self._atoms if is_retry(atom) and atom.name in failures)
        return next((task_view.error_of(name, failures[name].to_dict()) for name in failed), None)

    def left_behind(self) -> LeftBehind:
        """Tasks whose revert failed, and tasks that TaskFlow then no longer asked to revert."""
        found = self.atom_states
        failed = [name for name, state in found.items() if state == states.REVERT_FAILURE]
        unasked = [name for name, state in found.items() if state in (states.SUCCESS, states.FAILURE)]
        return LeftBehind(failed, [name for name in unasked if name != SEAL])


class _KeepingCompleter(completer.Completer):
    """Decides as TaskFlow's, but where that would revert the whole flow, it ends it as it is.

    With TaskFlow's own option for that, `never_resolve`, no retry controller would be asked.
    """

    def _process_atom_failure(self, _atom: Any, _failure: Any) -> None:
        """A failure that is found stored was decided upon before."""

    def complete_failure(self, node: Any, outcome: str, failure: Any) -> bool:
        if outcome != executor.EXECUTED:
            return True
        resolution = self._determine_resolution(node, failure)
        if not isinstance(resolution, completer.RevertAndRetry):
            return True
        resolution.apply()
        return False


class _Selector(selector.Selector):
    """Selects as TaskFlow's, and what is in flight too.

    When nothing is left to be selected, TaskFlow takes the flow for done, and if it did not succeed, for reverted:
    also when it was suspended before what an earlier run had in flight went on, or what waited for a thread.
    """

    def iter_next_atoms(self, atom: Any = None) -> Iterator[tuple[Any, Any]]:
        yield from super().iter_next_atoms(atom)
        if atom is None:  # asked before the first atom runs and after the last
            for found in self._runtime.iterate_nodes(compiler.ATOMS):
                if self._storage.get_atom_state(found.name) in (states.RUNNING, states.REVERTING):
                    yield found, deciders.NoOpDecider()


def _in_flight(flow_detail: Any) -> frozenset[str]:
    return frozenset(detail.name for detail in flow_detail if detail.state in (states.RUNNING, states.FAILURE))


def _named(result: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result if index is None else _item(result, index) for name, index in names.items()}


def _item(result: Any, index: Any) -> Any:
    try:
        return result[index]
    except (KeyError, IndexError, TypeError):
        return None  # the task gave less than it said; TaskFlow has warned of it


def _interruption(token: CancelToken) -> Any:
    cause = token.cause
    try:
        raise JobCancelled(cause.reason if cause else "", cause.by if cause else "")
    except JobCancelled:
        return Failure()
