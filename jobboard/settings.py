"""Settings: read once, from `COUNTERMAND_*` and flags, into one frozen value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import durationpy

from jobboard.address import without_password
from jobboard.errors import SettingError


@dataclass(frozen=True)
class Settings:
    """What posters and conductors go by. Durations are in seconds.

    `origins` tells where each value came from: `default`, an environment variable, or a flag.
    """

    home: Path  # folder of the default database
    database_url: str  # where the records are: sqlite:////path or postgresql://user@host/name
    jobboard_url: str = "sql"  # sql (in the same database), zookeeper://…, redis://…, rediss://…, etcd://…
    flows: tuple[str, ...] = ()  # what to load flows from: modules, or paths of .py files
    lease: float = 15.0  # a conductor that is not heard of for so long has lost its jobs
    timeout: float | None = None  # the longest running time of an attempt
    max_retries: int = 0  # automatic retries
    retry_interval: float = 60.0  # before an automatic retry
    max_claims: int = 5  # how often an attempt may be claimed: its conductors died
    parallel: int = 16  # threads that parallel engines share
    unresponsive_after: float = 10.0  # a task that goes on so long after a cancel is named
    max_arguments_bytes: int = 1_000_000  # the most for the arguments of a job, as JSON
    max_result_bytes: int = 1_000_000  # the most for the result of a task, as JSON
    max_depth: int = 100  # how deep lists and objects may nest in arguments and results
    retention: float | None = None  # jobs that ended so long ago are removed; else they are kept
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def board_kind(self) -> str:
        """`sql`, `zookeeper`, `redis` or `etcd`."""
        return _BOARDS[self.jobboard_url.partition(":")[0]]


_BOARDS = {"sql": "sql", "zookeeper": "zookeeper", "redis": "redis", "rediss": "redis", "etcd": "etcd"}
PREFIX = "COUNTERMAND_"
_DEEPEST = 200  # what nests deeper, Python cannot read and copy everywhere


def read_settings(environment: Mapping[str, str] | None = None, **flags: str | None) -> Settings:
    """Settings from flags (those that are not None), else from the environment, else as they come.

    `SettingError` names what cannot be used and what it wants.
    """
    environment = os.environ if environment is None else environment
    texts: dict[str, str] = {}
    origins: dict[str, str] = {}
    for name in names():
        variable = PREFIX + name.upper()
        if flags.get(name) is not None:
            texts[name], origins[name] = str(flags[name]), f"--{name.replace('_', '-')}"
        elif environment.get(variable):
            texts[name], origins[name] = environment[variable], variable
        else:
            origins[name] = "default"
    values: dict[str, Any] = {name: _parse(origins[name], name, text) for name, text in texts.items()}
    if "home" not in values:
        import platformdirs  # noqa: PLC0415 - slow to import

        values["home"] = platformdirs.user_state_path("countermand", appauthor=False)
    values.setdefault("database_url", f"sqlite:///{values['home'] / 'countermand.db'}")
    return Settings(**values, origins=origins)


def names() -> list[str]:
    """The names of all settings."""
    return [f.name for f in fields(Settings) if f.name != "origins"]


def _parse(origin: str, name: str, text: str) -> Any:
    try:
        return _PARSERS[name](text)
    except ValueError as error:
        raise SettingError(f"{origin}={without_password(text)}: {error}") from None


def parse_duration(text: str) -> float:
    """Seconds for `90`, `30s`, `5m`, `1h30m`, `2d`. `ValueError` says what is wanted."""
    try:
        seconds = durationpy.from_str(text if text[-1:].isalpha() else f"{text}s").total_seconds()
    except durationpy.DurationError:
        raise ValueError("wants a duration like 90, 30s, 5m or 1h30m") from None
    if seconds < 0:
        raise ValueError("wants a duration that is not negative")
    return float(seconds)


def shown_duration(seconds: float) -> str:
    """Seconds as people write them: `1h30m`, `90s` as `1m30s`, `0.5s` as `500ms`."""
    return str(durationpy.to_str(timedelta(seconds=seconds)))


def _lease(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError("wants a second at least: a conductor must be able to renew it in time")
    return seconds


def _whole(least: int, most: int | None = None) -> Any:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= (most or int(text)):
            raise ValueError(wanted)
        return int(text)

    wanted = f"wants a whole number from {least}" + (f" to {most}" if most is not None else "")

    return parse


_ADDRESSES = "sql, zookeeper://host:port/path, redis://host:port, rediss://host:port or etcd://host:port/path"


def _board(text: str) -> str:
    kind, colon, _ = text.partition(":")
    if kind not in _BOARDS or (kind == "sql") == bool(colon):
        raise ValueError(f"wants {_ADDRESSES}")
    return text


_PARSERS: dict[str, Any] = {
    "home": lambda text: Path(text).expanduser().absolute(),
    "database_url": str,
    "jobboard_url": _board,
    "flows": lambda text: tuple(module.strip() for module in text.split(",") if module.strip()),
    "lease": _lease,
    "timeout": parse_duration,
    "max_retries": _whole(0),
    "retry_interval": parse_duration,
    "max_claims": _whole(1),
    "parallel": _whole(1),
    "unresponsive_after": parse_duration,
    "max_arguments_bytes": _whole(1),
    "max_result_bytes": _whole(1),
    "max_depth": _whole(1, _DEEPEST),
    "retention": parse_duration,
}
