"""What can go wrong when a server is asked over HTTP.

RemoteError
├── Unavailable  it is away for now, or wants to be asked later
└── Declined     it says no
"""

from __future__ import annotations


class RemoteError(Exception):
    """Base of these errors."""


class Unavailable(RemoteError):
    """The server, or the way to it, is away for now."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s
        """So many seconds it asks to be left alone."""


class Declined(RemoteError):
    """The server says no, or what nobody understands: asking again would not help."""
