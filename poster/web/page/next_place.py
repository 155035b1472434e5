"""Where one goes after the login. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

HOME: Final = "/"


def next_place(asked: str) -> str:
    """The page that was asked for, if it is one of ours; else the first one.

    A browser reads `//host` and `/\\host` as another server, and leaves out control characters before it does.
    """
    ours = asked.startswith("/") and asked[1:2] not in ("/", "\\") and asked.isprintable()
    return asked if ours and not urlsplit(asked).netloc else HOME
