"""`poster flows`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from poster.cli import completion, session, words
from poster.cli.exit_codes import DONE
from poster.cli.output import Output, Part, bold, dim, say

if TYPE_CHECKING:
    from flows.registry import FlowSpec


@click.argument("flow", required=False, shell_complete=completion.flows)
def flows(flow: str | None) -> int:
    """List the flows, or show one with its parameters.

    \b
    Examples:
      poster flows
      poster flows process_files
    """
    from poster.job_json import flow_document

    out = session.output()
    with session.open_client() as client:
        specs = client.flows() if flow is None else [client.flow(flow)]
    if out.json:
        out.document([flow_document(spec) for spec in specs])
    elif flow is not None:
        _print_one(out, specs[0])
    elif specs:
        out.table(("FLOW", "PARAMETERS", "DESCRIPTION"), [_row(spec) for spec in specs])
    else:
        say("none: name modules with flows in --flows or COUNTERMAND_FLOWS")
    return DONE


def _row(spec: FlowSpec) -> tuple[Part, ...]:
    fields = spec.model.model_fields.items()
    names = [name if field.is_required() else f"[{name}]" for name, field in fields]
    return spec.name, " ".join(names) or "-", spec.description.partition("\n")[0]


def _print_one(out: Output, spec: FlowSpec) -> None:
    out.line(bold(spec.name))
    for line in spec.description.splitlines():
        out.line("  ", line)
    rows = [_parameter(spec, name) for name in spec.model.model_fields]
    if rows:
        out.line()
        out.table(("PARAMETER", "WANTS", "DEFAULT", "MEANING"), rows, indent="  ")
    out.line()
    out.fields(_limits(spec), indent="  ")
    required = [f"{name}=…" for name, field in spec.model.model_fields.items() if field.is_required()]
    out.line()
    out.line("  ", dim("post it with  "), " ".join(["poster post", spec.name, *required]))


def _parameter(spec: FlowSpec, name: str) -> tuple[Part, ...]:
    from flows.parameters import wanted

    field = spec.model.model_fields[name]
    wants = "env:NAME or file:PATH (a secret)" if name in spec.secrets else wanted(spec.model, name)
    default = dim("required") if field.is_required() else _default(spec.schema, name)
    return name, wants, default, field.description or ""


def _default(schema: dict[str, Any], name: str) -> str:
    value = schema.get("properties", {}).get(name, {}).get("default")
    return "none" if value is None else words.value(value) or '""'


def _limits(spec: FlowSpec) -> dict[str, Part | None]:
    return {
        "timeout": None if spec.timeout_s is None else words.took(spec.timeout_s),
        "automatic retries": None if spec.max_retries is None else f"{spec.max_retries}",
        "retry interval": None if spec.retry_interval_s is None else words.took(spec.retry_interval_s),
        "at once": None if spec.max_running is None else f"{spec.max_running}",
        "engine": spec.engine,
        "on failure": spec.on_failure,
    }
