"""TaskFlow persistence over TaskFlow's own schema: one UPDATE for a change, fenced for a claimed job.

TaskFlow's stock backend reads what this one wrote, and the other way round. Two things differ: a write whose
claim has passed on is refused (`jobboard.errors.Fenced`); and a revert that failed keeps the task's result, so
that it can be tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from taskflow import exceptions, states
from taskflow.persistence import base, models

from jobboard.database import Database, open_database
from jobboard.errors import Unreachable
from jobboard.schema import Values
from jobboard.taskflow_rows import ATOMS, FLOWS, LOGBOOKS, atom_row

Fence = Callable[[sa.Connection], None]

_SCHEME = "countermand+"


class Persistence(base.Backend):
    """A TaskFlow persistence backend.

    Made from a configuration, `{"connection": URL}`, or from a database that is open; by TaskFlow's own `fetch`,
    if `countermand+` stands before the URL. With a `fence` it serves one claimed job of a TaskFlow user; without,
    anyone, and nothing is fenced.

    A fence is called with the connection of each transaction that writes, before it does, and raises to refuse
    it: `Fenced`, since TaskFlow tries again after a `StorageFailure`. `SqlJobBoard.fence` makes one.
    """

    def __init__(
        self,
        conf: dict[str, Any] | None = None,
        *,
        database: Database | None = None,
        fence: Fence | None = None,
    ) -> None:
        super().__init__(conf or {})
        self._owned = database is None
        self.database = database or open_database(self._conf["connection"].removeprefix(_SCHEME))
        self._connection = Connection(self, fence)

    def get_connection(self) -> Connection:
        """The one connection of this backend; it may be used by several threads."""
        return self._connection

    def close(self) -> None:
        """Close the database, if this backend opened it."""
        if self._owned:
            self.database.close()


class Connection(base.Connection):
    """What TaskFlow's engine and storage call."""

    def __init__(self, backend: Persistence, fence: Fence | None = None) -> None:
        self._backend = backend
        self._database = backend.database
        self._fence = fence

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        """A transaction that writes, unless the work is another's now."""
        with self._database.write() as connection:
            if self._fence is not None:
                self._fence(connection)
            yield connection

    def _read(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that only reads."""
        return self._database.read()

    @property
    def backend(self) -> Persistence:
        """The backend this is a connection of."""
        return self._backend

    def close(self) -> None:
        """Nothing is held between calls."""

    def validate(self) -> None:
        """`StorageFailure` unless the database answers."""
        with stored("validating"), self._database.read():
            pass

    def upgrade(self) -> None:
        """The schema is brought up to date when a database is opened."""

    def clear_all(self) -> None:
        """Remove every logbook, with all that is in it."""
        with stored("clearing everything"), self._begin() as connection:
            connection.execute(sa.delete(ATOMS))
            connection.execute(sa.delete(FLOWS))
            connection.execute(sa.delete(LOGBOOKS))

    # Writing

    def update_atom_details(self, atom_detail: Any) -> Any:
        """Store one atom. `NotFound` if it never was."""
        with stored(f"atom {atom_detail.name}"), self._begin() as connection:
            self._update_atom(connection, self._atom_values(atom_detail))
        return atom_detail

    def update_flow_details(self, flow_detail: Any) -> Any:
        """Store a flow's own row and those of its atoms. `NotFound` if the flow never was."""
        with stored(f"flow {flow_detail.name}"), self._begin() as connection:
            self._update(connection, FLOWS, flow_detail.to_dict())
            self._save_atoms(connection, flow_detail)
        return flow_detail

    def save_logbook(self, book: Any) -> Any:
        """Store a logbook, its flows and their atoms, whichever of them are there already."""
        with stored(f"logbook {book.name}"), self._begin() as connection:
            if not self._exists(connection, LOGBOOKS, book.uuid):
                connection.execute(sa.insert(LOGBOOKS).values(book.to_dict()))
            else:
                self._update(connection, LOGBOOKS, book.to_dict())
            for flow in book:
                self._save_flow(connection, flow, book.uuid)
        return book

    def destroy_logbook(self, book_uuid: str) -> None:
        """Remove a logbook with all that is in it. `NotFound` if it never was."""
        with stored(f"logbook {book_uuid}"), self._begin() as connection:
            flows = sa.select(FLOWS.c.uuid).where(FLOWS.c.parent_uuid == book_uuid)
            connection.execute(sa.delete(ATOMS).where(ATOMS.c.parent_uuid.in_(flows)))
            connection.execute(sa.delete(FLOWS).where(FLOWS.c.parent_uuid == book_uuid))
            if connection.execute(sa.delete(LOGBOOKS).where(LOGBOOKS.c.uuid == book_uuid)).rowcount == 0:
                raise exceptions.NotFound(f"No logbook found with uuid {book_uuid!r}")

    def _save_flow(self, connection: sa.Connection, flow: Any, book_uuid: str) -> None:
        if self._exists(connection, FLOWS, flow.uuid):
            self._update(connection, FLOWS, flow.to_dict())
        else:
            connection.execute(sa.insert(FLOWS).values(flow.to_dict() | {"parent_uuid": book_uuid}))
        self._save_atoms(connection, flow)

    def _save_atoms(self, connection: sa.Connection, flow: Any) -> None:
        of_flow = sa.select(ATOMS.c.uuid).where(ATOMS.c.parent_uuid == flow.uuid)
        known = set(connection.execute(of_flow).scalars())
        for atom in flow:
            if atom.uuid in known:
                self._update_atom(connection, self._atom_values(atom))
        new = [atom_row(atom, flow.uuid) for atom in flow if atom.uuid not in known]
        if new:
            connection.execute(sa.insert(ATOMS), new)

    def _update_atom(self, connection: sa.Connection, values: Values) -> None:
        if values["state"] == states.REVERT_FAILURE:
            # TaskFlow forgets the result here; what is stored stays, for a second try of the revert.
            values = {name: value for name, value in values.items() if name != "results"}
        self._update(connection, ATOMS, values)

    @staticmethod
    def _atom_values(atom: Any) -> Values:
        values: Values = atom.to_dict()
        return values | {"meta": dict(values["meta"] or {})}  # TaskFlow may change it in place

    def _update(self, connection: sa.Connection, table: sa.Table, values: Values) -> None:
        done = connection.execute(sa.update(table).where(table.c.uuid == values["uuid"]).values(values))
        if done.rowcount == 0:
            raise exceptions.NotFound(f"Nothing found in {table.name} with uuid {values['uuid']!r}")

    @staticmethod
    def _exists(connection: sa.Connection, table: sa.Table, uuid: str) -> bool:
        return connection.execute(sa.select(table.c.uuid).where(table.c.uuid == uuid)).first() is not None

    # Reading

    def get_logbook(self, book_uuid: str, lazy: bool = False) -> Any:  # noqa: FBT001, FBT002, RUF100 - TaskFlow's
        """One logbook, with its flows and atoms unless `lazy`. `NotFound`."""
        with stored(f"logbook {book_uuid}"), self._read() as connection:
            row = self._row(connection, LOGBOOKS, book_uuid)
            book = models.LogBook.from_dict(row)
            for flow in () if lazy else self._flows(connection, book_uuid, lazy=False):
                book.add(flow)
            return book

    def get_logbooks(self, lazy: bool = False) -> Iterator[Any]:
        """Every logbook."""
        with stored("logbooks"), self._read() as connection:
            uuids = list(connection.execute(sa.select(LOGBOOKS.c.uuid)).scalars())
        for uuid in uuids:
            yield self.get_logbook(uuid, lazy=lazy)

    def get_flows_for_book(self, book_uuid: str, lazy: bool = False) -> Iterator[Any]:
        """The flows of a logbook, with their atoms unless `lazy`."""
        with stored(f"logbook {book_uuid}"), self._read() as connection:
            flows = self._flows(connection, book_uuid, lazy=lazy)
        yield from flows

    def get_flow_details(self, fd_uuid: str, lazy: bool = False) -> Any:
        """One flow, with its atoms unless `lazy`. `NotFound`."""
        with stored(f"flow {fd_uuid}"), self._read() as connection:
            return self._flow(connection, self._row(connection, FLOWS, fd_uuid), lazy=lazy)

    def get_atom_details(self, ad_uuid: str) -> Any:
        """One atom. `NotFound`."""
        with stored(f"atom {ad_uuid}"), self._read() as connection:
            return self._atom(self._row(connection, ATOMS, ad_uuid))

    def get_atoms_for_flow(self, fd_uuid: str) -> Iterator[Any]:
        """The atoms of a flow."""
        with stored(f"flow {fd_uuid}"), self._read() as connection:
            atoms = self._atoms(connection, fd_uuid)
        yield from atoms

    @staticmethod
    def _row(connection: sa.Connection, table: sa.Table, uuid: str) -> Values:
        row = connection.execute(sa.select(table).where(table.c.uuid == uuid)).mappings().first()
        if row is None:
            raise exceptions.NotFound(f"Nothing found in {table.name} with uuid {uuid!r}")
        return dict(row)

    def _flows(self, connection: sa.Connection, book_uuid: str, *, lazy: bool) -> list[Any]:
        query = sa.select(FLOWS).where(FLOWS.c.parent_uuid == book_uuid).order_by(FLOWS.c.created_at)
        rows = connection.execute(query).mappings().all()
        return [self._flow(connection, dict(row), lazy=lazy) for row in rows]

    def _flow(self, connection: sa.Connection, row: Values, *, lazy: bool) -> Any:
        flow = models.FlowDetail.from_dict(row)
        for atom in () if lazy else self._atoms(connection, flow.uuid):
            flow.add(atom)
        return flow

    def _atoms(self, connection: sa.Connection, flow_uuid: str) -> list[Any]:
        rows = connection.execute(sa.select(ATOMS).where(ATOMS.c.parent_uuid == flow_uuid)).mappings().all()
        return [self._atom(dict(row)) for row in rows]

    def _atom(self, row: Values) -> Any:
        return models.atom_detail_class(row["atom_type"]).from_dict(row)


@contextmanager
def stored(what: str) -> Iterator[None]:
    """Failures of the database as TaskFlow's `StorageFailure`, which its storage tries again."""
    try:
        yield
    except (sa_exc.SQLAlchemyError, Unreachable) as error:
        raise exceptions.StorageFailure(f"Storage failed on {what}", error) from error
