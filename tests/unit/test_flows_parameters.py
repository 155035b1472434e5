"""A flow's parameters: what is asked of arguments, what is stored of them, what is never shown."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, HttpUrl, Secret, SecretBytes, SecretStr
from taskflow.patterns import linear_flow

from flows import flow
from flows.errors import InvalidArguments, InvalidFlow
from flows.registry import FlowSpec, Registry
from flows.storable import cause_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Annotations of the functions below are looked up when they register, and so are these names.


class Colour(enum.StrEnum):
    RED = "red"
    ONE = "1"


class Size(enum.IntEnum):
    SMALL = 1


class Login(BaseModel):
    user: str
    password: SecretStr


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Key(SecretStr):
    pass


def spec_of(function: Callable[..., Any]) -> FlowSpec:
    registry = Registry()
    flow("demo", registry=registry)(function)
    return registry.get("demo")


def problems(code: Callable[[], Any]) -> dict[str, str]:
    """What is wrong with each parameter."""
    with pytest.raises(InvalidArguments) as caught:
        code()
    assert caught.value.flow == "demo"
    assert cause_of(caught.value) is None  # a chain would show what was given
    return {problem.parameter: problem.message for problem in caught.value.problems}


def download(
    url: HttpUrl,
    target: Path,
    level: int = 6,
    fast: bool = False,
    tags: tuple[str, ...] = (),
    colour: Colour = Colour.RED,
) -> None:
    """Never called here."""


DOWNLOAD = spec_of(download)
GOOD = {"url": "http://host/a", "target": "/a"}


# What is asked


def test_defaults_are_filled_in() -> None:
    assert DOWNLOAD.as_json(GOOD) == {
        "url": "http://host/a",
        "target": "/a",
        "level": 6,
        "fast": False,
        "tags": [],
        "colour": "red",
    }


def test_values_are_typed_again_from_what_was_stored() -> None:
    def made(**values: Any) -> dict[str, Any]:
        return values

    def build(
        day: date, wait: timedelta, path: Path, size: Size, price: Decimal, names: set[str], pair: tuple[int, str]
    ) -> Any:
        return linear_flow.Flow("demo")

    spec = spec_of(build)
    given = made(
        day=date(2024, 2, 29),
        wait=timedelta(minutes=5),
        path=Path("a"),
        size=Size.SMALL,
        price=Decimal("1.10"),
        names={"a"},
        pair=(1, "b"),
    )
    stored = spec.as_json(given)
    assert json.loads(json.dumps(stored)) == stored
    assert spec.build(stored).values == given


def test_every_problem_is_named_at_once() -> None:
    assert problems(lambda: DOWNLOAD.as_json({"url": "no", "level": "many", "fast": "perhaps", "levle": 3})) == {
        "url": "input should be a valid URL, relative URL without a base (got 'no')",
        "target": "required, wants path",
        "level": "input should be a valid integer, unable to parse string as an integer (got 'many')",
        "fast": "input should be a valid boolean, unable to interpret input (got 'perhaps')",
        "levle": "no such parameter, there are: url, target, level, fast, tags, colour",
    }


def test_the_message_lists_them() -> None:
    with pytest.raises(InvalidArguments) as caught:
        DOWNLOAD.as_json({"level": "x"})
    assert str(caught.value).splitlines()[0] == "flow demo: 3 wrong argument(s):"
    assert "\n  target: required, wants path" in str(caught.value)


def test_a_problem_inside_of_a_value_says_where() -> None:
    assert problems(lambda: DOWNLOAD.as_json({**GOOD, "tags": ["a", 2]})) == {
        "tags": "1: input should be a valid string (got 2)"
    }


def test_a_long_value_is_cut() -> None:
    said = problems(lambda: DOWNLOAD.as_json({**GOOD, "level": "x" * 1000}))["level"]
    assert len(said) < 200
    assert said.endswith("…)")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("ftp://ann:s3cret@host/x", "ftp://ann:********@host/x"),
        ("ftp://:s3cret@host", "ftp://:********@host"),
        ("ftp://ann@host:21/x", "ftp://ann@host:21/x"),
        ("ftp://host:21/x@y", "ftp://host:21/x@y"),
    ],
)
def test_a_password_in_an_address_is_not_repeated(given: str, shown: str) -> None:
    assert problems(lambda: DOWNLOAD.as_json({**GOOD, "url": given}))["url"].endswith(f"(got {shown!r})")


def test_a_word_in_capitals_stays_so() -> None:
    assert problems(lambda: DOWNLOAD.as_json({**GOOD, "url": "ftp://host"})) == {
        "url": "URL scheme should be 'http' or 'https' (got 'ftp://host')"
    }


def test_a_flow_without_parameters_says_so() -> None:
    def nothing() -> None: ...

    assert spec_of(nothing).as_json({}) == {}
    assert problems(lambda: spec_of(nothing).as_json({"a": 1})) == {"a": "no such parameter, there are: none"}


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        (int, "integer"),
        (int | None, "integer or null"),
        (Colour, "red or 1"),
        (Colour | None, "red or 1 or null"),
        (Literal["all", 1, True], "all or 1 or true"),
        (Literal["all"], "all"),
        (HttpUrl, "uri"),
        (SecretStr, "password"),
        (Any, "a value"),
        (list[int], "array"),
    ],
)
def test_what_a_missing_argument_wants(annotation: Any, wanted: str) -> None:
    def build(value: Any) -> None: ...

    build.__annotations__["value"] = annotation
    assert problems(lambda: spec_of(build).as_json({})) == {"value": f"required, wants {wanted}"}


@pytest.mark.parametrize(
    "name", ["copy", "json", "schema", "dict", "keys", "fields", "model_name", "model_fields", "class_"]
)
def test_a_parameter_may_be_named_like_something_of_pydantics(name: str) -> None:
    spec = spec_of(written(f"{name}: int = 1"))
    assert spec.as_json({name: 2}) == {name: 2}
    assert spec.build({name: 2}).values == {name: 2}


# What is refused when the flow is defined


def written(parameters: str) -> Callable[..., Any]:
    """A flow's function with these parameters."""
    names: dict[str, Any] = {**globals()}
    exec(f"def build({parameters}): return linear_flow.Flow('demo')", names)
    return names["build"]


@pytest.mark.parametrize(
    "name", ["result", "flow_failures", "self", "_private", "model_config", "model_dump", "model_validate"]
)
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidFlow, match=f"flow demo: .*{name}"):
        spec_of(written(f"{name}: int = 1"))


@pytest.mark.parametrize("parameters", ["*args", "**kwargs", "a, /", "a, /, b", "*args: int"])
def test_parameters_without_a_name_of_their_own_are_refused(parameters: str) -> None:
    with pytest.raises(InvalidFlow, match="needs a name of its own"):
        spec_of(written(parameters))


def test_parameters_by_keyword_only_are_fine() -> None:
    assert spec_of(written("*, a: int, b: int = 2")).as_json({"a": 1}) == {"a": 1, "b": 2}


def test_annotations_that_are_not_there_when_the_flow_registers_are_refused() -> None:
    def build(values: Sequence[int]) -> None: ...

    with pytest.raises(InvalidFlow, match=r"flow demo: name 'Sequence' is not defined: .*TYPE_CHECKING"):
        spec_of(build)


@pytest.mark.parametrize("annotation", ["object()", "threading.Lock", "Callable[[], int]", "Registry"])
def test_types_that_nobody_could_post_are_refused(annotation: str) -> None:
    with pytest.raises(InvalidFlow, match="flow demo:"):
        spec_of(written(f"value: {annotation}"))


# What is stored


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "it is nan"),
        ([1, {"a": math.inf}], "it[1].a is inf"),
        ("a\0", "it holds a NUL"),
        ("a\udcff", "it holds half of a surrogate pair"),
        (object(), "Unable to serialize unknown type"),
    ],
    ids=["nan", "inf", "NUL", "surrogate", "object"],
)
def test_what_no_database_would_store_is_refused(value: Any, said: str) -> None:
    def build(first: Any = None, second: Any = None, third: int = 0) -> None: ...

    found = problems(lambda: spec_of(build).as_json({"first": value, "second": value}))
    assert found.keys() == {"first", "second"}
    assert found["first"].startswith("cannot be stored as JSON: ")
    assert said in found["first"]


def test_a_path_that_is_not_unicode_is_refused_when_it_is_posted() -> None:
    assert "surrogate" in problems(lambda: DOWNLOAD.as_json({**GOOD, "target": "/\udcff"}))["target"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=4)
)


@settings(deadline=None)
@given(plain, st.text(), st.dictionaries(st.text(), st.integers()))
def test_what_is_stored_comes_back_from_json_and_fits_again(
    anything: Any, text: str, table: dict[str, int]
) -> None:
    def build(anything: Any, text: str, table: dict[str, int]) -> Any:
        return linear_flow.Flow("demo")

    spec = spec_of(build)
    given = {"anything": anything, "text": text, "table": table}
    try:
        stored = spec.as_json(given)
    except InvalidArguments:
        assert "\0" in repr(given) or "\\x00" in repr(given)
        return
    assert json.loads(json.dumps(stored)) == stored == given
    assert spec.build(stored).values == given


# Words of a command line


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "5", 5),
        (int, "five", "five"),
        (float, "1e3", 1000.0),
        (bool, "true", True),
        (bool, "yes", "yes"),
        (str, "5", "5"),
        (str, "true", "true"),
        (str, "null", "null"),
        (str | None, "null", None),
        (str | None, "5", "5"),
        (int | None, "null", None),
        (int | None, "5", 5),
        (list[str], '["a"]', ["a"]),
        (list[str], "a", "a"),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Path, "5", "5"),
        (Path | None, "null", None),
        (Path, "a=b", "a=b"),
        (HttpUrl, "http://x", "http://x"),
        (date, "2024-02-29", "2024-02-29"),
        (Literal["1", "x"], "1", "1"),
        (Literal["x"], "x", "x"),
        (Literal[1, 2], "1", 1),
        (Literal["a", 1], "a", "a"),
        (Literal["a", 1], "1", 1),
        (Colour, "1", "1"),
        (Colour, "red", "red"),
        (Colour | None, "1", "1"),
        (Colour | None, "null", None),
        (list[Colour], '["1"]', ["1"]),
        (Size, "1", 1),
        (Node, '{"name": "a"}', {"name": "a"}),
        (Node | None, "null", None),
        (SecretStr, "env:A", "env:A"),
        (Any, "5", 5),
        (Any, "five", "five"),
        (Annotated[int, Field(ge=1)], "5", 5),
    ],
)
def test_a_value_is_read_as_json_where_its_type_is_not_text(annotation: Any, text: str, value: Any) -> None:
    def build(value: Any) -> None: ...

    build.__annotations__["value"] = annotation
    read = spec_of(build).from_text({"value": text})["value"]
    assert read == value
    assert type(read) is type(value)


def test_words_for_unknown_parameters_are_left_for_the_check() -> None:
    assert DOWNLOAD.from_text({"nope": "x"}) == {"nope": "x"}


@pytest.mark.parametrize("text", ["1", "red"])
def test_what_is_read_fits(text: str) -> None:
    assert DOWNLOAD.as_json(GOOD | DOWNLOAD.from_text({"colour": text, "level": "3", "fast": "yes"})) | {} == (
        DOWNLOAD.as_json(GOOD) | {"colour": text, "level": 3, "fast": True}
    )


# Secrets


STANDING = SecretStr("env:STANDING")


def login(
    token: SecretStr,
    backup: SecretStr | None = None,
    long: Annotated[SecretStr, Field(min_length=20)] | None = None,
    number: Secret[int] | None = None,
    raw: SecretBytes | None = None,
    key: Key | None = None,
    standing: SecretStr = STANDING,
    plain: str = "",
) -> Any:
    return linear_flow.Flow("login")


LOGIN = spec_of(login)
SECRET = "hunter2-hunter2-hunter2"


def test_secrets_are_known() -> None:
    assert LOGIN.secrets == ("token", "backup", "long", "number", "raw", "key", "standing")
    assert DOWNLOAD.secrets == ()


def test_a_secret_is_stored_as_a_reference() -> None:
    stored = LOGIN.as_json({"token": "env:TOKEN", "long": "file:/run/long", "number": "env:N"})
    assert stored == {
        "token": "env:TOKEN",
        "backup": None,
        "long": "file:/run/long",
        "number": "env:N",
        "raw": None,
        "key": None,
        "standing": "env:STANDING",
        "plain": "",
    }


@pytest.mark.parametrize("value", [SECRET, "", "Env:A", "env", 5, None, ["env:A"], SecretStr(SECRET), b"env:A"])
def test_anything_but_a_reference_is_refused(value: Any) -> None:
    assert problems(lambda: LOGIN.as_json({"token": value})) == {
        "token": "a secret is given as env:NAME or file:PATH, which the conductor looks up"
    }


def test_a_secret_is_one_problem_among_others() -> None:
    found = problems(lambda: LOGIN.as_json({"token": SECRET, "backup": SECRET, "plain": 5, "tokn": SECRET}))
    assert found.keys() == {"token", "backup", "plain", "tokn"}


def test_no_message_has_a_secret_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUNTER", SECRET)
    calls = [
        lambda: LOGIN.as_json({"token": SECRET}),
        lambda: LOGIN.as_json({"tokn": SECRET, "token": "env:HUNTER", "plain": 3}),
        lambda: LOGIN.as_json({"token": [SECRET]}),
        lambda: LOGIN.build({"token": "env:HUNTER", "number": "env:HUNTER"}),
        lambda: LOGIN.build({"token": "env:HUNTER", "plain": 3}),
    ]
    for call in calls:
        with pytest.raises(InvalidArguments) as caught:
            call()
        assert SECRET not in str(caught.value) + repr(caught.value)


def test_a_secret_is_looked_up_for_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKEN", "abc")
    monkeypatch.setenv("STANDING", "def")
    monkeypatch.setenv("N", "7")
    file = tmp_path / "long"
    file.write_text(f"{SECRET}\n")
    stored = LOGIN.as_json({"token": "env:TOKEN", "long": f"file:{file}", "number": "env:N", "raw": "env:TOKEN"})
    values = LOGIN.build(stored).values
    assert values["token"].get_secret_value() == "abc"
    assert values["standing"].get_secret_value() == "def"
    assert values["long"].get_secret_value() == SECRET
    assert values["number"].get_secret_value() == 7
    assert values["raw"].get_secret_value() == b"abc"
    assert values["backup"] is None
    assert SECRET not in repr(values)


def test_a_secret_that_is_not_there_is_named_by_its_reference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    (tmp_path / "binary").write_bytes(b"\xff")
    said = "is not there on this conductor's host"
    for reference in ("env:TOKEN", "env:", "file:/nowhere/token", "file:", f"file:{tmp_path}"):
        assert problems(lambda: LOGIN.build({"token": reference})) == {"token": f"{reference} {said}"}  # noqa: B023
    for reference in (f"file:{tmp_path}/binary", "file:a\0"):
        found = problems(lambda: LOGIN.build({"token": reference}))  # noqa: B023
        assert found == {"token": f"{reference} is not text on this conductor's host"}


def test_what_is_asked_of_a_secret_is_asked_when_it_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "short")
    monkeypatch.setenv("STANDING", "")
    found = problems(lambda: LOGIN.build({"token": "env:TOKEN", "long": "env:TOKEN", "standing": "env:STANDING"}))
    assert found.keys() == {"long"}
    assert "at least 20" in found["long"]


@pytest.mark.parametrize(
    "parameters",
    [
        "login: Login",
        "login: Login | None = None",
        "login: list[Login] = []",
        "tokens: list[SecretStr]",
        "tokens: dict[str, SecretStr]",
    ],
)
def test_a_secret_inside_of_something_else_is_refused(parameters: str) -> None:
    with pytest.raises(InvalidFlow, match="a secret inside of it would be stored"):
        spec_of(written(parameters))


@pytest.mark.parametrize("default", ["SecretStr('hunter2')", "'hunter2'", "SecretStr('')"])
def test_a_secret_in_the_code_is_refused(default: str) -> None:
    with pytest.raises(InvalidFlow, match="its default is no secret") as caught:
        spec_of(written(f"token: SecretStr = {default}"))
    assert "hunter2" not in str(caught.value)


def test_a_model_that_holds_itself_is_no_trouble() -> None:
    spec = spec_of(written("node: Node"))
    assert spec.as_json({"node": {"name": "a", "children": [{"name": "b"}]}})["node"]["children"][0]["name"] == "b"
