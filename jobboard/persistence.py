"""TaskFlow persistence over TaskFlow's own schema: one UPDATE for a change, fenced for a claimed job.

TaskFlow's stock backend reads what this one wrote, and the other way round. Three things differ:
a write whose claim has passed on is refused (`jobboard.errors.Fenced`); a revert that failed keeps the
task's result, so that it can be tried again; and with a journal, writes that would only record a progress
that the journal records anyway are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from taskflow import exceptions, states, storage
from taskflow.persistence import base, models
from taskflow.persistence.backends.sqlalchemy import tables as taskflow_tables

from jobboard.database import Database, open_database
from jobboard.errors import Unreachable
from jobboard.journal import Journal
from jobboard.task_view import AtomState

_TABLES = taskflow_tables.fetch(sa.MetaData())
LOGBOOKS, FLOWS, ATOMS = _TABLES.logbooks, _TABLES.flowdetails, _TABLES.atomdetails

Values = dict[str, Any]
Fence = Callable[[sa.Connection], None]

_SCHEME = "countermand+"
_PROGRESS = frozenset({storage.META_PROGRESS, storage.META_PROGRESS_DETAILS})


class Persistence(base.Backend):
    """A TaskFlow persistence backend.

    Made from a configuration, `{"connection": URL}`, or from a database that is open; by TaskFlow's own `fetch`,
    if `countermand+` stands before the URL. With a `journal` it serves one claimed job of ours, with a `fence`
    one of a TaskFlow user; without, anyone, and nothing is fenced.

    A fence is called with the connection of each transaction that writes, before it does, and raises to refuse
    it: `Fenced`, since TaskFlow tries again after a `StorageFailure`. `SqlJobBoard.fence` makes one.
    """

    def __init__(
        self,
        conf: dict[str, Any] | None = None,
        *,
        database: Database | None = None,
        journal: Journal | None = None,
        fence: Fence | None = None,
    ) -> None:
        super().__init__(conf or {})
        self._owned = database is None
        self.database = database or open_database(self._conf["connection"].removeprefix(_SCHEME))
        self._connection = Connection(self, journal, fence)

    def get_connection(self) -> Connection:
        """The one connection of this backend; it may be used by several threads."""
        return self._connection

    def close(self) -> None:
        """Close the database, if this backend opened it."""
        if self._owned:
            self.database.close()


class Connection(base.Connection):
    """What TaskFlow's engine and storage call."""

    def __init__(self, backend: Persistence, journal: Journal | None, fence: Fence | None) -> None:
        self._backend = backend
        self._database = backend.database
        self._journal = journal
        self._fence = fence
        # What this job's rows hold, by uuid: only a job has one writer, so only then it is known.
        self._written: dict[str, Values] = {}
        self._unsaved: tuple[Any, sa.Executable] | None = None

    @contextmanager
    def _begin(self, atom: AtomState | None = None) -> Iterator[sa.Connection]:
        """A transaction that writes, unless the work is another's now. `atom` is what it is to store of one."""
        with self._journal.begin(atom) if self._journal else self._database.write() as connection:
            if self._fence is not None:
                self._fence(connection)
            yield connection

    @property
    def backend(self) -> Persistence:
        """The backend this is a connection of."""
        return self._backend

    def close(self) -> None:
        """Nothing is held between calls."""

    def validate(self) -> None:
        """`StorageFailure` unless the database answers."""
        with _stored("validating"), self._database.read():
            pass

    def upgrade(self) -> None:
        """The schema is brought up to date when a database is opened."""

    def clear_all(self) -> None:
        """Remove every logbook, with all that is in it."""
        with _stored("clearing everything"), self._begin() as connection:
            connection.execute(sa.delete(ATOMS))
            connection.execute(sa.delete(FLOWS))
            connection.execute(sa.delete(LOGBOOKS))

    # Writing

    def update_atom_details(self, atom_detail: Any) -> Any:
        """Store one atom. `NotFound` if it never was."""
        values = self._atom_values(atom_detail)
        if self._journal is not None and self._says_nothing_new(values):
            return atom_detail
        atom = AtomState(values["name"], values["state"], values["failure"] or values["revert_failure"])
        with _stored(f"atom {values['name']}"), self._begin(atom) as connection:
            self._update_atom(connection, values)
        self._remember([values])
        return atom_detail

    def save_later(self, book: Any, also: sa.Executable) -> None:
        """Store a new logbook with the first save of its flow, and run `also` in that transaction."""
        self._unsaved = (book, also)

    def update_flow_details(self, flow_detail: Any) -> Any:
        """Store a flow's own row and those of its atoms that changed. `NotFound` if the flow never was."""
        with _stored(f"flow {flow_detail.name}"), self._begin() as connection:
            if self._unsaved is not None:
                saved = self._save_first(connection, flow_detail, *self._unsaved)
            else:
                self._update(connection, FLOWS, flow_detail.to_dict())
                saved = self._save_atoms(connection, flow_detail)
        self._unsaved = None
        self._remember(saved)
        return flow_detail

    def save_logbook(self, book: Any) -> Any:
        """Store a logbook, its flows and their atoms, whichever of them are there already."""
        with _stored(f"logbook {book.name}"), self._begin() as connection:
            if not self._exists(connection, LOGBOOKS, book.uuid):
                connection.execute(sa.insert(LOGBOOKS).values(book.to_dict()))
            else:
                self._update(connection, LOGBOOKS, book.to_dict())
            saved = [atom for flow in book for atom in self._save_flow(connection, flow, book.uuid)]
        self._remember(saved)
        return book

    def destroy_logbook(self, book_uuid: str) -> None:
        """Remove a logbook with all that is in it. `NotFound` if it never was."""
        with _stored(f"logbook {book_uuid}"), self._begin() as connection:
            flows = sa.select(FLOWS.c.uuid).where(FLOWS.c.parent_uuid == book_uuid)
            connection.execute(sa.delete(ATOMS).where(ATOMS.c.parent_uuid.in_(flows)))
            connection.execute(sa.delete(FLOWS).where(FLOWS.c.parent_uuid == book_uuid))
            if connection.execute(sa.delete(LOGBOOKS).where(LOGBOOKS.c.uuid == book_uuid)).rowcount == 0:
                raise exceptions.NotFound(f"No logbook found with uuid {book_uuid!r}")

    def _save_first(
        self, connection: sa.Connection, flow: Any, book: Any, also: sa.Executable
    ) -> Sequence[Values]:
        if not self._exists(connection, LOGBOOKS, book.uuid):
            connection.execute(sa.insert(LOGBOOKS).values(book.to_dict()))
        connection.execute(also)
        return self._save_flow(connection, flow, book.uuid)

    def _save_flow(self, connection: sa.Connection, flow: Any, book_uuid: str) -> Sequence[Values]:
        if self._exists(connection, FLOWS, flow.uuid):
            self._update(connection, FLOWS, flow.to_dict())
        else:
            connection.execute(sa.insert(FLOWS).values(flow.to_dict() | {"parent_uuid": book_uuid}))
        return self._save_atoms(connection, flow)

    def _save_atoms(self, connection: sa.Connection, flow: Any) -> Sequence[Values]:
        """Store the atoms of a flow that changed; which these are."""
        atoms = [self._atom_values(atom) for atom in flow]
        changed = [values for values in atoms if self._written.get(values["uuid"]) != values]
        if not changed:
            return ()
        of_flow = sa.select(ATOMS.c.uuid).where(ATOMS.c.parent_uuid == flow.uuid)
        known = set(connection.execute(of_flow).scalars())
        kinds = {atom.uuid: models.atom_detail_type(atom) for atom in flow}
        for values in changed:
            if values["uuid"] in known:
                self._update_atom(connection, values)
        new = [
            values | {"parent_uuid": flow.uuid, "atom_type": kinds[values["uuid"]]}
            for values in changed
            if values["uuid"] not in known
        ]
        if new:
            connection.execute(sa.insert(ATOMS), new)
        return changed

    def _update_atom(self, connection: sa.Connection, values: Values) -> None:
        if values["state"] == states.REVERT_FAILURE:
            # TaskFlow forgets the result here; what is stored stays, for a second try of the revert.
            values = {name: value for name, value in values.items() if name != "results"}
        self._update(connection, ATOMS, values)

    def _remember(self, saved: Iterable[Values]) -> None:
        """Called when they are committed: before that, TaskFlow may have to try again."""
        if self._journal is not None:
            self._written |= {values["uuid"]: values for values in saved}

    @staticmethod
    def _atom_values(atom: Any) -> Values:
        values: Values = atom.to_dict()
        return values | {"meta": dict(values["meta"] or {})}  # TaskFlow may change it in place

    def _says_nothing_new(self, values: Values) -> bool:
        """Whether all that changed is the progress, which the journal stores in its own way."""
        known = self._written.get(values["uuid"])
        return known is not None and _without_progress(known) == _without_progress(values)

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
        with _stored(f"logbook {book_uuid}"), self._database.read() as connection:
            row = self._row(connection, LOGBOOKS, book_uuid)
            book = models.LogBook.from_dict(row)
            for flow in () if lazy else self._flows(connection, book_uuid, lazy=False):
                book.add(flow)
            return book

    def get_logbooks(self, lazy: bool = False) -> Iterator[Any]:
        """Every logbook."""
        with _stored("logbooks"), self._database.read() as connection:
            uuids = list(connection.execute(sa.select(LOGBOOKS.c.uuid)).scalars())
        for uuid in uuids:
            yield self.get_logbook(uuid, lazy=lazy)

    def get_flows_for_book(self, book_uuid: str, lazy: bool = False) -> Iterator[Any]:
        """The flows of a logbook, with their atoms unless `lazy`."""
        with _stored(f"logbook {book_uuid}"), self._database.read() as connection:
            flows = self._flows(connection, book_uuid, lazy=lazy)
        yield from flows

    def get_flow_details(self, fd_uuid: str, lazy: bool = False) -> Any:
        """One flow, with its atoms unless `lazy`. `NotFound`."""
        with _stored(f"flow {fd_uuid}"), self._database.read() as connection:
            return self._flow(connection, self._row(connection, FLOWS, fd_uuid), lazy=lazy)

    def get_atom_details(self, ad_uuid: str) -> Any:
        """One atom. `NotFound`."""
        with _stored(f"atom {ad_uuid}"), self._database.read() as connection:
            return self._atom(self._row(connection, ATOMS, ad_uuid))

    def get_atoms_for_flow(self, fd_uuid: str) -> Iterator[Any]:
        """The atoms of a flow."""
        with _stored(f"flow {fd_uuid}"), self._database.read() as connection:
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
        atom = models.atom_detail_class(row.pop("atom_type")).from_dict(row)
        if self._journal is not None:
            self._written[atom.uuid] = self._atom_values(atom)
        return atom


def _without_progress(values: Values) -> Values:
    meta = {name: value for name, value in (values["meta"] or {}).items() if name not in _PROGRESS}
    return values | {"meta": meta}


@contextmanager
def _stored(what: str) -> Iterator[None]:
    """Failures of the database as TaskFlow's `StorageFailure`, which its storage tries again."""
    try:
        yield
    except (sa_exc.SQLAlchemyError, Unreachable) as error:
        raise exceptions.StorageFailure(f"Storage failed on {what}", error) from error
