"""How to reach a Redis, as given by a URL. Imports no client, so that settings can be checked quickly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from jobboard.boards.address import TLS, Address, check_options, host_and_port, parse_address, truth
from jobboard.errors import SettingError

_PORT: Final = 6379
_NAMESPACE: Final = re.compile(r"[\w.:-]*\Z")


@dataclass(frozen=True)
class RedisOptions:
    """Where a Redis is, and who we are there."""

    host: str
    port: int = _PORT
    db: int = 0
    namespace: str = ""  # what all keys of ours begin with
    lease_s: float = 15.0
    username: str | None = None  # None: the default user, if there is a password
    password: str | None = field(default=None, repr=False)
    use_ssl: bool = False
    ca: str | None = None  # file of the authority that signed the server's certificate; None: the system's
    certfile: str | None = None
    keyfile: str | None = None
    keyfile_password: str | None = field(default=None, repr=False)
    verify_certs: bool = True  # the name in it, too

    @property
    def address(self) -> str:
        """Fit to be shown."""
        return f"{'rediss' if self.use_ssl else 'redis'}://{self.host}:{self.port}/{self.db}"


def parse_redis_url(url: str, lease_s: float = 15.0) -> RedisOptions:
    """Options from `redis://user:secret@host:6379/0?namespace=mine`; with TLS, `rediss://host?ca=/file`.

    After the `?`: namespace; with rediss also ca, certfile, keyfile, keyfile_password, verify_certs. User and
    secret are optional; special characters in them are percent-encoded. Raises `SettingError`, without the secret.
    """
    parts = parse_address(url, ("redis", "rediss"), "redis://host:port/db or rediss://host:port/db")
    use_ssl = parts.scheme == "rediss"
    check_options("redis", parts.options, TLS | {"namespace"})
    options = dict(parts.options)
    namespace = options.pop("namespace", "")
    if options and not use_ssl:
        raise SettingError(f"redis: {', '.join(sorted(options))}: only with TLS: use rediss://host:port")
    verify_certs = truth("redis", "verify_certs", options.pop("verify_certs", "true"))
    if parts.username and not parts.password:
        raise SettingError("redis: a user needs a password: redis://user:secret@host")
    if not _NAMESPACE.match(namespace):
        raise SettingError("redis: namespace: use letters, digits, and . : - _")
    host, port = host_and_port("redis", parts.hosts, _PORT)
    return RedisOptions(
        host=host,
        port=port,
        db=_db(parts),
        namespace=namespace,
        lease_s=lease_s,
        username=parts.username,
        password=parts.password,
        use_ssl=use_ssl,
        verify_certs=verify_certs,
        **options,
    )


def _db(parts: Address) -> int:
    text = parts.path.strip("/") or "0"
    if not text.isdecimal():
        raise SettingError(f"redis: {parts.path} is no database: use a number, redis://host:port/0")
    return int(text)
