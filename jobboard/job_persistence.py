"""The persistence of one claimed job: it gathers what its engine stores, and writes it late.

A conductor is the only writer of its job, so nothing is read before it is written, and nothing is written twice.
What only says that something ended waits for what begins next, and is stored in one transaction with it: before a
task executes or reverts, and before a job rests, all that happened is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import sqlalchemy as sa
import tenacity
from taskflow import exceptions, states, storage

from jobboard.database import Database
from jobboard.errors import Fenced, Unreachable
from jobboard.journal import Journal
from jobboard.persistence import Connection, Persistence, stored
from jobboard.schema import Values
from jobboard.task_view import SEAL, AtomState
from jobboard.taskflow_rows import TaskflowRows, atom_row, book_row, flow_row

_BEGINS: Final = frozenset({states.RUNNING, states.REVERTING})
_TRIES: Final = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(Unreachable),
    wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
    stop=tenacity.stop_after_delay(10.0),  # as long as TaskFlow's storage would try
    reraise=True,
)
_PROGRESS: Final = frozenset({storage.META_PROGRESS, storage.META_PROGRESS_DETAILS})


class JobPersistence(Persistence):
    """A TaskFlow persistence backend whose every write is fenced by a job's journal."""

    def __init__(self, database: Database, journal: Journal) -> None:
        super().__init__(database=database)
        self._connection = JobConnection(self, journal)

    def get_connection(self) -> JobConnection:
        """The one connection of this backend; it may be used by several threads."""
        return self._connection


class JobConnection(Connection):
    """What TaskFlow's engine and storage call.

    Progress alone is not stored: the journal keeps it in its own way.
    """

    def __init__(self, backend: Persistence, journal: Journal) -> None:
        super().__init__(backend)
        self._journal = journal
        self._known: dict[str, Values] = {}  # rows of flows and atoms, as they were put or read last, by uuid
        self._new: dict[str, tuple[Values, Values]] = {}  # a new flow's logbook, and columns of the attempt
        self._begin_next: set[str] = set()  # atoms that are about to, once that is stored

    # Writing

    def save_later(self, book: Any, flow: Any, **attempt: Any) -> None:
        """Have a new logbook, and columns of the attempt, stored together with the new flow, or not at all."""
        self._new[flow.uuid] = (book_row(book), attempt)

    def update_atom_details(self, atom_detail: Any) -> Any:
        """Take in one atom; one that begins is stored at once. `NotFound` if it never was."""
        flow = self._known_row(atom_detail)["parent_uuid"]
        with stored(f"atom {atom_detail.name}"):
            self._put([atom_row(atom_detail, flow)])
        return atom_detail

    def update_flow_details(self, flow_detail: Any) -> Any:
        """Take in a flow's own row and those of its atoms. `NotFound` if the flow never was."""
        new = self._new.pop(flow_detail.uuid, None)
        book = new[0]["uuid"] if new else self._known_row(flow_detail)["parent_uuid"]
        with stored(f"flow {flow_detail.name}"):
            atoms = [atom_row(atom, flow_detail.uuid) for atom in flow_detail]
            self._put(atoms, flow_row(flow_detail, book), new)
        return flow_detail

    def save_logbook(self, book: Any) -> Any:
        """Store a logbook, its flows and their atoms at once, whichever of them are there already."""
        super().save_logbook(book)
        for flow in book:
            self._known[flow.uuid] = flow_row(flow, book.uuid)
            self._known |= {atom.uuid: atom_row(atom, flow.uuid) for atom in flow}
        return book

    def store(self) -> None:
        """Store what has gathered now. Raises `Fenced`, and `StorageFailure`."""
        with stored("what has gathered"):
            self._journal.store()

    def flush(self) -> None:
        """Store what has gathered. What cannot be stored now gathers on."""
        with suppress(Unreachable, Fenced):
            self._journal.flush()

    def rows_of(self, flow_detail: Any, atom_detail: Any) -> TaskflowRows:
        """What is to be stored of a flow and one of its atoms, which are known."""
        flow = flow_row(flow_detail, self._known_row(flow_detail)["parent_uuid"])
        atom = atom_row(atom_detail, flow_detail.uuid)
        return TaskflowRows(flows={flow["uuid"]: flow}, atoms={atom["uuid"]: atom})

    def are_stored(self, rows: TaskflowRows) -> None:
        """Someone else has stored these: when the engine says the same of them, nothing is left to be written."""
        self._known |= rows.flows | rows.atoms

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with self._journal.begin() as connection:
            yield connection

    def _put(
        self, atoms: Iterable[Values], flow: Values | None = None, new: tuple[Values, Values] | None = None
    ) -> None:
        """Have stored what is new of these; at once if something begins, for which it tries again and again."""
        changed = {atom["uuid"]: atom for atom in atoms if self._is_news(atom)}
        flows = {flow["uuid"]: flow} if flow is not None and self._is_news(flow) else {}
        if changed or flows:
            book, columns = new or (None, {})
            rows = TaskflowRows({book["uuid"]: book} if book else {}, flows, changed)
            self._journal.put(rows, map(_state_of, changed.values()), **columns)
            self._known |= flows | changed
        begin = {atom["uuid"] for atom in changed.values() if _begins(atom)}
        self._begin_next = (self._begin_next - changed.keys()) | begin
        if self._begin_next:
            try:
                self._journal.store(ask=False)
            except Unreachable:
                _TRIES(self._journal.store)
            self._begin_next.clear()

    def _is_news(self, row: Values) -> bool:
        known = self._known.get(row["uuid"])
        return known is None or _without_progress(known) != _without_progress(row)

    def _known_row(self, detail: Any) -> Values:
        try:
            return self._known[detail.uuid]
        except KeyError:
            raise exceptions.NotFound(f"nothing is known of {detail.name} with uuid {detail.uuid!r}") from None

    # Reading

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        """What has gathered is stored first."""
        self._journal.store()
        with super()._read() as connection:
            yield connection

    def _flow(self, connection: sa.Connection, row: Values, *, lazy: bool) -> Any:
        flow = super()._flow(connection, row, lazy=lazy)
        self._known[flow.uuid] = flow_row(flow, row["parent_uuid"])
        return flow

    def _atom(self, row: Values) -> Any:
        atom = super()._atom(row)
        self._known[atom.uuid] = atom_row(atom, row["parent_uuid"])
        return atom


def _begins(atom: Values) -> bool:
    """The seal has no effect of its own: what happened before it is stored together with what it writes."""
    return atom["state"] in _BEGINS and atom["name"] != SEAL


def _state_of(atom: Values) -> AtomState:
    """Of a revert that failed its own failure counts, and not what made it necessary."""
    own = atom["revert_failure"] if atom["state"] == states.REVERT_FAILURE else None
    return AtomState(atom["name"], atom["state"], own or atom["failure"])


def _without_progress(row: Values) -> Values:
    return row | {"meta": {name: value for name, value in row["meta"].items() if name not in _PROGRESS}}
