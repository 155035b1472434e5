"""Makes the pictures of the page, light and dark, from a running system: `python docs/pictures/make.py`.

It starts a server and a conductor on an embedded database in a temporary folder, posts jobs, cancels one, and
looks at the pages in Chromium. Times in the pictures are those of the moment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from jobboard.settings import read_settings  # noqa: E402
from jobboard.states import State  # noqa: E402
from poster import Client, PostRequest  # noqa: E402
from tests.page.chromium import launch  # noqa: E402
from tests.waiting import until  # noqa: E402

_DESK: Final = {"viewport": {"width": 1200, "height": 780}}
_TALL: Final = {"viewport": {"width": 1200, "height": 1080}}
_PHONE: Final = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2, "has_touch": True}
_TWO_REVERTED: Final = re.compile("Reverting [2-4]/5")
_FILM: Final = {"source": "/films/harbour.mov"}


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A program of ours, ended at the end."""
    url = f"sqlite:///{folder}/jobs.db"
    own = {"DATABASE_URL": url, "FLOWS": str(HERE / "example_flows.py"), "HOME": str(folder)}
    environment = (
        os.environ | {f"COUNTERMAND_{name}": value for name, value in own.items()} | {"PYTHONPATH": str(ROOT)}
    )
    log = (folder / f"{words[0]}.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", *words], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Make all of them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running(folder, "poster", "serve", "--port=0"))
        url = server.stdout.readline().strip() if server.stdout else ""
        stack.enter_context(running(folder, "conductor", "run", "--slots=6", "--name=studio-1"))
        settings = read_settings(
            {}, database_url=f"sqlite:///{folder}/jobs.db", flows=str(HERE / "example_flows.py")
        )
        client = stack.enter_context(Client.open(settings, by="operations"))
        browser = launch(stack.enter_context(sync_playwright()))
        for colours in ("light", "dark"):
            show(browser, url, client, colours)
        browser.close()


def show(browser: Browser, url: str, client: Client, colours: str) -> None:
    """Jobs in every state, one that is being cancelled, the form of a flow, and the list on a phone."""
    film = prepare(client)
    take(browser, f"{url}/", f"jobs-{colours}", colours, _DESK)
    take(browser, f"{url}/post/render_video", f"post-{colours}", colours, _DESK)
    take(browser, f"{url}/", f"phone-{colours}", colours, _PHONE)
    with looking(browser, f"{url}/jobs/{film}", colours, _TALL) as page:
        client.cancel(film, "the wrong cut")
        expect(page.get_by_text(_TWO_REVERTED)).to_be_visible(timeout=60_000)
        page.screenshot(path=HERE / f"cancelling-{colours}.png")
    client.cancel_many([*client.matching(states=[State.RUNNING, State.PENDING])])
    until(lambda: not client.current(), timeout=60, what="all to rest")


def prepare(client: Client) -> str:
    """Jobs that ended in each way, some that run, some that wait; the id of a film that is being rendered."""

    def post(flow: str, count: int = 1, **more: Any) -> list[str]:
        return [one.id for one in client.post_many([PostRequest(flow, **more)] * count)]

    ended = post("process_order", 3, arguments={"customer": "Ada"})
    ended += post("collect_prices", arguments={"symbols": ["ACME"]})
    ended += post("build_machine", arguments={"name": "web-7"})
    dropped = post("process_order", arguments={"customer": "Bo"}, delay_s=3600.0)
    client.cancel(dropped[0], "ordered twice")
    client.wait(ended, 60)
    films = post("render_video", 3, arguments=_FILM)
    post("render_video", 2, arguments=_FILM, delay_s=1800.0, priority="low")

    def renders() -> bool:
        tasks = {task.name: task.progress for task in client.get(films[0]).tasks}
        return tasks.get("scene_3", 0) > 0.3

    until(renders, timeout=90, what="the scenes to be rendered")
    return films[0]


@contextmanager
def looking(browser: Browser, url: str, colours: str, how: dict[str, Any]) -> Iterator[Page]:
    """A page, as one with these colours and this screen sees it."""
    context = browser.new_context(color_scheme=colours, timezone_id="Europe/Berlin", locale="en-GB", **how)
    page = context.new_page()
    page.goto(url)
    page.locator("text=render_video >> visible=true").first.wait_for()  # on each of them, when it is filled
    page.wait_for_function("document.documentElement.dataset.live !== 'no'")
    yield page
    context.close()


def take(browser: Browser, url: str, name: str, colours: str, how: dict[str, Any]) -> None:
    """A picture of a page."""
    with looking(browser, url, colours, how) as page:
        page.screenshot(path=HERE / f"{name}.png")


if __name__ == "__main__":
    main()
