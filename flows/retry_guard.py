"""Keeps TaskFlow's retry controllers from swallowing a cancel, and from leaving a flow half done.

A controller answers each failure of its subflow with retry or revert; asked about a cancelled task,
`retry.Times(4)` would run everything four times more. With the flag up, the answer is always REVERT_ALL. It is
the same for a controller that fails to answer, which TaskFlow would take for an end without any revert.
"""

from __future__ import annotations

import logging
from typing import Any

from taskflow import retry

from flows import border
from flows.errors import Unstorable
from flows.run_context import RunContext
from flows.storable import check_result

LOG = logging.getLogger(__name__)

_MARK = "__countermand__"  # where a guarded method holds the one that it guards


def guard_retry(controller: Any, context: RunContext) -> None:
    """Make `controller`, a TaskFlow `Retry`, give up as soon as the flag of `context` is up."""
    decide, execute, revert = (_own(controller, name) for name in ("on_failure", "execute", "revert"))

    def on_failure(*args: Any, **kwargs: Any) -> Any:
        if context.token.is_set:
            return retry.REVERT_ALL
        try:
            return retry.Decision(decide(*args, **kwargs))
        except BaseException:
            LOG.exception("retry controller %s failed to decide: everything is reverted", controller.name)
            return retry.REVERT_ALL

    def provide(*args: Any, **kwargs: Any) -> Any:
        return border.guard(
            lambda: _unchanged(controller.name, execute(*args, **kwargs), context), context.secrets
        )

    def undo(*args: Any, **kwargs: Any) -> None:
        border.guard(lambda: revert(*args, **kwargs), context.secrets)

    for name, guarded, own in (
        ("on_failure", on_failure, decide),
        ("execute", provide, execute),
        ("revert", undo, revert),
    ):
        setattr(guarded, _MARK, own)
        setattr(controller, name, guarded)


def _own(controller: Any, name: str) -> Any:
    """The controller's own method, also if it was in another run before."""
    method = getattr(controller, name)
    return getattr(method, _MARK, method)


def _unchanged(name: str, value: Any, context: RunContext) -> Any:
    """What a controller provides. It compares that with what was stored, to find what it has not tried yet."""
    checked = check_result(name, value, context.max_result_bytes)
    if checked != value:
        raise Unstorable(f"retry controller {name}: it provides {value!r}, which JSON would change: use a list")
    if context.secrets.plain(checked) != checked:
        raise Unstorable(f"retry controller {name}: it provides a secret, which would be stored")
    return value
