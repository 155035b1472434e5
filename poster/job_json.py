"""Makes what the poster gives out as JSON: jobs, lines of history, conductors, flows, graphs. Pure.

Times are ISO 8601 in UTC, with microseconds and `Z`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from flows.registry import FlowSpec
    from jobboard.errors import JobboardError
    from jobboard.models import Cancel, ConductorRow, HistoryLine, Hour, Job, Task, TaskError
    from jobboard.tokens import Token
    from poster.cancel_plan import CancelPlan
    from poster.doctor import Report
    from poster.documents import (
        AnswerDocument,
        CancelDocument,
        ConductorDocument,
        ErrorDocument,
        FlowDocument,
        GraphDocument,
        HistoryDocument,
        HourDocument,
        JobDocument,
        JsonObject,
        LogDocument,
        NodeDocument,
        PlanDocument,
        StatsDocument,
        TaskDocument,
        TokenDocument,
    )
    from poster.graph import Graph, Node
    from poster.stats import Stats


@overload
def moment(value: datetime) -> str: ...
@overload
def moment(value: None) -> None: ...
@overload
def moment(value: datetime | None) -> str | None: ...
def moment(value: datetime | None) -> str | None:
    """A moment in the one form that we write."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def job_document(job: Job) -> JobDocument:
    """A job."""
    document: JobDocument = {
        "id": job.id,
        "flow": job.flow,
        "arguments": job.arguments,
        "state": str(job.state),
        "progress": job.progress,
        "attempt": job.attempt,
        "priority": job.priority,
        "reason": job.reason,
        "error": _error(job.error),
        "key": job.key,
        "posted_at": moment(job.posted_at),
        "due_at": moment(job.due_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "conductor": job.conductor,
        "cancel": _cancel(job.cancel),
        "results": job.results,
        "tasks": [task_document(task) for task in job.tasks],
    }
    if job.kept:
        document["kept"] = True
    if job.deleting:
        document["deleting"] = True
    return document


def history_document(line: HistoryLine) -> HistoryDocument:
    """A line of a job's history."""
    return {
        "seq": line.seq,
        "at": moment(line.at),
        "attempt": line.attempt,
        "kind": line.kind,
        "task": line.task,
        "state": line.state,
        "by": line.by,
        "message": line.message,
        "data": line.data,
    }


def log_document(line: HistoryLine) -> LogDocument:
    """A line that a task or its conductor logged."""
    return {
        "seq": line.seq,
        "at": moment(line.at),
        "attempt": line.attempt,
        "level": line.state,
        "task": line.task,
        "message": line.message,
        "data": line.data,
    }


def conductor_document(row: ConductorRow) -> ConductorDocument:
    """A conductor as it last reported."""
    return {
        "name": row.name,
        "alive": row.alive,
        "host": row.host,
        "pid": row.pid,
        "owner": row.owner,
        "slots": row.slots,
        "jobs": list(row.jobs),
        "flows": list(row.flows),
        "started_at": moment(row.started_at),
        "seen_at": moment(row.seen_at),
    }


def flow_document(spec: FlowSpec) -> FlowDocument:
    """A flow. `parameters` is the JSON schema of its arguments; null for a limit means: as the settings say."""
    return {
        "name": spec.name,
        "description": spec.description,
        "parameters": spec.schema,
        "secrets": list(spec.secrets),
        "timeout": spec.timeout_s,
        "max_retries": spec.max_retries,
        "retry_interval": spec.retry_interval_s,
        "max_running": spec.max_running,
        "engine": spec.engine,
        "on_failure": spec.on_failure,
    }


def graph_document(graph: Graph) -> GraphDocument:
    """The graph of a flow or job. Only nodes whose state is known have one."""
    return {
        "name": graph.name,
        "nodes": [_node(node) for node in graph.nodes],
        "edges": [list(edge) for edge in graph.edges],
    }


def stats_document(stats: Stats) -> StatsDocument:
    """Numbers over all jobs and conductors."""
    return {
        "total": stats.total,
        "states": dict(stats.states),
        "flows": {flow: dict(states) for flow, states in stats.flows.items()},
        "oldest_waiting_since": moment(stats.oldest_waiting_since),
        "oldest_waiting_s": stats.oldest_waiting_s,
        "conductors": {"alive": stats.conductors, "slots": stats.slots, "busy": stats.busy},
    }


def hour_document(hour: Hour) -> HourDocument:
    """An hour of the last day."""
    return {
        "from": moment(hour.begins_at),
        "completed": hour.completed,
        "failed": hour.failed,
        "cancelled": hour.cancelled,
        "revert_failed": hour.revert_failed,
        "posted": hour.posted,
    }


def plan_document(job: str, plan: CancelPlan | JobboardError) -> PlanDocument:
    """What a cancel would do, or why it would be refused."""
    if isinstance(plan, Exception):
        return {**answer_document(job, plan), "reverted": [], "irreversible": [], "not_started": []}
    return {
        "id": job,
        "ok": True,
        "state": str(plan.state),
        "error": None,
        "reverted": list(plan.reverted),
        "irreversible": list(plan.irreversible),
        "not_started": list(plan.not_started),
    }


def answer_document(job: str, answer: Job | JobboardError) -> AnswerDocument:
    """What became of one of many requests."""
    if isinstance(answer, Exception):
        return {"id": job, "ok": False, "state": getattr(answer, "state", None), "error": str(answer)}
    return {"id": job, "ok": True, "state": str(answer.state), "error": None}


def token_document(token: Token) -> TokenDocument:
    """An access token, without its secret, which nobody knows any more."""
    return {
        "id": token.id,
        "name": token.name,
        "role": str(token.role),
        "created_at": moment(token.created_at),
        "created_by": token.created_by,
        "expires_at": moment(token.expires_at),
        "revoked_at": moment(token.revoked_at),
    }


def report_document(report: Report) -> JsonObject:
    """What `doctor` found."""
    return {
        "ok": report.ok,
        "checks": [{"name": one.name, "status": one.status, "message": one.message} for one in report.checks],
        "settings": [{"name": one.name, "value": one.value, "origin": one.origin} for one in report.settings],
        "findings": [
            {"thing": one.thing, "id": one.id, "wrong": one.wrong, "advice": one.advice} for one in report.findings
        ],
        "versions": dict(report.versions),
    }


def task_document(task: Task) -> TaskDocument:
    """A step of a job."""
    document: TaskDocument = {
        "name": task.name,
        "state": task.state,
        "progress": task.progress,
        "detail": task.detail,
        "started_at": _again(task.started_at) if task.started_at else None,
        "finished_at": _again(task.finished_at) if task.finished_at else None,
        "error": _error(task.error),
    }
    if task.not_responding is not None:
        since, stack = _again(task.not_responding.since), task.not_responding.stack
        document["not_responding"] = {"since": since, "stack": stack}
    return document


def _node(node: Node) -> NodeDocument:
    if node.state is None:
        return {"name": node.name, "kind": node.kind, "irreversible": node.irreversible}
    return {"name": node.name, "kind": node.kind, "state": node.state, "irreversible": node.irreversible}


def _again(text: str) -> str:
    """A stored moment. As it is nearly always written, it need not be read: of those are most of a list's."""
    if len(text) == len("2025-01-31T12:00:00.000000+00:00") and text.endswith("+00:00"):
        return f"{text[:-6]}Z"
    return moment(datetime.fromisoformat(text))


def _error(error: TaskError | None) -> ErrorDocument | None:
    return {"task": error.task, "type": error.type, "message": error.message} if error else None


def _cancel(cancel: Cancel | None) -> CancelDocument | None:
    if cancel is None:
        return None
    return {
        "requested_at": moment(cancel.requested_at),
        "by": cancel.by,
        "reason": cancel.reason,
        "delivered_at": moment(cancel.delivered_at),
        "stopped_at": moment(cancel.stopped_at),
        "reverted": cancel.reverted,
        "total": cancel.total,
    }
