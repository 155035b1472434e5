"""What is given out as JSON, from the types of `poster/documents.py`."""

from __future__ import annotations

import re
from inspect import getdoc, getsource
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from docs.generate.markdown import page, paragraph, prose, table
from poster import documents

_WORDS = {
    str: "text",
    float: "number",
    int: "whole number",
    bool: "true or false",
    Any: "anything",
    NoneType: "null",
}


_INTRO = """\
The command line (`--json`) and the [HTTP API](http.md) give out the same. Moments are text as ISO 8601 has it,
in UTC. What may be left out stands only where it is so."""


def json_documents() -> str:
    """A table for each."""
    kinds = given_out().values()
    return page(
        "JSON",
        _INTRO,
        *(part for kind in kinds for part in (f"## {name_of(kind)}", _told(kind), _fields(kind))),
    )


def given_out() -> dict[str, Any]:
    """The types by their names."""
    return {name: kind for name, kind in vars(documents).items() if is_typeddict(kind)}


def name_of(kind: Any) -> str:
    """`JobDocument` as `Job`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__.removesuffix("Document")).capitalize()


def _told(kind: Any) -> str:
    text = getdoc(kind) if kind.__doc__ and not kind.__doc__.startswith("dict(") else _beneath(kind)
    return "\n\n".join(paragraph(prose(part)) for part in (text or "").split("\n\n"))


def _beneath(kind: Any) -> str:
    """The words under a type that is made by a call, and so has no docstring of its own."""
    found = re.search(
        rf"^{kind.__name__} = .*?^\)\n\"\"\"(.*?)\"\"\"", getsource(documents), re.MULTILINE | re.DOTALL
    )
    return found[1] if found else ""


def _fields(kind: Any) -> str:
    hints = get_type_hints(kind, include_extras=True)
    return table(("field", "type"), [(f"`{name}`", _type(hint)) for name, hint in hints.items()])


def _type(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is NotRequired:
        return f"{_type(inner[0])}; may be left out"
    if origin in (Union, UnionType):
        return " or ".join(_type(one) for one in inner)
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "object" if inner[1] is Any else f"object of {_type(inner[1])}"
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if is_typeddict(hint):
        return f"[{name_of(hint).lower()}](#{name_of(hint).lower().replace(' ', '-')})"
    return _WORDS[hint]
