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
from flows.cancel_token import CancelToken
from flows.errors import Unstorable
from flows.run_context import MAX_DEPTH, MAX_RESULT_BYTES
from flows.storable import check_result

LOG = logging.getLogger(__name__)


def guard_retry(
    controller: Any, token: CancelToken, max_result_bytes: int = MAX_RESULT_BYTES, max_depth: int = MAX_DEPTH
) -> None:
    """Make `controller`, a TaskFlow `Retry`, give up as soon as `token` is set."""
    decide, execute, revert = controller.on_failure, controller.execute, controller.revert

    def on_failure(*args: Any, **kwargs: Any) -> Any:
        if token.is_set:
            return retry.REVERT_ALL
        try:
            return retry.Decision(decide(*args, **kwargs))
        except BaseException:
            LOG.exception("retry controller %s failed to decide: everything is reverted", controller.name)
            return retry.REVERT_ALL

    def provide(*args: Any, **kwargs: Any) -> Any:
        return border.guard(
            lambda: _unchanged(controller.name, execute(*args, **kwargs), max_result_bytes, max_depth)
        )

    def undo(*args: Any, **kwargs: Any) -> None:
        border.guard(lambda: revert(*args, **kwargs))

    controller.on_failure, controller.execute, controller.revert = on_failure, provide, undo


def _unchanged(name: str, value: Any, max_bytes: int, max_depth: int) -> Any:
    """What a controller provides. It compares that with what was stored, to find what it has not tried yet."""
    if check_result(name, value, max_bytes, max_depth) != value:
        raise Unstorable(f"retry controller {name}: it provides {value!r}, which JSON would change: use a list")
    return value
