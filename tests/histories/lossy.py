"""A database of which one transaction gets lost on the way to it, or the answer on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.errors import Unreachable
from jobboard.statements import Script


class Lost(Enum):
    """What gets lost on the way."""

    REQUEST = "nothing reaches the database"
    REPLY = "the transaction is committed, and nobody is told"


class LossyDatabase(Database):
    """Loses what it is told to, once."""

    lose: Lost | None = None

    @property
    def reserved(self) -> Database:
        """Itself: nobody waits for a connection here, and those of each simulated life would add up."""
        return self

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """As the real one, but for the loss."""
        lost, self.lose = self.lose, None
        if lost is Lost.REQUEST:
            raise Unreachable("the request was lost")
        with super().write() as connection:
            yield connection
        if lost is Lost.REPLY:
            raise Unreachable("the reply was lost")

    def commit(self, script: Script, *, ask: bool = True) -> bool:
        """As the real one, but for the loss."""
        lost, self.lose = self.lose, None
        if lost is Lost.REQUEST:
            raise Unreachable("the request was lost")
        held = super().commit(script, ask=ask)
        if lost is Lost.REPLY:
            raise Unreachable("the reply was lost")
        return held
