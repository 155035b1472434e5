"""The browser of the tests: the system's Chromium, or the one that Playwright has installed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers.required import go_without

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_APPLICATIONS: Final = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def launch(playwright: Playwright) -> Browser:
    """Start it. Skips the test where there is none; in CI, where one must be, fails."""
    return playwright.chromium.launch(executable_path=_found(playwright), args=_FLAGS)


def _found(playwright: Playwright) -> str:
    installed = (*map(shutil.which, _PROGRAMS), *_APPLICATIONS, playwright.chromium.executable_path)
    found = next((path for path in installed if path and Path(path).exists()), None)
    return found or go_without("Chromium is not installed")
