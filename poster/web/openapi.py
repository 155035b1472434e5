"""The OpenAPI document: FastAPI's, with what it cannot know."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from jobboard.tokens import Role
from poster.web.gate.permissions import PERMISSIONS
from poster.web.problems import Problem

_TEMPLATE: Final = "#/components/schemas/{model}"


def described(app: FastAPI) -> None:
    """Have the application describe itself: who may, and how errors look."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            components = document.setdefault("components", {})
            schema = Problem.model_json_schema(ref_template=_TEMPLATE, mode="serialization")
            components["schemas"] |= {**schema.pop("$defs", {}), "Problem": schema}
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _tell_role(operation, PERMISSIONS[path][method.upper()])
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _tell_role(operation: dict[str, Any], role: Role | None) -> None:
    if role is None:
        return
    operation["security"] = [{"token": []}]
    operation["description"] = f"{operation.get('description', '')}\n\nRole: `{role}`.".strip()
    # FastAPI declares an answer to invalid requests of its own form, where none is declared.
    if "HTTPValidationError" in str(operation["responses"].get("422", "")):
        del operation["responses"]["422"]
