"""Where a request comes from: whether its page is ours, and whether it was meant for us. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_meant_for(headers: Headers, hosts: Collection[str]) -> bool:
    """Whether the Host is an address, `localhost`, or one of `hosts`.

    With a name of theirs that leads to us, a page of others could read ours: DNS rebinding. An address cannot.
    """
    name = _name(headers.get("host", ""))
    return name is not None and (name == "localhost" or name in hosts or _is_address(name))


def is_from_our_page(headers: Headers, *, sure: bool) -> bool:
    """Whether a request that changes something comes from our page, or from no page at all.

    `sure`: one that does not say where it comes from is not believed.
    """
    site = headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return site == "same-origin" or not sure
    host = headers.get("host")
    return origin in (f"http://{host}", f"https://{host}")  # a proxy before us may do the encryption


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # ValueError for none
    except ValueError:
        return None
    return parts.hostname if parts.hostname and not parts.username and not parts.path else None
