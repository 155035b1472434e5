"""A flow's parameters: a pydantic model made from the signature of the flow's function."""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
from pydantic import (
    BaseModel,
    ConfigDict,
    PlainValidator,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from flows.errors import ArgumentProblem, InvalidArguments, InvalidFlow
from flows.secrets import MASK, Secrets
from flows.stand_in import StandIn
from flows.storable import MAX_DEPTH, NoRoom, plain

_RESERVED: Final = frozenset({"result", "flow_failures", "self"})  # TaskFlow gives these to `revert` itself
_SECRETS: Final = (SecretStr, SecretBytes, Secret)
_PASSWORD: Final = re.compile(r"(://[^\s/@:]*:)[^\s/@]+(?=@)")  # in an address
MAX_BYTES: Final = 1_000_000  # of all arguments, as JSON


def model_of(flow: str, function: Callable[..., Any]) -> type[BaseModel]:
    """The model of `function`'s parameters. Unknown names are refused; types are pydantic's, lax mode."""
    hints = _hints(flow, function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidFlow(f"flow {flow}: parameter {parameter.name}: every parameter needs a name of its own")
        if parameter.name in _RESERVED or parameter.name.startswith("_"):
            raise InvalidFlow(f"flow {flow}: parameter {parameter.name}: this name is not free, choose another")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    try:
        model = _model(f"{flow}_arguments", fields)
        schema = model.model_json_schema(by_alias=False)
    except (pydantic.PydanticUserError, TypeError, ValueError) as error:
        raise InvalidFlow(f"flow {flow}: {error}") from error
    _refuse_what_pydantic_lost(flow, fields, model)
    _refuse_hidden_secrets(flow, model, schema)
    return model


def _hints(flow: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise InvalidFlow(
            f"flow {flow}: {error}: import what its annotations use outside of `if TYPE_CHECKING`"
        ) from error


def _model(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    # With constants, a NaN stays one, and is found: it would silently be stored as null.
    config = ConfigDict(extra="forbid", validate_default=True, ser_json_inf_nan="constants")
    with warnings.catch_warnings():
        # A parameter may be named `copy` or `json`: the methods of that name are not used here.
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute")
        return pydantic.create_model(name, __config__=config, **fields)


def _refuse_what_pydantic_lost(flow: str, fields: Mapping[str, Any], model: type[BaseModel]) -> None:
    for name in fields.keys() - model.model_fields.keys():
        raise InvalidFlow(f"flow {flow}: parameter {name}: this name is not free, choose another")


def _refuse_hidden_secrets(flow: str, model: type[BaseModel], schema: Mapping[str, Any]) -> None:
    """A secret must be found to be masked and looked up: so each is a parameter of its own."""
    secrets = secret_names(model)
    for name, field in model.model_fields.items():
        if name not in secrets and _has_secret(schema["properties"][name], schema.get("$defs", {}), set()):
            raise InvalidFlow(
                f"flow {flow}: parameter {name}: a secret inside of it would be stored: make it a parameter "
                "of its own, a SecretStr or SecretStr | None"
            )
        if name in secrets and not field.is_required() and not _is_absent_or_reference(_default(field)):
            raise InvalidFlow(f"flow {flow}: parameter {name}: its default is no secret: use None or env:NAME")


def _has_secret(schema: Any, definitions: Mapping[str, Any], seen: set[str]) -> bool:
    if isinstance(schema, list):
        return any(_has_secret(item, definitions, seen) for item in schema)
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref", "").removeprefix("#/$defs/")
    if reference in definitions and reference not in seen:
        return _has_secret(definitions[reference], definitions, seen | {reference})
    return schema.get("writeOnly") is True or any(_has_secret(item, definitions, seen) for item in schema.values())


@functools.cache
def secret_names(model: type[BaseModel]) -> tuple[str, ...]:
    """The parameters that no one may be shown."""
    return tuple(name for name, field in model.model_fields.items() if is_secret(field.annotation))


def is_secret(annotation: Any) -> bool:
    """Whether `annotation` is a pydantic secret, or may be one (`SecretStr | None`)."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, Annotated):
        return any(map(is_secret, typing.get_args(annotation)))
    kind = origin or annotation
    return inspect.isclass(kind) and issubclass(kind, _SECRETS)


def validate(flow: str, model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` as typed values, by name. `InvalidArguments` names every one that does not fit."""
    valid = _valid(flow, model, model, arguments)
    return {name: getattr(valid, name) for name in model.model_fields}


def _valid(
    flow: str, model: type[BaseModel], checked_by: type[BaseModel], arguments: Mapping[str, Any]
) -> BaseModel:
    try:
        return checked_by.model_validate(dict(arguments))
    except ValidationError as error:
        raise InvalidArguments(flow, _problems(model, error)) from None


def as_json(
    flow: str,
    model: type[BaseModel],
    arguments: Mapping[str, Any],
    *,
    secrets_by_value: bool = False,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
) -> dict[str, Any]:
    """`arguments` validated, with defaults filled in, as JSON data for the record, no more than `max_bytes`.

    A secret has to be a reference, `env:NAME` or `file:PATH`, which the conductor resolves: what it
    stands for is never stored. With `secrets_by_value` anything else is the secret itself, and is stored.
    """
    valid = _valid(flow, model, _posted(model, secrets_by_value), arguments)
    stored: dict[str, Any] = {}
    problems = []
    for name in model.model_fields:
        try:
            dumped = valid.model_dump(mode="json", include={name})
            stored[name] = plain(dumped[name], "it", max_bytes, max_depth)
        except NoRoom:
            problems.append(ArgumentProblem(name, _too_large("it takes", max_bytes)))
        except (ValueError, RecursionError) as error:  # pydantic's of many kinds: in itself, too deep, no text
            problems.append(ArgumentProblem(name, f"cannot be stored as JSON: {error}"))
    if not problems and len(json.dumps(stored)) > max_bytes:
        largest = max(stored, key=lambda name: len(json.dumps(stored[name])))
        problems.append(ArgumentProblem(largest, _too_large("with the others it takes", max_bytes)))
    if problems:
        raise InvalidArguments(flow, problems)
    return stored


def _too_large(takes: str, max_bytes: int) -> str:
    return (
        f"{takes} more than the {max_bytes:,} bytes that are allowed (COUNTERMAND_MAX_ARGUMENTS_BYTES): "
        "put it in a file and give the file's name"
    )


@functools.cache
def _posted(model: type[BaseModel], by_value: bool) -> type[BaseModel]:
    """The model for posting: a secret is a reference there, whatever is asked of what it stands for."""
    references: dict[str, Any] = {}
    for name in secret_names(model):
        field = model.model_fields[name]
        default = ... if field.is_required() else _default(field)
        optional = default is None or type(None) in typing.get_args(field.annotation)
        check = functools.partial(_check_value, _adapter(field)) if by_value else _check_reference
        references[name] = (Annotated[Any, PlainValidator(_optional(check) if optional else check)], default)
    return pydantic.create_model(f"{model.__name__}_posted", __base__=model, **references) if references else model


def _adapter(field: Any) -> TypeAdapter[Any]:
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(annotation)


def _optional(check: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else check(value)


def _check_reference(value: object) -> object:
    if _is_reference(value):
        return value
    raise PydanticCustomError(
        "reference", "a secret is given as env:NAME or file:PATH, which the conductor looks up"
    )


def _check_value(adapter: TypeAdapter[Any], value: object) -> object:
    """`value` as it was given, if the type takes it. What the type says of it does not repeat it."""
    if _is_reference(value):
        return value
    given = value.get_secret_value() if isinstance(value, _SECRETS) else value
    try:
        adapter.validate_python(given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        said = "; ".join(str(problem["msg"]) for problem in problems)
    else:
        return given
    raise PydanticCustomError("secret", "{said}", {"said": Secrets([given]).text(said)})


def _default(field: Any) -> Any:
    default = field.get_default(call_default_factory=True)
    return default.get_secret_value() if isinstance(default, _SECRETS) else default


def _is_absent_or_reference(value: object) -> bool:
    return value is None or _is_reference(value)


def resolved(flow: str, model: type[BaseModel], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The typed values for stored arguments, with each secret looked up where its reference points."""
    looked_up = {
        name: _look_up(flow, name, stored[name]) for name in secret_names(model) if _is_reference(stored.get(name))
    }
    return validate(flow, model, {**stored, **looked_up})


def secrets_in(model: type[BaseModel], values: Mapping[str, Any]) -> Secrets:
    """The secrets among typed values, to be replaced wherever they would be shown."""
    found = (values[name] for name in secret_names(model))
    return Secrets(value.get_secret_value() for value in found if isinstance(value, _SECRETS))


def sketched(flow: str, model: type[BaseModel], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Typed values for as many arguments as are `stored`, defaults for others; for the rest a `StandIn`.

    A secret is not looked up: where there is one, it is a `StandIn` too.
    """
    unknown = {name: StandIn(name) for name in model.model_fields if not _is_known(model, name, stored)}
    given = {name: value for name, value in stored.items() if name not in unknown}
    valid = _valid(flow, model, _sketch(model, tuple(unknown)), {**given, **unknown})
    return {name: getattr(valid, name) for name in model.model_fields}


def _is_known(model: type[BaseModel], name: str, stored: Mapping[str, Any]) -> bool:
    field = model.model_fields[name]
    if name not in stored and field.is_required():
        return False
    return name not in secret_names(model) or stored.get(name, _default(field)) is None


@functools.cache
def _sketch(model: type[BaseModel], unknown: tuple[str, ...]) -> type[BaseModel]:
    """The model without any check of what is unknown."""
    if not unknown:
        return model
    anything: dict[str, Any] = dict.fromkeys(unknown, (Any, ...))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute")
        return pydantic.create_model(f"{model.__name__}_sketch", __base__=model, **anything)


def from_text(flow: str, model: type[BaseModel], texts: Mapping[str, str]) -> dict[str, Any]:
    """Values for `NAME=VALUE` words: VALUE is read as JSON where the parameter's type does not want text."""
    schema = model.model_json_schema()
    properties = schema.get("properties", {})
    values: dict[str, Any] = {}
    problems: list[ArgumentProblem] = []
    for name, text in texts.items():
        try:
            values[name] = _value({kind.get("type") for kind in _kinds(properties.get(name, {}), schema)}, text)
        except _Ambiguous as error:
            problems.append(ArgumentProblem(name, str(error)))
        except RecursionError:
            problems.append(ArgumentProblem(name, "nested too deeply"))
    if problems:
        raise InvalidArguments(flow, problems)
    return values


def _kinds(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The alternatives of a parameter's schema, each without references."""
    if "$ref" in schema:
        yield from _kinds(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    elif "anyOf" in schema or "oneOf" in schema:
        for kind in schema.get("anyOf", schema.get("oneOf", ())):
            yield from _kinds(kind, root)
    else:
        yield schema


def _value(types_wanted: set[str | None], text: str) -> Any:
    if "string" in types_wanted:
        return None if text == "null" and "null" in types_wanted else text
    try:
        return json.loads(text, object_pairs_hook=_object)
    except ValueError:
        return text  # pydantic says what it should have been


class _Ambiguous(Exception):
    """A name stands twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Ambiguous("a name is given twice in one object")
    return found


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def _look_up(flow: str, name: str, reference: str) -> str:
    kind, _, where = reference.partition(":")
    try:
        return os.environ[where] if kind == "env" else Path(where).read_text(encoding="utf-8").rstrip("\n")
    except (KeyError, OSError):
        said = f"{reference} is not there on this conductor's host"
    except ValueError:
        said = f"{reference} is not text on this conductor's host"
    raise InvalidArguments(flow, [ArgumentProblem(name, said)])


def _problems(model: type[BaseModel], error: ValidationError) -> list[ArgumentProblem]:
    secrets = secret_names(model)
    problems = []
    for detail in error.errors(include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else "arguments"
        inside = ".".join(str(part) for part in detail["loc"][1:])
        message = _in_small(detail["msg"]) if inside else _message(model, name, detail["type"], detail["msg"])
        # What is given for a parameter that does not exist may be a secret, with a slip in its name.
        silent = detail["type"] in ("missing", "extra_forbidden") or name in secrets
        given = "" if silent else f" (got {_shown(detail['input'])})"
        problems.append(ArgumentProblem(name, f"{inside}: {message}{given}" if inside else f"{message}{given}"))
    return problems


def _message(model: type[BaseModel], name: str, kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"no such parameter, there are: {', '.join(model.model_fields) or 'none'}"
    if kind == "missing":
        return f"required, wants {wanted(model, name)}"
    return _in_small(message)


def _in_small(message: str) -> str:
    said = message.removeprefix("Value error, ")
    return said if said[1:2].isupper() else said[:1].lower() + said[1:]


def wanted(model: type[BaseModel], name: str) -> str:
    """What a parameter wants, in words of its JSON schema."""
    schema = model.model_json_schema()
    kinds = _kinds(schema.get("properties", {}).get(name, {}), schema)
    return " or ".join(dict.fromkeys(map(_in_words, kinds)))


def _in_words(kind: Mapping[str, Any]) -> str:
    choices = kind.get("enum", [kind["const"]] if "const" in kind else [])
    if choices:
        return " or ".join(value if isinstance(value, str) else json.dumps(value) for value in choices)
    return str(kind.get("format") or kind.get("type") or "a value")


def _shown(value: object) -> str:
    text = _PASSWORD.sub(rf"\1{MASK}", repr(value))
    return text if len(text) <= 80 else text[:77] + "…"
