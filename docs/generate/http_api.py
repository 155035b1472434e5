"""The HTTP API, from its OpenAPI document."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

from docs.generate.documents import given_out, name_of
from docs.generate.markdown import page, paragraph, table
from flows.registry import Registry
from jobboard.settings import read_settings
from poster.client import Client
from poster.web.app import create_app
from poster.web.gate.permissions import PERMISSIONS

JsonObject = dict[str, Any]
_JSON = "application/json"
_PROBLEM = "application/problem+json"
_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}


_INTRO = """\
[The HTTP API](../http.md) is the way in; `/docs` of `poster serve` shows the same as this page, to be tried, and
the document itself is at `/api/openapi.json`. Types that are links lead to what is [given out](json.md)."""


def http_api() -> str:
    """Every path: who may, what it takes, what it answers."""
    document = openapi()
    return page(
        "HTTP, path by path",
        _INTRO,
        "What cannot be done is told as a problem (RFC 9457), with one of these codes:",
        table(("code", "for example"), _problems(document)),
        *_tables(document),
        "## `/api/ws`",
        f"A WebSocket with the same events as `/api/events`; see [events](events.md). Role: "
        f"`{PERMISSIONS['/api/ws']['WEBSOCKET']}`.",
        *(part for name in _own(document) for part in _of_type(document, name)),
    )


def openapi() -> JsonObject:
    """The document of a server that knows no flow."""
    with (
        tempfile.TemporaryDirectory() as home,
        Client.open(read_settings({}, home=home), registry=Registry()) as client,
    ):
        return dict(create_app(client, token_needed=True).openapi())


def _operations(document: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _problems(document: JsonObject) -> list[tuple[str, str]]:
    found = {}
    for _, _, operation in _operations(document):
        for code, answer in operation["responses"].items():
            example = answer.get("content", {}).get(_PROBLEM, {}).get("example")
            if example:
                found[code] = example["detail"]
    return sorted((f"`{code}`", said) for code, said in found.items())


def _of(document: JsonObject, path: str, method: str, operation: JsonObject) -> Iterator[str]:
    yield f"## `{method} {path}`"
    told = operation.get("description", "").replace("\n\nRole: ", " Role: ")
    yield "\n\n".join(paragraph(part) for part in told.split("\n\n"))
    if not operation.get("security"):
        yield "For everyone."
    rows = [_parameter(one) for one in operation.get("parameters", [])] + _body(document, operation)
    if rows:
        yield table(("takes", "where", "type", "meaning"), rows)
    yield table(("answers", "with", ""), _answers(operation))


def _parameter(one: JsonObject) -> tuple[str, ...]:
    where = one["in"] + (", required" if one.get("required") and one["in"] != "path" else "")
    return (f"`{one['name']}`", where, _type(one["schema"]), _meaning(one, one["schema"]))


def _body(document: JsonObject, operation: JsonObject) -> list[tuple[str, ...]]:
    contents = operation.get("requestBody", {}).get("content", {})
    if _JSON not in contents:
        return []
    schema = _resolved(document, contents[_JSON]["schema"])
    required = schema.get("required", ())
    return [
        (f"`{name}`", f"body{', required' * (name in required)}", _type(field), _meaning(field, field))
        for name, field in schema["properties"].items()
    ]


def _meaning(one: JsonObject, schema: JsonObject) -> str:
    default = schema.get("default")
    shown = "" if default in (None, [], {}, "", False) else f"Default: `{default}`."
    return f"{one.get('description', '')} {shown}".strip()


def _answers(operation: JsonObject) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for code, answer in sorted(operation["responses"].items()):
        kinds = answer.get("content", {})
        if _PROBLEM in kinds:
            continue
        said = answer["description"].replace("Successful Response", "")
        shown = ", ".join(_content(kind, content) for kind, content in kinds.items())
        rows.append((f"`{code}`", shown or "nothing", said))
    problems = [code for code, one in operation["responses"].items() if _PROBLEM in one.get("content", {})]
    if problems:
        rows.append((", ".join(f"`{code}`" for code in sorted(problems)), "a problem", ""))
    return rows


def _content(kind: str, content: JsonObject) -> str:
    return _type(content.get("schema", {})) if kind == _JSON else f"`{kind}`"


def _resolved(document: JsonObject, schema: JsonObject) -> JsonObject:
    """The type of a body, which may be left out as a whole."""
    references = [one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one]
    return dict(document["components"]["schemas"][_name(references[0])])


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _type(schema: JsonObject) -> str:
    if "$ref" in schema:
        return _linked(_name(schema["$ref"]))
    if "anyOf" in schema:
        # That a field of a form may be left empty is nothing that one would ask for.
        kinds = (one for one in schema["anyOf"] if one.get("const") != "")
        return " or ".join(dict.fromkeys(map(_type, kinds)))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    return _WORDS.get(kind, kind) + _limits(schema)


def _limits(schema: JsonObject) -> str:
    least, most = int(schema.get("minimum", 0)), schema.get("maximum")
    return f" from {least} to {int(most):,}" if schema.get("type") == "integer" and most else ""


def _linked(name: str) -> str:
    if name == "State":
        return "[state](states.md)"
    given = given_out().get(name)
    if given is None:
        return f"[{_word(name)}](#{_word(name)})"
    return f"[{name_of(given).lower()}](json.md#{name_of(given).lower().replace(' ', '-')})"


def _word(name: str) -> str:
    return "page" if name == "JobsDocument" else name.removesuffix("Document").lower()


def _own(document: JsonObject) -> list[str]:
    """Types that only this API has: not the bodies, which stand where they are taken."""
    names = set(document["components"]["schemas"]) - given_out().keys() - {"State"}
    return sorted(name for name in names if f"](#{_word(name)})" in str(list(_tables(document))))


def _tables(document: JsonObject) -> Iterator[str]:
    for path, method, operation in _operations(document):
        yield from _of(document, path, method, operation)


def _of_type(document: JsonObject, name: str) -> Iterator[str]:
    schema = document["components"]["schemas"][name]
    yield f"## {_word(name).capitalize()}"
    yield paragraph(schema.get("description", ""))
    fields = schema["properties"].items()
    yield table(("field", "type", "meaning"), [(f"`{f}`", _type(one), _meaning(one, one)) for f, one in fields])
