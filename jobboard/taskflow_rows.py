"""Rows of TaskFlow's tables that one job's only writer is to store: whether they are there already or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from oslo_utils import timeutils
from sqlalchemy.dialects import postgresql
from taskflow import states
from taskflow.persistence import models
from taskflow.persistence.backends.sqlalchemy import tables as taskflow_tables

from jobboard.schema import Values
from jobboard.statements import Prepared, Script

_TABLES = taskflow_tables.fetch(sa.MetaData())
LOGBOOKS, FLOWS, ATOMS = _TABLES.logbooks, _TABLES.flowdetails, _TABLES.atomdetails


@dataclass
class TaskflowRows:
    """Rows by uuid; of each the last that was put. Not thread-safe."""

    books: dict[str, Values] = field(default_factory=dict)
    flows: dict[str, Values] = field(default_factory=dict)
    atoms: dict[str, Values] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.books or self.flows or self.atoms)

    def before(self, later: TaskflowRows) -> TaskflowRows:
        """These, and what was put later."""
        return TaskflowRows(
            {**self.books, **later.books}, {**self.flows, **later.flows}, {**self.atoms, **later.atoms}
        )

    def write(self, script: Script) -> None:
        """Have a script store them: the result of an atom whose revert failed stays as it is."""
        kept = [atom for atom in self.atoms.values() if atom["state"] == states.REVERT_FAILURE]
        others = [atom for atom in self.atoms.values() if atom["state"] != states.REVERT_FAILURE]
        now = {"created_at": timeutils.utcnow(), "updated_at": timeutils.utcnow()}
        for statement, rows in (
            (_PUT_BOOK, self.books.values()),
            (_PUT_FLOW, self.flows.values()),
            (_PUT_ATOM, others),
            (_PUT_ATOM_WITHOUT_RESULT, kept),
        ):
            script.add(statement, [now | row for row in rows])


def book_row(book: Any) -> Values:
    """What is stored of a logbook."""
    return {name: value for name, value in book.to_dict().items() if not name.endswith("_at")}


def flow_row(flow: Any, book_uuid: str) -> Values:
    """What is stored of a flow detail."""
    return {**flow.to_dict(), "meta": dict(flow.meta or {}), "parent_uuid": book_uuid}


def atom_row(atom: Any, flow_uuid: str) -> Values:
    """What is stored of an atom detail. `meta` is copied: TaskFlow may change it in place."""
    values = atom.to_dict()
    values["meta"] = dict(values["meta"] or {})
    values["parent_uuid"] = flow_uuid
    values["atom_type"] = models.atom_detail_type(atom)
    return values  # type: ignore[no-any-return]


def _put(table: sa.Table, columns: tuple[str, ...]) -> Prepared:
    """An INSERT, or of a row that is there an UPDATE of these columns. Both databases say it alike."""
    insert = postgresql.insert(table)
    if not columns:
        return Prepared(insert.on_conflict_do_nothing())
    new = {name: insert.excluded[name] for name in (*columns, "updated_at")}
    return Prepared(insert.on_conflict_do_update(index_elements=["uuid"], set_=new))


_CHANGING: Final = ("state", "intention", "meta", "failure", "revert_results", "revert_failure", "version")
_PUT_BOOK: Final = _put(LOGBOOKS, ())
_PUT_FLOW: Final = _put(FLOWS, ("state", "meta"))
_PUT_ATOM: Final = _put(ATOMS, (*_CHANGING, "results"))
_PUT_ATOM_WITHOUT_RESULT: Final = _put(ATOMS, _CHANGING)
