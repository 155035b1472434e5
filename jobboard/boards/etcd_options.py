"""How to reach an etcd, as given by a URL. Imports no client, so that settings can be checked quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from jobboard.boards.address import check_options, folder, host_and_port, parse_address, truth
from jobboard.errors import SettingError

_PORT: Final = 2379
# The client, etcd3gw, knows no password of a key.
_OPTIONS: Final = frozenset({"use_ssl", "ca", "certfile", "keyfile", "verify_certs"})


@dataclass(frozen=True)
class EtcdOptions:
    """Where an etcd is."""

    host: str
    port: int = _PORT
    path: str = ""  # what all keys of ours begin with
    lease_s: float = 15.0
    use_ssl: bool = False
    ca: str | None = None  # file of the authority that signed the server's certificate; None: the known ones
    certfile: str | None = None
    keyfile: str | None = None
    verify_certs: bool = True  # the name in it, too

    @property
    def address(self) -> str:
        """Fit to be shown."""
        return f"etcd://{self.host}:{self.port}{self.path}"


def parse_etcd_url(url: str, lease_s: float = 15.0) -> EtcdOptions:
    """Options from `etcd://host:2379/path?ca=/file`.

    After the `?`: use_ssl, ca, certfile, keyfile, verify_certs; naming a file turns TLS on. The client knows no
    users of etcd: a certificate says who we are. Raises `SettingError`.
    """
    parts = parse_address(url, ("etcd",), "etcd://host:port/path")
    if parts.username or parts.password:
        raise SettingError("etcd: users and passwords are not supported: use certfile and keyfile")
    check_options("etcd", parts.options, _OPTIONS)
    tls = dict(parts.options)
    use_ssl = truth("etcd", "use_ssl", tls.pop("use_ssl", str(bool(tls))))
    verify_certs = truth("etcd", "verify_certs", tls.pop("verify_certs", "true"))
    host, port = host_and_port("etcd", parts.hosts, _PORT)
    path = folder("etcd", parts.path)
    return EtcdOptions(host, port, path, lease_s, use_ssl, verify_certs=verify_certs, **tls)
