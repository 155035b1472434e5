"""Keeps TaskFlow's retry controllers from swallowing a cancel.

A controller answers each failure of its subflow with retry or revert; asked about a cancelled task,
`retry.Times(4)` would run everything four times more. With the flag up, the answer is always REVERT_ALL.
"""

from __future__ import annotations

from typing import Any

from taskflow import retry

from flows.cancel_token import CancelToken


def guard_retry(controller: Any, token: CancelToken) -> None:
    """Make `controller`, a TaskFlow `Retry`, give up as soon as `token` is set."""
    raw = controller.on_failure

    def on_failure(*args: Any, **kwargs: Any) -> Any:
        return retry.REVERT_ALL if token.is_set else raw(*args, **kwargs)

    controller.on_failure = on_failure
