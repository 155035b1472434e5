"""A flow's parameters: a pydantic model made from the signature of the flow's function."""

from __future__ import annotations

import inspect
import json
import os
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, ValidationError

from flows.errors import ArgumentProblem, InvalidArguments, InvalidFlow

_RESERVED = frozenset({"result", "flow_failures", "self"})  # TaskFlow gives these to `revert` itself


def model_of(flow: str, function: Callable[..., Any]) -> type[BaseModel]:
    """The model of `function`'s parameters. Unknown names are refused; types are pydantic's, lax mode."""
    hints = typing.get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidFlow(f"flow {flow}: parameter {parameter.name}: every parameter needs a name of its own")
        if parameter.name in _RESERVED or parameter.name.startswith("_"):
            raise InvalidFlow(f"flow {flow}: parameter {parameter.name}: this name is not free, choose another")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    try:
        return pydantic.create_model(
            f"{flow}_arguments", __config__=ConfigDict(extra="forbid", validate_default=True), **fields
        )
    except (pydantic.PydanticUserError, TypeError) as error:
        raise InvalidFlow(f"flow {flow}: {error}") from error


def secret_names(model: type[BaseModel]) -> tuple[str, ...]:
    """The parameters that no one may be shown."""
    return tuple(name for name, field in model.model_fields.items() if is_secret(field.annotation))


def is_secret(annotation: Any) -> bool:
    """Whether `annotation` is a pydantic secret, or has one inside (`SecretStr | None`)."""
    return annotation in (SecretStr, SecretBytes) or any(map(is_secret, typing.get_args(annotation)))


def validate(flow: str, model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` as typed values, by name. `InvalidArguments` names every one that does not fit."""
    try:
        valid = model.model_validate(dict(arguments))
    except ValidationError as error:
        raise InvalidArguments(flow, _problems(model, error)) from None
    return {name: getattr(valid, name) for name in model.model_fields}


def as_json(flow: str, model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` validated, with defaults filled in, as JSON data for the record.

    A secret has to be a reference, `env:NAME` or `file:PATH`, which the conductor resolves: what it
    stands for is never stored.
    """
    validate(flow, model, arguments)
    secrets = secret_names(model)
    wrong = [
        ArgumentProblem(name, "a secret is given as env:NAME or file:PATH, which the conductor looks up")
        for name in secrets
        if arguments.get(name) is not None and not _is_reference(arguments[name])
    ]
    if wrong:
        raise InvalidArguments(flow, wrong)
    dumped: dict[str, Any] = model.model_validate(dict(arguments)).model_dump(mode="json")
    return dumped | {name: arguments.get(name) for name in secrets if name in arguments}


def resolved(flow: str, model: type[BaseModel], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The typed values for stored arguments, with each secret looked up where its reference points."""
    looked_up = {
        name: _look_up(flow, name, stored[name]) for name in secret_names(model) if stored.get(name) is not None
    }
    return validate(flow, model, {**stored, **looked_up})


def from_text(model: type[BaseModel], texts: Mapping[str, str]) -> dict[str, Any]:
    """Values for `NAME=VALUE` words: VALUE is read as JSON where the parameter's type does not want text."""
    properties = model.model_json_schema().get("properties", {})
    return {name: _value(properties.get(name, {}), text) for name, text in texts.items()}


def _value(schema: Mapping[str, Any], text: str) -> Any:
    kinds = [schema, *schema.get("anyOf", ())]
    if any(kind.get("type") == "string" for kind in kinds):
        return None if text == "null" and any(kind.get("type") == "null" for kind in kinds) else text
    try:
        return json.loads(text)
    except ValueError:
        return text  # pydantic says what it should have been


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.partition(":")[0] in ("env", "file") and ":" in value


def _look_up(flow: str, name: str, reference: str) -> str:
    kind, _, where = reference.partition(":")
    try:
        return os.environ[where] if kind == "env" else Path(where).read_text(encoding="utf-8").rstrip("\n")
    except (KeyError, OSError):
        raise InvalidArguments(
            flow, [ArgumentProblem(name, f"{reference} is not there on this conductor's host")]
        ) from None


def _problems(model: type[BaseModel], error: ValidationError) -> list[ArgumentProblem]:
    secrets = secret_names(model)
    problems = []
    for detail in error.errors(include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else "arguments"
        inside = ".".join(str(part) for part in detail["loc"][1:])
        message = _message(model, name, detail["type"], detail["msg"])
        given = "" if detail["type"] == "missing" or name in secrets else f" (got {_shown(detail['input'])})"
        problems.append(ArgumentProblem(name, f"{inside}: {message}{given}" if inside else f"{message}{given}"))
    return problems


def _message(model: type[BaseModel], name: str, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"no such parameter, there are: {', '.join(model.model_fields) or 'none'}"
    if kind == "missing":
        return f"required, wants {wanted(model, name)}"
    return message[0].lower() + message[1:]


def wanted(model: type[BaseModel], name: str) -> str:
    """What a parameter wants, in words of its JSON schema."""
    schema = model.model_json_schema().get("properties", {}).get(name, {})
    kind = (
        schema.get("format")
        or schema.get("type")
        or " or ".join(str(kind.get("format") or kind.get("type", "a value")) for kind in schema.get("anyOf", ()))
    )
    return str(kind or "a value")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
