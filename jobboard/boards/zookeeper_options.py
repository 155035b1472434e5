"""How to reach a ZooKeeper, as given by a URL. Imports no client, so that settings can be checked quickly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from jobboard.boards.address import TLS, check_options, folder, host_and_port, parse_address, truth
from jobboard.errors import SettingError

_PORT: Final = 2181


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
    parts = parse_address(url, ("zookeeper",), "zookeeper://host:port/path")
    check_options("zookeeper", parts.options, TLS | {"use_ssl"})
    tls = dict(parts.options)
    use_ssl = truth("zookeeper", "use_ssl", tls.pop("use_ssl", str(bool(tls))))
    verify_certs = truth("zookeeper", "verify_certs", tls.pop("verify_certs", "true"))
    if bool(parts.username) != bool(parts.password):
        raise SettingError("zookeeper: a user needs a password: zookeeper://user:secret@host")
    hosts = [host_and_port("zookeeper", host, _PORT) for host in parts.hosts.split(",")]
    return ZookeeperOptions(
        hosts=",".join(f"{host}:{port}" for host, port in hosts),
        path=folder("zookeeper", parts.path),
        timeout_s=timeout_s,
        username=parts.username,
        password=parts.password,
        use_ssl=use_ssl,
        verify_certs=verify_certs,
        **tls,
    )
