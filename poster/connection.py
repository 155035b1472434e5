"""`Connection`: the database and the flows that a client works with, opened when they are first needed."""

from __future__ import annotations

import copy
import getpass
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from jobboard.database import Database, open_database
from jobboard.dispatch.opening import open_records
from jobboard.records import Records
from jobboard.settings import Settings
from poster.post_request import LONGEST_KEY, check_name

if TYPE_CHECKING:
    from flows.registry import Registry


@dataclass(frozen=True)
class _Opened:
    database: Database
    records: Records


class Connection:
    """What a client stands on. Thread-safe."""

    def __init__(self, settings: Settings, *, by: str | None = None, registry: Registry | None = None) -> None:
        """`by` is who asks, as the history will tell; the user of this process if it is not given.

        `registry` holds the flows; without one, those that the settings name are loaded.
        """
        self.settings: Final = settings
        check_name("by", by)
        self.by = by or whoami()
        self._lock = threading.Lock()  # guards the opening of the two below
        self._opened: _Opened | None = None
        self._registry = registry

    @classmethod
    def open(cls, settings: Settings, *, by: str | None = None, registry: Registry | None = None) -> Self:
        """A client to be closed: `with Client.open(settings) as client`."""
        return cls(settings, by=by, registry=registry)

    def close(self) -> None:
        """Give the database's connections back."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def acting_as(self, by: str) -> Self:
        """The same client for someone else who asks, as the history will tell. It is not to be closed."""
        check_name("by", by)
        self._open()
        twin = copy.copy(self)
        twin.by = by
        return twin

    @property
    def database(self) -> Database:
        """The database, its schema brought up to date."""
        return self._open().database

    @property
    def malformed(self) -> Mapping[str, str]:
        """What was asked for and left out, since what is stored of it makes no sense; and why."""
        with self._lock:
            return dict(self._opened.records.malformed) if self._opened else {}

    @property
    def registry(self) -> Registry:
        """The flows that are known here."""
        with self._lock:
            if self._registry is None:
                from flows.discovery import load_flows
                from flows.registry import REGISTRY

                load_flows(self.settings.flows)
                self._registry = REGISTRY
            return self._registry

    @property
    def _records(self) -> Records:
        return self._open().records

    def _open(self) -> _Opened:
        with self._lock:
            if self._opened is None:
                database = open_database(self.settings.database_url)
                self._opened = _Opened(database, open_records(database, self.settings))
            return self._opened


def whoami() -> str:
    """The user of this process, as the history will tell: `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = f"uid-{os.getuid()}"
    said = f"{user}@{socket.gethostname()}"[:LONGEST_KEY]
    return "".join(letter if letter.isprintable() else "?" for letter in said)
