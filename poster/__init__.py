"""Posts jobs, cancels, retries and watches them: a client for Python, and a command line.

from jobboard.settings import read_settings
from poster import Client, PostRequest

with Client.open(read_settings()) as client:
    job = client.post(PostRequest("process_files", {"source": "/data", "target": "/backup/data.tar.gz"}))
    [ended] = client.wait([job])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poster.client import Client
    from poster.post_request import PostRequest

__all__ = ["Client", "PostRequest"]


def __getattr__(name: str) -> Any:
    # Looked up when asked for: `poster --help` must not wait for a database's driver.
    if name == "Client":
        from poster.client import Client

        return Client
    if name == "PostRequest":
        from poster.post_request import PostRequest

        return PostRequest
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
