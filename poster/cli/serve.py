"""`poster serve`."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

import click

from poster.cli import session
from poster.cli.exit_codes import DONE
from poster.cli.output import say

if TYPE_CHECKING:
    from poster.client import Client


@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one.")
@click.option("--require-token", is_flag=True, help="Also on this machine's own address: behind a proxy, say.")
@click.option(
    "--allowed-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name by which browsers call this server, beside its addresses. May be repeated.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What is logged, to standard error.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How it is logged; json: an object a line.",
)
def serve(
    host: str,
    port: int,
    require_token: bool,  # noqa: FBT001, RUF100 - click's
    hosts: tuple[str, ...],
    log_level: str,
    log_format: str,
) -> int:
    """Serve the HTTP API and the page.

    Until Ctrl-C or SIGTERM. On an address of this machine only (127.0.0.1, ::1, localhost) whoever can reach it
    may do everything. On any other, and with --require-token, a token is needed: `poster token create` makes one.

    The address is printed on standard output once it listens. The API is described at /docs; Prometheus reads
    /metrics.

    \b
    Examples:
      poster serve
      poster serve --port 9000
      poster token create --role admin --name operations
      poster serve --host 0.0.0.0 --allowed-host jobs.example.org
    """
    from poster.web.gate.origin import is_loopback
    from poster.web.server import serve as serve_app
    from poster.web.server import url_of

    _set_up_logging(log_level, log_format)
    out = session.output()
    token_needed = require_token or not is_loopback(host)
    with session.open_client() as client:
        _check_flows(client)
        if token_needed:
            _check_tokens(client, "--require-token" if require_token else f"{host} can be reached by others")
        with _listening(host, port) as listening:
            from poster.web.app import create_app

            names = {name.lower() for name in (host, socket.gethostname(), socket.getfqdn(), *hosts)}
            app = create_app(client, token_needed=token_needed, hosts=names)
            if out.json:
                out.json_line({"url": url_of(listening)})
            else:
                out.line(url_of(listening))
            serve_app(app, listening)
    return DONE


def _set_up_logging(level: str, form: str) -> None:
    from flows.secrets import without_secrets
    from jobboard.json_log import JsonFormatter

    handler = logging.StreamHandler()
    as_text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JsonFormatter(masked=without_secrets) if form == "json" else as_text)
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _check_flows(client: Client) -> None:
    """Load them now: who starts the server hears what is wrong with them."""
    if not client.flows():
        say("no flows are known here, so none can be posted: set COUNTERMAND_FLOWS")


def _check_tokens(client: Client, why: str) -> None:
    now = client.database.now()
    if not any(token.is_valid(now) for token in client.tokens()):
        raise click.UsageError(
            f"{why}: who asks has to show a token, and there is none: "
            "make one with `poster token create --role admin`"
        )


def _listening(host: str, port: int) -> socket.socket:
    from poster.web.server import bind

    try:
        return bind(host, port)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
