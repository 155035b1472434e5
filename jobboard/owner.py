"""Who holds a job: a conductor, in one life of its process."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from jobboard.errors import SettingError

_LONGEST_NAME: Final = 255


@dataclass(frozen=True)
class Owner:
    """A conductor, in one life of its process."""

    name: str  # for people
    id: str  # host:pid:random: no later process can be taken for it


def new_owner(name: str | None) -> Owner:
    """An owner for this process, named `name` or host-pid. `SettingError` for a name that cannot be stored."""
    if name is not None and not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        raise SettingError(f"conductor name {name!r:.60}: wants 1 to {_LONGEST_NAME} printable characters")
    host, pid = socket.gethostname(), os.getpid()
    return Owner(name or f"{host}-{pid}", f"{host}:{pid}:{uuid4().hex[:12]}")
