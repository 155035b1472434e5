"""Puts the tasks and retry controllers of a flow under one cancel flag.

token = CancelToken()
bind_flow(flow, token)
engines.run(flow)
token.set(CancelCause(CancelKind.USER, "ann", "wrong file"))  # in another thread, meanwhile
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flows.cancel_token import CancelToken
from flows.cancelable import bind
from flows.retry_guard import guard_retry
from flows.run_context import RunContext
from flows.structure import atoms_in, is_retry


def bind_flow(flow: Any, token: CancelToken) -> None:
    """Have a TaskFlow flow, or task, that a plain engine is to run, stop and be reverted when `token` is set.

    To be called before the engine runs it. To run it again, bind another token: this one stays set.
    """
    bind_atoms(atoms_in(flow), RunContext(token=token))


def bind_atoms(atoms: Iterable[Any], context: RunContext) -> None:
    """Put these tasks and retry controllers into a job."""
    for atom in atoms:
        if is_retry(atom):
            guard_retry(atom, context)
        else:
            bind(atom, context)
