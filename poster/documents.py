"""The types of what the poster gives out as JSON: the command line and the HTTP API give out the same.

Fields stand in the order of the documentation.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # as pydantic wants it where Python is older than 3.12

JsonObject = dict[str, Any]


class ErrorDocument(TypedDict):
    """What went wrong."""

    task: str | None
    type: str
    message: str


class NotRespondingDocument(TypedDict):
    """A task goes on though its job is to stop."""

    since: str
    stack: str


class TaskDocument(TypedDict):
    """One step of the current attempt."""

    name: str
    state: str
    progress: float
    detail: JsonObject | None
    started_at: str | None
    finished_at: str | None
    error: ErrorDocument | None
    not_responding: NotRequired[NotRespondingDocument]


class CancelDocument(TypedDict):
    """The receipt of the current attempt's cancel."""

    requested_at: str
    by: str
    reason: str | None
    delivered_at: str | None
    stopped_at: str | None
    reverted: int
    total: int


class JobDocument(TypedDict):
    """A job as read at one moment.

    Only where it is so: `kept`, it keeps the results of its tasks, and a retry goes on at the failed one;
    `deleting`, it is removed once its effects are reverted.
    """

    id: str
    flow: str
    arguments: JsonObject
    state: str
    progress: float
    attempt: int
    priority: str
    reason: str | None
    error: ErrorDocument | None
    key: str | None
    posted_at: str
    due_at: str
    started_at: str | None
    finished_at: str | None
    conductor: str | None
    cancel: CancelDocument | None
    results: JsonObject | None
    tasks: list[TaskDocument]
    kept: NotRequired[bool]
    deleting: NotRequired[bool]


class HistoryDocument(TypedDict):
    """One thing that happened to a job."""

    seq: int
    at: str
    attempt: int
    kind: str
    task: str | None
    state: str | None
    by: str | None
    message: str | None
    data: JsonObject | None


class LogDocument(TypedDict):
    """A line that a task or its conductor logged."""

    seq: int
    at: str
    attempt: int
    level: str | None
    task: str | None
    message: str | None
    data: JsonObject | None


class ConductorDocument(TypedDict):
    """A conductor as it last reported."""

    name: str
    alive: bool
    host: str
    pid: int
    owner: str
    slots: int
    jobs: list[str]
    flows: list[str]
    started_at: str
    seen_at: str


class FlowDocument(TypedDict):
    """A flow. `parameters` is the JSON schema of its arguments; null for a limit means: as the settings say."""

    name: str
    description: str
    parameters: JsonObject
    secrets: list[str]
    timeout: float | None
    max_retries: int | None
    retry_interval: float | None
    max_running: int | None
    engine: str
    on_failure: str


class NodeDocument(TypedDict):
    """A task or a retry controller. Only one whose state is known has a state."""

    name: str
    kind: Literal["task", "retry"]
    state: NotRequired[str]
    irreversible: bool


class GraphDocument(TypedDict):
    """The graph of a flow or job. An edge leads from a node to one that begins when the first has ended."""

    name: str
    nodes: list[NodeDocument]
    edges: list[list[str]]


class BusyDocument(TypedDict):
    """Conductors that live, their slots, and how many of these are taken."""

    alive: int
    slots: int
    busy: int


class StatsDocument(TypedDict):
    """Numbers over all jobs and conductors."""

    total: int
    states: dict[str, int]
    flows: dict[str, dict[str, int]]
    oldest_waiting_since: str | None
    oldest_waiting_s: float | None
    conductors: BusyDocument


HourDocument = TypedDict(  # `from` is no name to Python
    "HourDocument",
    {
        "from": str,
        "completed": int,
        "failed": int,
        "cancelled": int,
        "revert_failed": int,
        "posted": int,
    },
)
"""How many jobs ended in the hour that begins then, and how many were posted in it."""


class PlanDocument(TypedDict):
    """What a cancel now would do: tasks, in the order of their reverts. Not `ok`: it would be refused."""

    id: str
    ok: bool
    state: str | None
    error: str | None
    reverted: list[str]
    irreversible: list[str]
    not_started: list[str]


class AnswerDocument(TypedDict):
    """What became of a request about one of many jobs."""

    id: str
    ok: bool
    state: str | None
    error: str | None


class TokenDocument(TypedDict):
    """An access token, without its secret, which nobody knows any more."""

    id: str
    name: str
    role: str
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
