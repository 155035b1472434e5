"""A browser of its own: someone who visits the site, and notes what goes wrong on its pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) => {
    console.error(`policy: ${violatedDirective} ${blockedURI}`);
});
"""
_EXPECTED: Final = re.compile(r"/api/jobs/\w+/cancel$")
"""What a page asks for and does without: the plan of a cancel that has just become too late."""

_HIDE: Final = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


class Visitor:
    """One context with one page."""

    def __init__(self, browser: Browser, url: str, **how: Any) -> None:
        self._url = url
        self._allowed: list[str] = []
        self._wrong: list[str] = []
        self._context = browser.new_context(base_url=url, timezone_id="Europe/Berlin", **how)
        self._context.set_default_timeout(20_000)
        self._context.add_init_script(_VIOLATIONS)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self._wrong.append(f"error: {error}"))
        self.page.on("request", self._asked)

    def goto(self, path: str) -> Page:
        """Go to a page, and wait until it hears what happens, if it listens."""
        self.page.goto(path)
        if urlsplit(self.page.url).path.split("/")[1] not in ("login", "post"):
            self.page.wait_for_selector("html[data-live=yes]", state="attached")
        return self.page

    def allow(self, pattern: str) -> None:
        """Let the console say such things: a request that is refused, as the test wants it."""
        self._allowed.append(pattern)

    def looks_sound(self) -> None:
        """Hold the page against the rules of accessibility."""
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def fits(self) -> None:
        """Nothing is wider than the window."""
        wide, window = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window, f"{self.page.url} is {wide} wide in a window of {window}"

    def close(self) -> None:
        """End the visit; nothing went wrong in it."""
        self._context.close()
        left = [one for one in self._wrong if not any(re.search(pattern, one) for pattern in self._allowed)]
        assert not left, left

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.search(message.location.get("url", "")):
            self._wrong.append(f"{message.type}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:", "blob:")):
            self._wrong.append(f"asked another host: {request.url}")


def look_away(page: Page) -> None:
    """As if another tab were shown."""
    page.evaluate(_HIDE, True)


def look_back(page: Page) -> None:
    """As if it were shown again."""
    page.evaluate(_HIDE, False)


def look_away_and_back(page: Page) -> None:
    """It asks for all anew."""
    look_away(page)
    look_back(page)
