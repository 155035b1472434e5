"""The OpenAPI document: FastAPI's, with what it cannot know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI

from flows.registry import FlowSpec
from jobboard.tokens import Role
from poster.web.gate.permissions import PERMISSIONS
from poster.web.problems import Problem

_SCHEMAS: Final = "#/components/schemas/"


def described(app: FastAPI, flows: Iterable[FlowSpec]) -> None:
    """Have the application describe itself: who may, how errors look, and which arguments flows take."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(made(), flows)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any], flows: Iterable[FlowSpec]) -> None:
    components = document.setdefault("components", {})
    schema = Problem.model_json_schema(ref_template=_SCHEMAS + "{model}", mode="serialization")
    components["schemas"] |= {**schema.pop("$defs", {}), "Problem": schema}
    components["schemas"]["NewJob"]["anyOf"] = [_of_flow(spec, components["schemas"]) for spec in flows]
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _tell_role(operation, PERMISSIONS[path][method.upper()])


def _of_flow(spec: FlowSpec, schemas: dict[str, Any]) -> dict[str, Any]:
    """What a new job of a flow looks like. The flow's own definitions go to the others, under its name."""
    prefix = f"{spec.name}."
    schema = _moved(spec.schema, "#/$defs/", _SCHEMAS + prefix)
    schemas |= {prefix + name: definition for name, definition in schema.pop("$defs", {}).items()}
    required = ["flow", "arguments"] if schema.get("required") else ["flow"]
    return {
        "title": spec.name,
        "properties": {"flow": {"const": spec.name}, "arguments": schema},
        "required": required,
    }


def _moved(schema: Any, before: str, after: str) -> Any:
    """A copy of a schema whose references lead to another place."""
    if isinstance(schema, list):
        return [_moved(one, before, after) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.replace(before, after) if name == "$ref" else _moved(value, before, after)
        for name, value in schema.items()
    }


def _tell_role(operation: dict[str, Any], role: Role | None) -> None:
    if role is None:
        return
    operation["security"] = [{"token": []}]
    operation["description"] = f"{operation.get('description', '')}\n\nRole: `{role}`.".strip()
    # FastAPI declares an answer to invalid requests of its own form, where none is declared.
    if "HTTPValidationError" in str(operation["responses"].get("422", "")):
        del operation["responses"]["422"]
