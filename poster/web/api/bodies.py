"""What requests carry, as JSON."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from jobboard.states import State
from poster.durations import LONGEST_S, duration
from poster.post_request import LONGEST_KEY, LONGEST_REASON, MAX_RETRIES

MOST_JOBS: Final = 10_000
MOST_PLANNED: Final = 500  # each costs a look at its flow

_PARTS: Final = r"([0-9]{1,3}d)?([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,7}s)?([0-9]{1,7}ms)?"
_POSITIVE: Final = re.sub(r"\[0-9]\{1,(\d)\}", lambda digits: f"[1-9][0-9]{{0,{int(digits[1]) - 1}}}", _PARTS)

Name = Annotated[str, Field(min_length=1, max_length=255)]


def _check(pattern: str, *, least: JsonDict) -> PlainValidator:
    """Of a duration: a number of seconds, or text of this pattern. One message for all that is none."""

    def check(value: object) -> object:
        if isinstance(value, str) and not (value and re.fullmatch(pattern, value)):
            raise ValueError("wants a duration like 90, 30s, 5m or 1h30m")
        if not duration(value) and "exclusiveMinimum" in least:
            raise ValueError("wants a duration longer than 0")
        return value

    return PlainValidator(check)


def _schema(pattern: str, *, least: JsonDict) -> WithJsonSchema:
    """The same, told."""
    number: JsonDict = {"type": "number", "maximum": LONGEST_S, **least}
    text: JsonDict = {"type": "string", "minLength": 1, "pattern": f"^{pattern}$"}
    return WithJsonSchema({"anyOf": [number, text]})


_ANY: Final = f"([0-9]{{1,8}}|{_PARTS})"
_NOT_ZERO: Final = f"([1-9][0-9]{{0,7}}|{_POSITIVE})"
_FROM_ZERO: Final[JsonDict] = {"minimum": 0}
_ABOVE_ZERO: Final[JsonDict] = {"exclusiveMinimum": 0}

Duration = Annotated[Any, _check(_ANY, least=_FROM_ZERO), _schema(_ANY, least=_FROM_ZERO)]
"""Seconds, or `90`, `30s`, `5m`, `1h30m`."""

PositiveDuration = Annotated[Any, _check(_NOT_ZERO, least=_ABOVE_ZERO), _schema(_NOT_ZERO, least=_ABOVE_ZERO)]
"""The same, but none of length 0."""

Reason = Annotated[
    str, Field(max_length=LONGEST_REASON, pattern=r"^[^\x00]*$", description="Why: the job's history will tell.")
]


def _whole(value: object) -> object:
    """JSON has one kind of numbers: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Retries = Annotated[int, Field(strict=True, ge=0, le=MAX_RETRIES), BeforeValidator(_whole)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewJob(_Body):
    """A job to post. Null for a limit means: as the flow says, else as the settings say."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "flow": "process_files",
                    "arguments": {"source": "/data", "target": "/backup/data.tar.gz"},
                    "timeout": "10m",
                    "key": "backup-2025-01-31",
                }
            ]
        }
    )

    flow: Name
    arguments: Annotated[dict[str, Any], Field(description="By name, as the flow's schema has them.")] = {}
    priority: Literal["very_high", "high", "normal", "low", "very_low"] = "normal"
    delay: Annotated[Duration, Field(description="Seconds, or `90`, `30s`, `5m`, `1h30m`.")] = 0
    timeout: Annotated[PositiveDuration | None, Field(description="Running time of an attempt.")] = None
    max_retries: _Retries | None = None
    retry_interval: Annotated[Duration | None, Field(description="Between automatic retries.")] = None
    key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=LONGEST_KEY,
            description="Gives the job back that has it and has not ended.",
        ),
    ] = None


class CancelBody(_Body):
    """A cancel."""

    reason: Reason | None = None


_NOT: Final[JsonDict] = {"const": False}
_NO_ARGUMENTS: Final[JsonDict] = {"anyOf": [{"type": "null"}, {"maxProperties": 0}]}


class RetryBody(_Body):
    """A retry: of all, with other arguments, or of the cleanup only; or one that gives effects up."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"cleanup": _NOT, "force": _NOT}},
                {"properties": {"arguments": _NO_ARGUMENTS, "force": _NOT}},
                {
                    "properties": {
                        "arguments": _NO_ARGUMENTS,
                        "cleanup": _NOT,
                        "reason": {"type": "string", "minLength": 1},
                    },
                    "required": ["reason"],
                },
            ]
        }
    )

    arguments: Annotated[
        dict[str, Any] | None, Field(description="Those that the new attempt has others of.", examples=[{}])
    ] = None
    cleanup: Annotated[bool, Field(strict=True, description="Only have reverts that failed run again.")] = False
    force: Annotated[
        bool, Field(strict=True, description="A new attempt though a revert failed. Wants a reason.")
    ] = False
    reason: Reason | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum((bool(self.arguments), self.cleanup, self.force)) > 1:
            raise ValueError("wants one of arguments, cleanup and force")
        if self.force and not self.reason:
            raise ValueError("force wants a reason: what became of the effects")
        return self


class Filter(_Body):
    """All jobs that are like this when it is asked for."""

    state: Annotated[
        State | list[State] | None, Field(description="One, or several. Null: all that it may be.")
    ] = None
    flow: Name | None = None
    q: Annotated[Name | None, Field(description="Words, as the list takes them.")] = None

    def states(self, otherwise: tuple[State, ...]) -> tuple[State, ...]:
        """The states; `otherwise` if it names none."""
        if self.state is None:
            return otherwise
        return (self.state,) if isinstance(self.state, State) else tuple(self.state) or otherwise


_NONE: Final[JsonDict] = {"type": "null"}


class Many(_Body):
    """Many jobs: by their ids, or by a filter."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"ids": {"type": "array"}, "filter": _NONE}, "required": ["ids"]},
                {"properties": {"filter": {"type": "object"}, "ids": _NONE}, "required": ["filter"]},
            ]
        }
    )

    ids: Annotated[list[str] | None, Field(min_length=1, max_length=MOST_JOBS)] = None
    filter: Filter | None = None

    @model_validator(mode="after")
    def _ids_or_filter(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("wants either ids or filter")
        return self


class CancelMany(Many):
    """A cancel of many jobs."""

    reason: Reason | None = None


class RetryMany(Many):
    """A retry of many jobs."""
