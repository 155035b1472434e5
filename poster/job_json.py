"""What the poster gives out as JSON: jobs, lines of history, conductors, flows, graphs. Pure.

Fields stand in the order of the documentation. Times are ISO 8601 in UTC, with microseconds and `Z`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.registry import FlowSpec
    from jobboard.models import Cancel, ConductorRow, HistoryLine, Job, Task, TaskError
    from jobboard.tokens import Token
    from poster.doctor import Report
    from poster.graph import Graph, Node
    from poster.stats import Stats

Document = dict[str, Any]


def moment(value: datetime | None) -> str | None:
    """A moment in the one form that we write."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def job_document(job: Job) -> Document:
    """A job."""
    return {
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
        "tasks": [_task(task) for task in job.tasks],
    }


def history_document(line: HistoryLine) -> Document:
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


def log_document(line: HistoryLine) -> Document:
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


def conductor_document(row: ConductorRow) -> Document:
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


def flow_document(spec: FlowSpec) -> Document:
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


def graph_document(graph: Graph) -> Document:
    """The graph of a flow or job. Only nodes whose state is known have one."""
    return {
        "name": graph.name,
        "nodes": [_node(node) for node in graph.nodes],
        "edges": [list(edge) for edge in graph.edges],
    }


def stats_document(stats: Stats) -> Document:
    """Numbers over all jobs and conductors."""
    return {
        "total": stats.total,
        "states": dict(stats.states),
        "flows": {flow: dict(states) for flow, states in stats.flows.items()},
        "oldest_waiting_since": moment(stats.oldest_waiting_since),
        "oldest_waiting_s": stats.oldest_waiting_s,
        "conductors": {"alive": stats.conductors, "slots": stats.slots, "busy": stats.busy},
    }


def token_document(token: Token) -> Document:
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


def report_document(report: Report) -> Document:
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


def _task(task: Task) -> Document:
    document = {
        "name": task.name,
        "state": task.state,
        "progress": task.progress,
        "detail": task.detail,
        "started_at": _again(task.started_at),
        "finished_at": _again(task.finished_at),
        "error": _error(task.error),
    }
    if task.not_responding is None:
        return document
    return document | {
        "not_responding": {"since": _again(task.not_responding.since), "stack": task.not_responding.stack}
    }


def _node(node: Node) -> Document:
    state = {} if node.state is None else {"state": node.state}
    return {"name": node.name, "kind": node.kind, **state, "irreversible": node.irreversible}


def _again(text: str | None) -> str | None:
    return moment(datetime.fromisoformat(text)) if text else None


def _error(error: TaskError | None) -> Document | None:
    return {"task": error.task, "type": error.type, "message": error.message} if error else None


def _cancel(cancel: Cancel | None) -> Document | None:
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
