"""A request to post one job, as one makes it or reads it from JSON. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from jobboard.models import PRIORITIES, NewJob
from poster.durations import duration
from poster.errors import InvalidJson, InvalidRequest, Malformed
from poster.strict_json import loads_object

if TYPE_CHECKING:
    from flows.registry import FlowSpec
    from jobboard.settings import Settings

MAX_RETRIES: Final = 1_000_000
LONGEST_KEY: Final = 255
LONGEST_REASON: Final = 10_000


@dataclass(frozen=True)
class PostRequest:
    """One job to post. None for a limit means: as the flow says, else as the settings say.

    Raises `InvalidRequest`, which names every field that does not fit.
    """

    flow: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    priority: str = "normal"
    delay_s: float = 0.0
    key: str | None = None  # gives the job back that has it and has not ended
    timeout_s: float | None = None  # running time of an attempt
    max_retries: int | None = None
    retry_interval_s: float | None = None
    line: int | None = None  # where it stands in the file it was read from

    def __post_init__(self) -> None:
        found = [(name.removesuffix("_s"), check(getattr(self, name))) for name, check in _CHECKS.items()]
        problems = [(name, wrong) for name, wrong in found if wrong]
        if problems:
            raise InvalidRequest(problems)


def from_json(document: Mapping[str, Any], line: int | None = None) -> PostRequest:
    """The request that a JSON object makes. Raises `InvalidRequest`."""
    problems = [
        (name, f"no such field, there are: {', '.join(_FIELDS)}") for name in document if name not in _FIELDS
    ]
    if "flow" not in document:
        problems.append(("flow", "required, wants the name of a flow"))
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name not in _FIELDS or (value is None and name != "flow"):
            continue
        try:
            values[_FIELDS[name]] = duration(value) if _FIELDS[name].endswith("_s") else value
        except ValueError as error:
            problems.append((name, str(error)))
    if problems:
        raise InvalidRequest(problems)
    return PostRequest(**values, line=line)


def read_lines(
    lines: Iterable[str], defaults: Mapping[str, Any] | None = None
) -> tuple[list[PostRequest], list[Malformed]]:
    """The requests of a file with a JSON object a line, and the lines that make none. Empty lines are passed over.

    `defaults` are fields for lines that do not have them.
    """
    requests: list[PostRequest] = []
    malformed: list[Malformed] = []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            requests.append(from_json({**(defaults or {}), **loads_object(text)}, number))
        except (InvalidJson, InvalidRequest) as error:
            malformed.append(Malformed(number, error))
    return requests, malformed


def new_job(spec: FlowSpec, request: PostRequest, settings: Settings, now: Callable[[], datetime]) -> NewJob:
    """What is to be stored for `request`. Raises the flow's `InvalidArguments`.

    `now` is asked for jobs that are not due at once, when nothing else is wrong with them.
    """
    return NewJob(
        flow=spec.name,
        arguments=stored_arguments(spec, request.arguments, settings),
        priority=request.priority,
        due_at=now() + timedelta(seconds=request.delay_s) if request.delay_s else None,
        key=request.key,
        timeout_s=_first(request.timeout_s, spec.timeout_s, settings.timeout),
        max_retries=_first(request.max_retries, spec.max_retries, settings.max_retries) or 0,
        retry_interval_s=_first(request.retry_interval_s, spec.retry_interval_s, settings.retry_interval) or 0.0,
        max_running=spec.max_running,
        on_failure=spec.on_failure,
        masked=spec.secrets,
    )


def stored_arguments(spec: FlowSpec, arguments: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Arguments as a record has them. Raises the flow's `InvalidArguments`."""
    limits = {"max_bytes": settings.max_arguments_bytes, "max_depth": settings.max_depth}
    return spec.as_json(arguments, **limits)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


_FIELDS: Final = {
    "flow": "flow",
    "arguments": "arguments",
    "priority": "priority",
    "delay": "delay_s",
    "timeout": "timeout_s",
    "max_retries": "max_retries",
    "retry_interval": "retry_interval_s",
    "key": "key",
}
"""Fields of the JSON object, and what they are called here."""


def _flow(value: object) -> str | None:
    return None if isinstance(value, str) and value else "wants the name of a flow"


def _arguments(value: object) -> str | None:
    return None if isinstance(value, Mapping) else "wants an object with the flow's arguments by name"


def _priority(value: object) -> str | None:
    return None if value in PRIORITIES else f"wants one of {', '.join(PRIORITIES)}"


def _key(value: object) -> str | None:
    if value is None or (isinstance(value, str) and 0 < len(value) <= LONGEST_KEY and value.isprintable()):
        return None
    return f"wants 1 to {LONGEST_KEY} printable characters"


def _seconds(value: object) -> str | None:
    try:
        duration(value)
    except ValueError as error:
        return str(error)
    return None


def check_reason(value: str | None) -> None:
    """`InvalidRequest` for a reason that no database stores."""
    _check_text("reason", value, LONGEST_REASON, printable=False)


def check_name(field: str, value: str | None) -> None:
    """The same for a name: of who asks, of a flow."""
    _check_text(field, value, LONGEST_KEY, printable=True)


def _check_text(field: str, value: str | None, most: int, *, printable: bool) -> None:
    if value is None:
        return
    try:
        value.encode()
        storable = "\0" not in value
    except UnicodeEncodeError:  # half of a surrogate pair, as bytes on a command line become that are no UTF-8
        storable = False
    if not storable or len(value) > most or (printable and not value.isprintable()):
        wanted = "printable characters" if printable else "characters of UTF-8 text without NUL"
        raise InvalidRequest([(field, f"wants no more than {most:,} {wanted}")])


def _timeout(value: object) -> str | None:
    if value is None:
        return None
    return "wants a duration longer than 0" if value == 0 else _seconds(value)


def _interval(value: object) -> str | None:
    return None if value is None else _seconds(value)


def _max_retries(value: object) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_RETRIES
    return None if value is None or whole else f"wants a whole number from 0 to {MAX_RETRIES}"


_CHECKS: Final[Mapping[str, Callable[[object], str | None]]] = {
    "flow": _flow,
    "arguments": _arguments,
    "priority": _priority,
    "key": _key,
    "delay_s": _seconds,
    "timeout_s": _timeout,
    "retry_interval_s": _interval,
    "max_retries": _max_retries,
}
"""What is wrong with a field's value; None if nothing is."""
