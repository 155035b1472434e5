"""A database with the tables of `collect`, in short transactions: none outlives a cancel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from flows.library.collect.errors import Unusable
from flows.library.collect.tables import tables_of
from flows.library.collect.target import Target

T = TypeVar("T")

# Nothing is waited for much longer than this: a cancel waits with it.
_LIMITS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {"timeout": 5.0},
    "postgresql": {
        "connect_timeout": 5,
        "options": "-c lock_timeout=5s",
        "tcp_user_timeout": 8000,
        "keepalives_idle": 2,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    },
}
# Two that write the same rows at the same time, and a server that restarts: the next attempt finds it settled.
_PASSING: Final = (sa_exc.IntegrityError, sa_exc.OperationalError, sa_exc.InterfaceError)


class Database(AbstractContextManager["Database"]):
    """The database of a target, used with `with`."""

    def __init__(self, target: Target, patience_s: float = 3.0) -> None:
        """It tries as long as `patience_s` when the database is away, or another is in the way."""
        url = sa.make_url(target.database)
        kind = url.get_backend_name()
        self.tables = tables_of(target.table)
        self.address = url.render_as_string()
        if kind == "postgresql":
            password = target.password.get_secret_value() if target.password else None
            url = url.set(drivername="postgresql+psycopg2", password=password)
        self.engine = sa.create_engine(url, pool_size=1, connect_args=_LIMITS[kind])
        self._again = Retrying(
            retry=retry_if_exception_type(_PASSING),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            stop=stop_after_delay(patience_s),
            reraise=True,
        )

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.engine.dispose()

    def commit(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` as one transaction; again, from its beginning, where another was in the way.

        Blocks. Raises `Unusable` if the database refuses, or stays away.
        """
        try:
            for attempt in self._again:
                with attempt, self.engine.begin() as connection:
                    return work(connection)
        except sa_exc.DBAPIError as error:
            raise Unusable(f"{self.address}: {str(error.orig).strip()}") from error
        raise AssertionError("tenacity raises the last error")

    def prepare(self) -> None:
        """Make the tables that are not there. `Unusable` if one is there that is not as it has to be."""
        self.commit(self._prepare)

    def _prepare(self, connection: sa.Connection) -> None:
        inspector = sa.inspect(connection)
        for table in self.tables.all:
            if inspector.has_table(table.name):
                _check(table, inspector)
            else:
                table.create(connection)


def _check(table: sa.Table, inspector: Any) -> None:
    """Raise `Unusable` if a table that is there is not one that this flow has made, or could have."""
    found = {column["name"] for column in inspector.get_columns(table.name)}
    wanted = set(table.columns.keys())
    key = set(table.primary_key.columns.keys())
    said = [
        *(f"has no column {name}" for name in sorted(wanted - found)),
        *(f"has a column {name}, which would be lost" for name in sorted(found - wanted)),
    ]
    if not said and set(inspector.get_pk_constraint(table.name)["constrained_columns"]) != key:
        said = [f"its primary key is not {', '.join(sorted(key))}"]
    if said:
        raise Unusable(f"table {table.name}: {'; '.join(said)}: name another table")
