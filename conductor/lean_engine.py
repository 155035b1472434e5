"""TaskFlow's engines without what one job's engine does not need: measured, that is two fifths of their time.

What an engine decides, and in which order, is TaskFlow's.
"""

from __future__ import annotations

import functools
import inspect
import threading
from typing import Any, Final

from taskflow import storage
from taskflow.engines.action_engine import engine


class _OneLock:
    """A lock for readers and writers alike: what is read is in memory, so no one waits long."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def read_lock(self) -> threading.RLock:
        """A context in which no one else reads or writes."""
        return self._lock

    write_lock = read_lock


class _Storage(storage.Storage):
    """Asks its backend once: the connection of a job tries again by itself. Progress is not its business."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = _OneLock()

    def _with_connection(self, functor: Any, *args: Any, **kwargs: Any) -> Any:
        return functor(self._backend.get_connection(), *args, **kwargs)

    def _save_flow_detail(self, connection: Any, original: Any, changed: Any) -> Any:
        original.update(connection.update_flow_details(changed))
        return original

    def _save_atom_detail(self, connection: Any, original: Any, changed: Any) -> Any:
        original.update(connection.update_atom_details(changed))
        return original

    # Of one value no half can be seen: no lock is needed to read it, which is done a hundred times for each job.
    get_atom_uuid = inspect.unwrap(storage.Storage.get_atom_uuid)
    get_atom_state = inspect.unwrap(storage.Storage.get_atom_state)
    get_atom_intention = inspect.unwrap(storage.Storage.get_atom_intention)
    get_flow_state = inspect.unwrap(storage.Storage.get_flow_state)

    def set_task_progress(self, task_name: str, progress: float, details: Any = None) -> None:
        """The journal stores it in its own way."""


class _Lean:
    """What both engines have in common."""

    _flow_detail: Any
    _backend: Any
    _runtime: Any
    _compiled: bool

    @functools.cached_property
    def storage(self) -> _Storage:
        """Where the engine keeps the states and results of its atoms."""
        return _Storage(self._flow_detail, backend=self._backend, scope_fetcher=self._scopes)

    def _scopes(self, atom_name: str) -> Any:
        return self._runtime.fetch_scopes_for(atom_name) if self._compiled else None


class _Serial(_Lean, engine.SerialActionEngine):
    pass


class _Parallel(_Lean, engine.ParallelActionEngine):
    pass


_ENGINES: Final = {"serial": _Serial, "parallel": _Parallel}


def make_engine(kind: str, flow: Any, flow_detail: Any, backend: Any, **options: Any) -> Any:
    """A "serial" or "parallel" engine. As `taskflow.engines.load`, which looks for plug-ins each time."""
    return _ENGINES[kind](flow, flow_detail, backend, {"gather_statistics": False, **options})
