"""Where and with what something was measured, without names of hosts."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Final

from jobboard.version import __version__

_PACKAGES: Final = {"TaskFlow": "taskflow", "DBOS": "dbos", "Celery": "celery", "redis-py": "redis"}


@dataclass(frozen=True)
class Conditions:
    """What a number depends on."""

    date: str
    cores: int
    system: str
    python: str
    versions: Mapping[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.date}; {self.cores} cores, {self.system}; Python {self.python}, {versions}"


def conditions(servers: Mapping[str, str]) -> Conditions:
    """Those of this machine, now; `servers` are versions by name."""
    return Conditions(
        date=datetime.now(UTC).date().isoformat(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=f"{platform.system()} on {platform.machine()}",
        python=platform.python_version(),
        versions={"Countermand": __version__, **_installed(), **servers},
    )


def _installed() -> dict[str, str]:
    found = {}
    for name, package in _PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
