"""Where a system is measured: its servers, and how many jobs it may run at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Addresses of throw-away servers. What a system does not use is empty."""

    database_url: str = ""
    zookeeper: str = ""  # host:port
    folder: str = "/benchmark"  # on ZooKeeper: a new one for each place
    redis: str = ""  # host:port
    variant: str = ""  # which of its ways to work, for a system that has several
    slots: int = 8
