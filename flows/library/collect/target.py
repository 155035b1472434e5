"""Where the prices go."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True)
class Target:
    """A table of a database, with the database's password apart: its address is shown to everyone."""

    database: str
    password: SecretStr | None
    table: str
