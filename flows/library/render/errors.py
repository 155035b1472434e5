"""What can go wrong in `render` beside what can in all flows that make files, or ask a server.

RenderError
├── NotRendered   the service has not made a scene, and says so
└── NotCancelled  a revert could not have what it had submitted cancelled
"""

from __future__ import annotations


class RenderError(Exception):
    """Base of these errors."""


class NotRendered(RenderError):
    """The service says that it has failed, or that somebody has cancelled it there, or keeps forgetting it."""


class NotCancelled(RenderError):
    """Some may still be under way on the service: the message names them."""
