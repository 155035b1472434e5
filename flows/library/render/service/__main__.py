"""`python -m flows.library.render.service`."""

from __future__ import annotations

import contextlib

import click
import uvicorn

from flows.library.render.service.api import api_of
from flows.library.render.service.studio import Manners
from flows.library.render.service.trouble import Trouble

_GREETING = """\
Rendering on {url}, until Ctrl-C. What there is: curl {url}/renders
A film, in another terminal, beside a conductor:
  poster post render url={url} target=film.y4m {token}\\
    scenes='[{{"text": "a harbour at dawn"}}, {{"text": "the same at noon", "seconds": 4}}]'
"""
_TROUBLES = "What a scene's text can ask for: {}.".format(", ".join(f'"{trouble}"' for trouble in Trouble))
_ONE_OR_MORE = click.IntRange(1)
_SECONDS = click.FloatRange(0)


@click.command(
    help="Render scenes on this machine, for who tries the flow `render`: raw little films of moving bars. "
    "Everything is forgotten when it ends.",
    epilog=_TROUBLES,
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8002, show_default=True, help="Where to listen, on 127.0.0.1."
)
@click.option(
    "--at-once",
    type=_ONE_OR_MORE,
    default=2,
    show_default=True,
    help="How many are rendered at once; others are queued.",
)
@click.option(
    "--room",
    type=_ONE_OR_MORE,
    default=8,
    show_default=True,
    help="How many may be under way; then it answers 429.",
)
@click.option(
    "--pace", type=_SECONDS, default=1.0, show_default=True, help="Seconds of work for a second of film."
)
@click.option(
    "--cancel-takes", type=_SECONDS, default=0.5, show_default=True, help="Seconds from a cancel to its end."
)
@click.option("--token", envvar="RENDER_TOKEN", help="Serve only who shows it; also RENDER_TOKEN.")
def main(port: int, at_once: int, room: int, pace: float, cancel_takes: float, token: str | None) -> None:
    manners = Manners(at_once, room, pace, cancel_takes)
    config = uvicorn.Config(
        api_of(manners, token), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1
    )
    listening = config.bind_socket()
    url = "http://{}:{}".format(*listening.getsockname())
    click.echo(_GREETING.format(url=url, token="token=env:RENDER_TOKEN " if token else ""))
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
