"""Completion of what is typed: commands and options by click; flows, their parameters and jobs by looking."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from poster.cli import session

if TYPE_CHECKING:
    from poster.client import Client

_NEWEST: Final = 200


def flows(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of flows."""
    return _asked(ctx, lambda client: _flows(client, incomplete))


def arguments(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`NAME=` of the parameters of the flow that stands before."""
    flow = str(ctx.params.get("flow") or "")
    return _asked(ctx, lambda client: _parameters(client, flow, incomplete))


def jobs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of the newest jobs."""
    return _asked(ctx, lambda client: _jobs(client, incomplete))


def flows_and_jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of flows, and ids of the newest jobs. Flows are found without a database, too."""
    return [*flows(ctx, param, incomplete), *jobs(ctx, param, incomplete)]


def _flows(client: Client, incomplete: str) -> Iterable[CompletionItem]:
    for spec in client.flows():
        if spec.name.startswith(incomplete):
            yield CompletionItem(spec.name, help=spec.description.partition("\n")[0])


def _parameters(client: Client, flow: str, incomplete: str) -> Iterable[CompletionItem]:
    for name in client.flow(flow).model.model_fields:
        if name.startswith(incomplete):
            yield CompletionItem(f"{name}=")


def _jobs(client: Client, incomplete: str) -> Iterable[CompletionItem]:
    for job in client.list(limit=_NEWEST):
        if job.id.startswith(incomplete):
            yield CompletionItem(job.id, help=f"{job.flow} {job.state}")


def _asked(ctx: click.Context, ask: Callable[[Client], Iterable[CompletionItem]]) -> list[CompletionItem]:
    try:
        with ctx.scope(cleanup=False), session.open_client() as client:
            return list(ask(client))
    except Exception as error:
        from poster.cli.failures import code_of

        if code_of(error) is None:
            raise
        return []  # a shell that waits for words has no use for a message
