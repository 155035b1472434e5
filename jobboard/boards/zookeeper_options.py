"""How to reach a ZooKeeper, as given by a URL. Imports no client, so that settings can be checked quickly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from jobboard.errors import SettingError

_PORT: Final = 2181
_HOST: Final = re.compile(r"(?P<name>[\w.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?\Z")
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_FLAGS: Final = frozenset({"use_ssl", "verify_certs"})
_TLS: Final = frozenset({"ca", "certfile", "keyfile", "keyfile_password", "verify_certs"})


@dataclass(frozen=True)
class ZookeeperOptions:
    """Where a ZooKeeper is, and who we are there."""

    hosts: str  # host:port,host:port
    path: str = ""  # the folder, below which everything of ours is
    timeout_s: float = 15.0  # the session's, which is the lease of claims; the server may set limits
    # With a user, everything we make can be read and written by that user only; else by anyone.
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    use_ssl: bool = False
    ca: str | None = None  # file of the authority that signed the servers' certificates; None: the system's
    certfile: str | None = None
    keyfile: str | None = None
    keyfile_password: str | None = field(default=None, repr=False)
    verify_certs: bool = True  # the names in them, too

    @property
    def address(self) -> str:
        """Fit to be shown."""
        return f"zookeeper://{self.hosts}{self.path}"


def parse_zookeeper_url(url: str, timeout_s: float = 15.0) -> ZookeeperOptions:
    """Options from `zookeeper://user:secret@host:2181,host:2181/path?use_ssl=true&ca=/file`.

    After the `?`: use_ssl, ca, certfile, keyfile, keyfile_password, verify_certs; naming a file turns TLS on.
    Special characters in user and secret are percent-encoded. Raises `SettingError`, without the secret.
    """
    parts = urlsplit(url)
    if parts.scheme != "zookeeper":
        raise SettingError(f"{parts.scheme}: is no address of a ZooKeeper: use zookeeper://host:port/path")
    credentials, _at, hosts = parts.netloc.rpartition("@")
    username, _colon, password = credentials.partition(":")
    tls = dict(parse_qsl(parts.query, keep_blank_values=True))
    _check_names(tls)
    use_ssl = _truth("use_ssl", tls.pop("use_ssl", str(bool(tls))))
    verify_certs = _truth("verify_certs", tls.pop("verify_certs", "true"))
    if bool(username) != bool(password):
        raise SettingError("zookeeper: a user needs a password: zookeeper://user:secret@host")
    if ("certfile" in tls) != ("keyfile" in tls):
        raise SettingError("zookeeper: certfile and keyfile go together")
    return ZookeeperOptions(
        hosts=",".join(_host(host) for host in hosts.split(",")),
        path=_path(parts.path),
        timeout_s=timeout_s,
        username=unquote(username) or None,
        password=unquote(password) or None,
        use_ssl=use_ssl,
        verify_certs=verify_certs,
        **tls,
    )


def _check_names(tls: dict[str, str]) -> None:
    known = _TLS | {"use_ssl"}
    for name in tls:
        if name not in known:
            raise SettingError(f"zookeeper: unknown option {name}: use {', '.join(sorted(known))}")


def _truth(name: str, text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise SettingError(f"zookeeper: {name}={text}: use true or false")
    return _TRUTHS[text.lower()]


def _host(text: str) -> str:
    match = _HOST.match(text)
    if not match or not 0 < int(match["port"] or _PORT) < 65536:
        raise SettingError(f"zookeeper: {text!r} is no host: use host:port,host:port")
    return f"{match['name']}:{match['port'] or _PORT}"


def _path(text: str) -> str:
    path = unquote(text).rstrip("/")
    if any(part in ("", ".", "..") for part in path.split("/")[1:]):
        raise SettingError(f"zookeeper: {text} is no path: use /folder/folder")
    return path
