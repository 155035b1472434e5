"""What a job runs: tasks that can be cancelled, and the registry of flows."""

from flows.binding import bind_flow
from flows.cancel_token import CancelCause, CancelKind, CancelToken
from flows.cancelable import CancelableTask
from flows.errors import JobCancelled
from flows.registry import flow
from flows.run_context import RunContext

__all__ = [
    "CancelCause",
    "CancelKind",
    "CancelToken",
    "CancelableTask",
    "JobCancelled",
    "RunContext",
    "bind_flow",
    "flow",
]
