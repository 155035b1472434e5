"""Options that every command has, and parameters that several have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import click

from poster.cli import completion, session, words
from poster.cli.commands import LazyCommand, LazyGroup
from poster.cli.exit_codes import OUTPUT_CLOSED
from poster.cli.output import drop_output

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _setting(flag: str, metavar: str, told: str) -> click.Option:
    return click.Option(
        [flag],
        metavar=metavar,
        help=told,
        expose_value=False,
        is_eager=True,
        callback=session.keep_flag,
    )


SETTINGS: Final = (
    _setting("--database-url", "URL", "Where the records are: sqlite:////path or postgresql://user@host/name."),
    _setting("--jobboard-url", "URL", "sql (in the same database), zookeeper://host:port/path, …"),
    _setting("--flows", "MODULES", "Modules with flows, or .py files, comma-separated."),
    _setting("--home", "FOLDER", "Where the default database is."),
    click.Option(
        ["--json"],
        is_flag=True,
        help="JSON on standard output.",
        expose_value=False,
        callback=session.keep_json,
    ),
)
"""Of every command, before or after its name."""


class _WithSettings(click.Command):
    """Its own options first, those of every command after them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *SETTINGS]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [param for param in self.get_params(ctx) if param not in SETTINGS]
        for title, params in (("Options", own), ("Before or after every command", SETTINGS)):
            records = [record for param in params if (record := param.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class PosterCommand(_WithSettings):
    """One command."""


class PosterGroup(_WithSettings, click.Group):
    """`poster` itself, or a command that has commands: in the order one needs them."""

    command_class = PosterCommand

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand | LazyGroup], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, imported now."""
        lazy = None if name in self.commands else self._lazy.get(name)
        if isinstance(lazy, LazyGroup):
            self.add_command(PosterGroup(name, lazy=lazy.commands, help=lazy.told))
        elif lazy is not None:
            self.command(name)(lazy.load())
        return super().get_command(ctx, name)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All commands, none of them imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.told) for name, command in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Click would end with 1, "the job failed", when who reads our output goes away."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            drop_output()
            return OUTPUT_CLOSED
        return code

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


class Duration(click.ParamType[float]):
    """`90`, `30s`, `5m`, `1h30m`, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from poster.durations import duration

        try:
            return duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class Since(click.ParamType[datetime]):
    """A moment: a duration before now, or a date with or without a time (local unless it says otherwise)."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from poster.durations import duration

        try:
            return words.utc_now() - timedelta(seconds=duration(value))
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r}: wants 30m, 2h, 7d, or a date like 2025-01-31 or 2025-01-31T12:00", param, ctx)


DURATION: Final = Duration()
SINCE: Final = Since()


def job_argument(function: Decorated) -> Decorated:
    """JOB: an id or a unique prefix of one."""
    return click.argument("job", shell_complete=completion.jobs)(function)


def jobs_argument(*, required: bool = True) -> Callable[[Decorated], Decorated]:
    """JOB…: one or more; none, too, where they can be named in another way."""
    return click.argument("jobs", metavar="JOB...", nargs=-1, required=required, shell_complete=completion.jobs)


def name_values(words: tuple[str, ...]) -> dict[str, str]:
    """Words NAME=VALUE, by name."""
    texts: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{word!r} is no argument: wants NAME=VALUE")
        if name in texts:
            raise click.UsageError(f"{name} is given twice")
        texts[name] = text
    return texts


def wait_options(function: Decorated) -> Decorated:
    """`--wait` and its limit. The limit alone means to wait too."""
    limit = click.option("--wait-timeout", type=DURATION, metavar="D", help="Wait no longer than this; then 124.")
    return click.option("--wait", is_flag=True, help="End when the job has ended.")(limit(function))
