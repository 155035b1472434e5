"""The parts that boards' addresses have in common: checked, and never shown with a secret in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from jobboard.errors import SettingError

TLS: Final = frozenset({"ca", "certfile", "keyfile", "keyfile_password", "verify_certs"})
_HOST: Final = re.compile(r"(?P<name>[\w.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?\Z")
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Address:
    """A URL taken apart."""

    scheme: str
    username: str | None
    password: str | None
    hosts: str
    path: str
    options: dict[str, str]


def parse_address(url: str, schemes: tuple[str, ...], example: str) -> Address:
    """Raises `SettingError` for a URL that cannot be taken apart so, or is of another scheme."""
    kind = schemes[0]
    parts = _split(url, kind)
    if parts.scheme not in schemes:
        raise SettingError(f"{parts.scheme}: is no address of a board of this kind: use {example}")
    credentials, at, hosts = parts.netloc.rpartition("@")
    if not at and "@" in parts.path + parts.query + parts.fragment:
        raise SettingError(f"{kind}: percent-encode special characters in user and secret, and @ behind the host")
    username, _colon, password = credentials.partition(":")
    return Address(
        scheme=parts.scheme,
        username=unquote(username) or None,
        password=unquote(password) or None,
        hosts=hosts,
        path=unquote(parts.path),
        options=dict(parse_qsl(parts.query, keep_blank_values=True)),
    )


def _split(url: str, kind: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # whose text may hold the secret
        raise SettingError(f"{kind}: is no address: use host:port") from None


def check_options(kind: str, options: dict[str, str], known: frozenset[str]) -> None:
    """Raises `SettingError` for an option that is not known, or lacks its other half."""
    for name in options:
        if name not in known:
            raise SettingError(f"{kind}: unknown option {name}: use {', '.join(sorted(known))}")
    if ("certfile" in options) != ("keyfile" in options):
        raise SettingError(f"{kind}: certfile and keyfile go together")


def truth(kind: str, name: str, text: str) -> bool:
    """What `true` or `false` means."""
    if text.lower() not in _TRUTHS:
        raise SettingError(f"{kind}: {name}={text}: use true or false")
    return _TRUTHS[text.lower()]


def host_and_port(kind: str, text: str, port: int) -> tuple[str, int]:
    """A host's name, in brackets if it is an IPv6 address, and its port, or `port`."""
    match = _HOST.match(text)
    if not match or not 0 < int(match["port"] or port) < 65536:
        raise SettingError(f"{kind}: {text!r} is no host: use host:port")
    return match["name"], int(match["port"] or port)


def folder(kind: str, text: str) -> str:
    """A path without the last slash."""
    path = text.rstrip("/")
    if any(part in ("", ".", "..") for part in path.split("/")[1:]):
        raise SettingError(f"{kind}: {text} is no path: use /folder/folder")
    return path
