"""The commands, from click."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from inspect import getsource

import click

from conductor import cli as conductor
from docs.generate.markdown import fence, page, paragraph, prose, table
from poster.cli import exit_codes, poster
from poster.cli.options import SETTINGS

_CODES = re.compile(r"^([A-Z_]+)(?:: Final)? = (\d+)  # (.*)$", re.MULTILINE)


def commands() -> str:
    """Every command of `poster` and `conductor`."""
    root = click.Context(poster, info_name="poster")
    return page(
        "Commands",
        "`poster` asks for work, `conductor` does it. `--help` after any command shows the same as this page.",
        "## poster",
        _told(poster, skip="Exit codes"),
        "These go with every command, before or after its name; [settings](settings.md) has more:",
        table(("option", "meaning"), [_option(param, root) for param in SETTINGS]),
        "It ends with one of these codes, on which scripts may rely:",
        _exit_codes(exit_codes),
        *_of_group(poster, root),
        "## conductor",
        *_of_group(conductor.main, click.Context(conductor.main, info_name="conductor")),
        "It ends with 0 when it was stopped in order, else with:",
        _exit_codes(conductor),
    )


def _of_group(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.commands.get(name) or group.get_command(context, name)
        if command is None:
            continue
        of_command = click.Context(command, info_name=name, parent=context)
        yield f"### {of_command.command_path}"
        if isinstance(command, click.Group):
            yield _told(command)
            yield from _of_group(command, of_command)
            continue
        yield fence("text", f"{of_command.command_path} {' '.join(command.collect_usage_pieces(of_command))}")
        yield _told(command)
        yield _options(command, of_command)


def _told(command: click.Command, skip: str = "never") -> str:
    """The help of a command: paragraphs, and its examples as code."""
    parts = []
    for part in (command.help or "").split("\n\n"):
        title, *lines = part.strip("\b\n ").splitlines() or [""]
        if title.startswith(skip):
            continue
        examples = title == "Examples:"
        parts.append(fence("sh", textwrap.dedent("\n".join(lines))) if examples else paragraph(prose(part)))
    return "\n\n".join(parts)


def _options(command: click.Command, context: click.Context) -> str:
    params = [
        param for param in command.get_params(context) if param not in SETTINGS and "--help" not in param.opts
    ]
    rows = [row for param in params if (row := _option(param, context))[1]]
    return table(("option", "meaning"), rows) if rows else ""


def _option(param: click.Parameter, context: click.Context) -> tuple[str, str]:
    written, meaning = param.get_help_record(context) or ("", "")
    return f"`{written}`", prose(" ".join(meaning.split()))


def _exit_codes(module: object) -> str:
    found = _CODES.findall(getsource(module))  # type: ignore[arg-type]
    return table(("code", "meaning"), [(f"`{code}`", meaning) for name, code, meaning in found])
