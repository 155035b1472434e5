"""What a command has at hand: the settings it was given, the client, and where its words go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from poster.cli.output import Output, say, standard_output

if TYPE_CHECKING:
    from poster.client import Client

_FLAGS: Final = "poster.flags"
_JSON: Final = "poster.json"


def keep_flag(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Remember a setting, wherever on the line it stands; the later wins."""
    if value is not None and param.name is not None:
        ctx.meta.setdefault(_FLAGS, {})[param.name] = value


def keep_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001, RUF100 - click's
    """Remember that JSON is wanted."""
    if value:
        ctx.meta[_JSON] = True


@contextmanager
def open_client() -> Iterator[Client]:
    """A client with the settings of the command line and the environment. In the end, says what it left out."""
    import logging

    from jobboard.settings import read_settings
    from poster.client import Client

    # What a library logs is no word of this command: its errors are raised, and told in one line.
    logging.getLogger().addHandler(logging.NullHandler())
    flags: dict[str, Any] = click.get_current_context().meta.get(_FLAGS, {})
    with Client.open(read_settings(**flags)) as client:
        try:
            yield client
        finally:
            for what, why in client.malformed.items():
                say(f"{what} is left out: {why}")


def output() -> Output:
    """Where this command's data go."""
    return standard_output(as_json=click.get_current_context().meta.get(_JSON, False))
