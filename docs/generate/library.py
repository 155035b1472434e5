"""The flows that come along, from the registry."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from docs.generate.markdown import fence, page, paragraph, prose, table
from flows.parameters import wanted
from flows.registry import REGISTRY, FlowSpec
from jobboard.settings import shown_duration

_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


_INTRO = """\
Those that come with Countermand. `poster flows` lists what is known where you are, and `poster flows NAME` shows
for one what this page does, also for a flow of your own."""


def library() -> str:
    """Each flow with its parameters, its tasks and its limits."""
    return page(
        "Flows",
        _INTRO,
        *(part for spec in _specs() for part in _of(spec)),
    )


def _specs() -> list[FlowSpec]:
    """In the order of the project's entry points."""
    points = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["countermand.flows"]
    for module in points.values():
        import_module(module)
    return [REGISTRY.get(name) for name in points]


def _of(spec: FlowSpec) -> Iterator[str]:
    yield f"## {spec.name}"
    yield from (paragraph(prose(part)) for part in spec.description.split("\n\n"))
    yield table(
        ("parameter", "wants", "default", "meaning"), [_parameter(spec, name) for name in spec.model.model_fields]
    )
    yield table(("limit", ""), _limits(spec))
    required = [f"{name}=…" for name, field in spec.model.model_fields.items() if field.is_required()]
    yield fence("sh", " ".join(["poster post", spec.name, *required]))


def _parameter(spec: FlowSpec, name: str) -> tuple[str, ...]:
    field = spec.model.model_fields[name]
    wants = "`env:NAME` or `file:PATH`: a secret" if name in spec.secrets else wanted(spec.model, name)
    return (f"`{name}`", wants.replace("null", "nothing"), _default(spec, name), prose(field.description or ""))


def _default(spec: FlowSpec, name: str) -> str:
    if spec.model.model_fields[name].is_required():
        return "required"
    value = spec.schema["properties"][name].get("default")
    return "none" if value is None else f"`{value}`"


def _limits(spec: FlowSpec) -> list[tuple[str, str]]:
    def seconds(value: float | None) -> str:
        return "as the settings say" if value is None else shown_duration(value)

    return [
        ("running time of an attempt", seconds(spec.timeout_s)),
        ("automatic retries", "as the settings say" if spec.max_retries is None else str(spec.max_retries)),
        ("between retries", seconds(spec.retry_interval_s)),
        ("jobs at once", "no limit" if spec.max_running is None else str(spec.max_running)),
        ("engine", spec.engine),
        ("on failure", spec.on_failure),
    ]
