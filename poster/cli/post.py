"""`poster post`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import click

from jobboard.models import PRIORITIES
from poster.cli import completion, session
from poster.cli.awaiting import await_ends
from poster.cli.exit_codes import DONE
from poster.cli.many import Result, finish
from poster.cli.options import DURATION, name_values, wait_options
from poster.cli.output import Output, say

if TYPE_CHECKING:
    from poster.client import Client


@click.argument("flow", required=False, shell_complete=completion.flows)
@click.argument("words", metavar="[NAME=VALUE]...", nargs=-1, shell_complete=completion.arguments)
@click.option("--args", "args_file", metavar="FILE", help="A JSON object with arguments; - is standard input.")
@click.option("--from", "from_file", metavar="FILE", help="A job a line, as JSON; - is standard input.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="Who is served first.  [default: normal]")
@click.option("--delay", type=DURATION, metavar="D", help="Due so long from now.")
@click.option("--timeout", type=DURATION, metavar="D", help="Limit of an attempt's running time.")
@click.option("--max-retries", type=click.IntRange(min=0), metavar="N", help="Automatic retries when it fails.")
@click.option("--retry-interval", type=DURATION, metavar="D", help="Before an automatic retry.")
@click.option("--key", help="Gives back the job that has this key and has not ended, instead of a new one.")
@wait_options
def post(
    flow: str | None,
    words: tuple[str, ...],
    args_file: str | None,
    from_file: str | None,
    wait: bool,  # noqa: FBT001, RUF100 - click's
    wait_timeout: float | None,
    **limits: Any,
) -> int:
    """Post a job and print its id; or many, with --from.

    With --from all jobs are checked first, and posted all or none; an id a line is printed.

    VALUE is read as JSON where the parameter's type does not want text. Without an option, a limit is what the
    flow says, else what the settings say. Durations are 90, 30s, 5m, 1h30m.

    \b
    Examples:
      poster post process_files source=/data target=/backup/data.tar.gz
      poster post process_files --args job.json level=9 --wait
      poster post --from jobs.jsonl
      echo '{"flow": "process_files", "arguments": {…}}' | poster post --from -
    """
    given = {name: value for name, value in limits.items() if value is not None}
    _check_usage(flow, words, args_file, from_file, given)
    out = session.output()
    with session.open_client() as client:
        ids = (
            _post_file(client, from_file, given)
            if from_file
            else [_post_one(client, flow, words, args_file, given)]
        )
        for job in ids:
            if out.json and not from_file:
                out.json_line({"id": job})
            else:
                sys.stdout.write(f"{job}\n")
        sys.stdout.flush()
        if not wait and wait_timeout is None:
            return DONE
        ended = await_ends(client, out, [Result(job, DONE) for job in ids], wait_timeout, on_end=_say_end)
    return finish(replace(out, json=False), ended)


def _check_usage(
    flow: str | None,
    words: tuple[str, ...],
    args_file: str | None,
    from_file: str | None,
    limits: Mapping[str, Any],
) -> None:
    if from_file is None:
        if flow is None:
            raise click.UsageError("which FLOW? `poster flows` lists them; or post many with --from FILE")
        return
    if flow or words or args_file or "key" in limits:
        raise click.UsageError("with --from, flows, arguments and keys stand in the file")


def _post_one(
    client: Client, flow: str | None, words: tuple[str, ...], args_file: str | None, limits: Mapping[str, Any]
) -> str:
    from poster.post_request import from_json

    texts = name_values(words)
    arguments = _read_object(args_file) if args_file else {}
    spec = client.flow(flow or "")
    return client.post(from_json({"flow": spec.name, "arguments": arguments | spec.from_text(texts), **limits}))


def _post_file(client: Client, file: str, limits: Mapping[str, Any]) -> list[str]:
    from poster.post_request import read_lines

    with _opened(file) as lines:
        requests, malformed = read_lines(lines, limits)
    return [posted.id for posted in client.post_many(requests, malformed)]


def _read_object(file: str) -> dict[str, Any]:
    from poster.errors import InvalidJson
    from poster.strict_json import loads_object

    with _opened(file) as stream:
        try:
            return loads_object(stream.read())
        except InvalidJson as error:
            raise InvalidJson(f"--args {file}: {error}") from None


@contextmanager
def _opened(file: str) -> Iterator[IO[str]]:
    """A file that was named on the command line, as text; `-` is standard input."""
    try:
        with click.open_file(file, encoding="utf-8") as stream:
            yield stream
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file}: not UTF-8 text: {error}") from None


def _say_end(_out: Output, result: Result) -> None:
    """How a job ended: standard output has the ids alone."""
    say(f"job {result.id}: {result.state}{f': {result.error}' if result.error else ''}")
