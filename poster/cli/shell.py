"""`poster completion`."""

from __future__ import annotations

from typing import Final

import click

from poster.cli.exit_codes import DONE

_SHELLS: Final = ("bash", "zsh", "fish")


@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def shell_completion(ctx: click.Context, shell: str) -> int:
    """Print a script for a shell's completion.

    It completes commands, options, flows, their parameters, and jobs.

    \b
    Examples:
      eval "$(poster completion bash)"          in ~/.bashrc
      eval "$(poster completion zsh)"           in ~/.zshrc
      poster completion fish > ~/.config/fish/completions/poster.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(made(ctx.find_root().command, {}, "poster", "_POSTER_COMPLETE").source())
    return DONE
