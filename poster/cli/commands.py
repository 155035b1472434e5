"""The commands, in the order one needs them. Each is imported when it is run: `poster --help` waits for none."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class LazyCommand(NamedTuple):
    """Where a command is, and the first sentence of its help."""

    place: str  # module:function
    told: str

    def load(self) -> Callable[..., Any]:
        """The function."""
        module, _, function = self.place.partition(":")
        loaded: Callable[..., Any] = getattr(import_module(f"poster.cli.{module}"), function)
        return loaded


class LazyGroup(NamedTuple):
    """A command that has commands of its own, and the first sentence of its help."""

    commands: Mapping[str, LazyCommand]
    told: str


COMMANDS: Final[Mapping[str, LazyCommand | LazyGroup]] = {
    "flows": LazyCommand("flows:flows", "List the flows, or show one with its parameters."),
    "post": LazyCommand("post:post", "Post a job and print its id; or many, with --from."),
    "list": LazyCommand("list_jobs:list_jobs", "List jobs, newest first."),
    "show": LazyCommand("show:show", "Show a job: error, state, tasks, what to do next."),
    "watch": LazyCommand("watch:watch", "Watch a job until it ends, or all jobs that run."),
    "wait": LazyCommand("wait:wait", "Wait until jobs have ended."),
    "cancel": LazyCommand("cancel:cancel", "Cancel jobs, and revert what they did."),
    "retry": LazyCommand("retry:retry", "Begin a new attempt of failed or cancelled jobs."),
    "pause": LazyCommand("pause:pause", "Stop jobs between two tasks, results kept."),
    "resume": LazyCommand("pause:resume", "Let paused jobs go on at their next task."),
    "delete": LazyCommand("delete:delete", "Remove jobs with all that is stored of them."),
    "purge": LazyCommand("delete:purge", "Remove jobs that ended long ago."),
    "result": LazyCommand("result:result", "Show the results of a completed job."),
    "history": LazyCommand("history:history", "Show what happened to a job, line by line."),
    "logs": LazyCommand("history:logs", "Show what a job's tasks logged."),
    "graph": LazyCommand("graph:graph", "Draw the graph of a flow, or of a job with its tasks' states."),
    "stats": LazyCommand("stats:stats", "Count jobs by state and flow."),
    "conductors": LazyCommand("conductors:conductors", "Show the conductors and what they run."),
    "doctor": LazyCommand("doctor:doctor", "Check settings, flows, database, board, conductors, tasks."),
    "serve": LazyCommand("serve:serve", "Serve the HTTP API and the page."),
    "token": LazyGroup(
        {
            "create": LazyCommand("token:create", "Make an access token and print it, this once."),
            "list": LazyCommand("token:list_all", "List the access tokens, newest first."),
            "revoke": LazyCommand("token:revoke", "Let access tokens open nothing any more."),
        },
        "Make, list and revoke access tokens for the HTTP API.",
    ),
    "completion": LazyCommand("shell:shell_completion", "Print a script for a shell's completion."),
}
"""A test holds the sentences against the functions' own."""
