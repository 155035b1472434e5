"""The command `poster`. It only translates: words into requests to the client, answers into words."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import click

from poster.cli import exit_codes
from poster.cli.commands import COMMANDS
from poster.cli.options import PosterGroup
from poster.cli.output import say

_ALL_IMPORTS: Final = 100_000  # objects: more than those of any command but one that loads TaskFlow


@click.group(cls=PosterGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def poster() -> None:
    """Post jobs, watch them, cancel them at any moment, and retry them.

    JOB is a job's id or a unique prefix of it. Durations are 90, 30s, 5m, 1h30m.

    \b
    Exit codes:
      0 done as asked                     5 the job's state does not allow it
      1 the job failed, or a revert did   6 the awaited job was cancelled
      2 wrong usage or arguments        124 the wait timed out
      3 no such job or flow             130 Ctrl-C: jobs are left alone
      4 a server cannot be reached

    \b
    Examples:
      poster post process_files source=/data target=/backup/data.tar.gz
      poster watch 01hx5
      poster cancel 01hx5 --reason "wrong folder" --wait
    """


def main() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    # What is imported stays to the end. To look through it for garbage, while it comes and once more when Python
    # goes, was measured: a quarter of the time of `poster list`.
    gc.set_threshold(_ALL_IMPORTS)
    code = run(sys.argv[1:])
    gc.freeze()
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Run a command line; its exit code. What its user or a server did wrong is told without a traceback."""
    try:
        code = poster.main(list(words), prog_name="poster", standalone_mode=False)
    except click.ClickException as error:
        _show_usage(error)
        return exit_codes.WRONG_USAGE
    except click.Abort:
        say("interrupted")
        return exit_codes.INTERRUPTED
    except Exception as error:
        from poster.cli.failures import code_of

        known = code_of(error)
        if known is None:
            raise
        say(str(error))
        return known
    return int(code or exit_codes.DONE)


def _show_usage(error: click.ClickException) -> None:
    if isinstance(error, click.UsageError):
        error.show()
    else:
        say(error.format_message())
