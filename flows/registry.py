"""The flows that posters may ask for and conductors may run: nothing else is ever run.

@flow("download", timeout="10m", max_retries=3)
def download(url: HttpUrl, target: Path):
    \"\"\"Download a file, check it, and unpack it.\"\"\"
    return linear_flow.Flow("download").add(Download(), Verify(), Unpack())
"""

from __future__ import annotations

import inspect
import math
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import durationpy
from pydantic import BaseModel
from taskflow import flow as taskflow_flow
from taskflow import task as taskflow_task

from flows import border, parameters
from flows.errors import GraphNotKnown, InvalidFlow, NoSuchFlow
from flows.graph import FlowGraph, graph_of
from flows.secrets import Secrets
from flows.structure import Structure, atoms_in, structure_of

Function = TypeVar("Function", bound=Callable[..., Any])
Engine = Literal["serial", "parallel"]
OnFailure = Literal["revert", "keep"]

_LONGEST_S: Final = 10 * 366 * 24 * 3600.0
_MOST: Final = 1_000_000
_LONGEST_NAME: Final = 255  # as long as TaskFlow's tables allow


@dataclass(frozen=True)
class FlowSpec:
    """A registered flow. None for a limit means: as the settings say."""

    name: str
    function: Callable[..., Any]
    model: type[BaseModel]
    timeout_s: float | None
    max_retries: int | None
    retry_interval_s: float | None
    max_running: int | None
    engine: Engine
    on_failure: OnFailure
    secrets_by_value: bool

    @property
    def description(self) -> str:
        """The docstring of the flow's function."""
        return inspect.getdoc(self.function) or ""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return self.model.model_json_schema()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Parameters that no one is shown."""
        return parameters.secret_names(self.model)

    def as_json(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Validated arguments for a record. `InvalidArguments` names every one that does not fit."""
        return parameters.as_json(self.name, self.model, arguments, secrets_by_value=self.secrets_by_value)

    def from_text(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Values for words NAME=VALUE of a command line; not validated yet."""
        return parameters.from_text(self.model, texts)

    def build(self, stored: Mapping[str, Any]) -> BuiltFlow:
        """The TaskFlow flow for the arguments of a record, and the typed values its tasks get by name.

        Made anew for each run: tasks are bound to their job. Raises `InvalidArguments`, `InvalidFlow`, and
        whatever the flow's own function raises.
        """
        values = parameters.resolved(self.name, self.model, stored)
        secrets = parameters.secrets_in(self.model, values)
        made = border.guard(lambda: self._made(values), secrets) if secrets else self._made(values)
        clash = sorted(set(values) & set(made.provides))
        if clash:
            raise InvalidFlow(f"flow {self.name}: a task provides {', '.join(clash)}, which is a parameter too")
        _HANDED_OUT.add(self.name, atoms_in(made))
        return BuiltFlow(made, values, secrets)

    def graph(self, stored: Mapping[str, Any] | None = None) -> FlowGraph:
        """The graph of a job with the arguments of a record; without them, of any job, with the defaults.

        What has no default is not known then, and a secret never is. Raises `GraphNotKnown` where the flow's
        function looks at such an argument, or fails; and `InvalidArguments`, `InvalidFlow`.
        """
        values = parameters.sketched(self.name, self.model, stored or {})
        try:
            return graph_of(self._made(values))
        except InvalidFlow:
            raise
        except Exception as error:
            why = str(error) if isinstance(error, GraphNotKnown) else f"{type(error).__name__}: {error}"
            hint = ": graph a job of it instead" if stored is None else ""
            raise GraphNotKnown(f"flow {self.name}: its graph is not known here: {why}{hint}") from error

    def _made(self, values: Mapping[str, Any]) -> Any:
        made = self.function(**values)
        if not isinstance(made, taskflow_flow.Flow | taskflow_task.Task):
            raise InvalidFlow(f"flow {self.name}: its function returned {made!r}: return a TaskFlow flow")
        return made


@dataclass(frozen=True)
class BuiltFlow:
    """A flow made for one run."""

    flow: Any  # TaskFlow's
    values: dict[str, Any]  # typed arguments, which tasks get by name
    secrets: Secrets  # among the values

    @property
    def structure(self) -> Structure:
        """Its tasks, in order. `InvalidFlow` if two are named alike."""
        return structure_of(self.flow)


class _HandedOut:
    """Tasks and retry controllers that were given to a run: a second run must not get them too.

    They are bound to the job of the first: its cancel, its id and its reverts would be the second's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._atoms: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(self, flow_name: str, atoms: Iterator[Any]) -> None:
        with self._lock:
            fresh = list(atoms)
            used = sorted(atom.name for atom in fresh if atom in self._atoms)
            self._atoms.update(fresh)
        if used:
            raise InvalidFlow(
                f"flow {flow_name}: another run has got {', '.join(used)} already: make tasks, flows and retry "
                "controllers inside of the flow's function"
            )


_HANDED_OUT: Final = _HandedOut()


class Registry:
    """Flows by name."""

    def __init__(self) -> None:
        self._flows: dict[str, FlowSpec] = {}

    def add(self, spec: FlowSpec) -> None:
        """Register a flow. The same function may come twice (two ways to import it), another may not."""
        known = self._flows.get(spec.name)
        if known is not None and _place(known.function) != _place(spec.function):
            raise InvalidFlow(
                f"flow {spec.name}: registered twice, by {_place(known.function)} and {_place(spec.function)}"
            )
        self._flows[spec.name] = spec

    def get(self, name: str) -> FlowSpec:
        """The flow of this name. `NoSuchFlow` suggests the nearest."""
        try:
            return self._flows[name]
        except KeyError:
            raise NoSuchFlow(name, self._flows) from None

    def __contains__(self, name: object) -> bool:
        return name in self._flows

    def __iter__(self) -> Iterator[FlowSpec]:
        return iter(sorted(self._flows.values(), key=lambda spec: spec.name))

    def __len__(self) -> int:
        return len(self._flows)


REGISTRY: Final = Registry()
"""Where `@flow` registers."""


def flow(
    name: str,
    *,
    timeout: str | float | None = None,
    max_retries: int | None = None,
    retry_interval: str | float | None = None,
    max_running: int | None = None,
    engine: Engine = "serial",
    on_failure: OnFailure = "revert",
    secrets_by_value: bool = False,
    registry: Registry = REGISTRY,
) -> Callable[[Function], Function]:
    """Register a function that makes a TaskFlow flow from typed arguments. The function stays as it is.

    `timeout` (running time of an attempt) and `retry_interval` are seconds or words like "10m", "1h30m".
    `max_running` is how many jobs of this flow may run at once, over all conductors. With `secrets_by_value` a
    secret may be posted as it is, and is stored so; without, it has to be a reference.
    """
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InvalidFlow(f'flow {name!r}: give it a name of printable characters: @flow("download")')

    def register(function: Function) -> Function:
        if not inspect.isfunction(function):
            raise InvalidFlow(f"flow {name}: {function!r} is not a function: register one that makes the flow")
        registry.add(
            FlowSpec(
                name=name,
                function=function,
                model=parameters.model_of(name, function),
                timeout_s=_timeout(name, timeout),
                max_retries=_whole(name, "max_retries", max_retries, least=0),
                retry_interval_s=_seconds(name, "retry_interval", retry_interval),
                max_running=_whole(name, "max_running", max_running, least=1),
                engine=_one_of(name, "engine", engine, ("serial", "parallel")),
                on_failure=_one_of(name, "on_failure", on_failure, ("revert", "keep")),
                secrets_by_value=_one_of(name, "secrets_by_value", secrets_by_value, (False, True)),
            )
        )
        return function

    return register


def _timeout(flow_name: str, value: str | float | None) -> float | None:
    seconds = _seconds(flow_name, "timeout", value)
    if seconds == 0:
        raise InvalidFlow(f"flow {flow_name}: timeout={value!r}: no attempt would have time to run")
    return seconds


def _seconds(flow_name: str, option: str, value: str | float | None) -> float | None:
    if value is None:
        return None
    seconds = _read_seconds(value)
    if seconds is None:
        raise InvalidFlow(f"flow {flow_name}: {option}={value!r}: use 90, 30s, 5m or 1h30m")
    if not 0 <= seconds <= _LONGEST_S:
        raise InvalidFlow(f"flow {flow_name}: {option}={value!r}: use a duration from 0 to ten years")
    return seconds


def _read_seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    try:
        return float(durationpy.from_str(value if value[-1:].isalpha() else f"{value}s").total_seconds())
    except (durationpy.DurationError, OverflowError):
        return None


def _whole(flow_name: str, option: str, value: int | None, *, least: int) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
        raise InvalidFlow(f"flow {flow_name}: {option}={value!r}: use a whole number from {least} to {_MOST:,}")
    return value


def _one_of(flow_name: str, option: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise InvalidFlow(f"flow {flow_name}: {option}={value!r}: use {' or '.join(map(str, allowed))}")
    return value


def _place(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
