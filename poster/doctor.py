"""Looks whether all that Countermand needs is there: settings, flows, database, board, conductors, tasks."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from jobboard.errors import JobboardError, Unreachable
from jobboard.settings import without_password
from jobboard.states import UNDOING

if TYPE_CHECKING:
    from jobboard.database import Database
    from jobboard.models import Job, Task
    from jobboard.settings import Settings
    from poster.client import Client

OK: Final = "ok"
WARNING: Final = "warning"  # works, but not as one would wish
ERROR: Final = "error"
UNREACHABLE: Final = "unreachable"

_PAGE: Final = 1000
_TASKFLOW_TABLES: Final = ("logbooks", "flowdetails", "atomdetails")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: str
    message: str


@dataclass(frozen=True)
class SettingLine:
    """A setting, fit to be shown."""

    name: str
    value: str
    origin: str  # default, a variable of the environment, or a flag


@dataclass(frozen=True)
class Report:
    """What was found."""

    settings: tuple[SettingLine, ...]
    checks: tuple[Check, ...]
    versions: dict[str, str]

    @property
    def ok(self) -> bool:
        """Nothing is wrong; there may be warnings."""
        return all(check.status in (OK, WARNING) for check in self.checks)


def examine(client: Client) -> Report:
    """Look at everything, whatever else is wrong."""
    checks = [_guarded("flows", lambda: _flows(client)), _guarded("database", lambda: _database(client.database))]
    if checks[-1].status == OK:
        checks += [
            _guarded("schema", lambda: _schema(client.database)),
            _guarded("jobboard", lambda: _board(client)),
            _guarded("conductors", lambda: _conductors(client)),
            _guarded("tasks", lambda: _tasks(client)),
        ]
    return Report(tuple(_settings(client.settings)), tuple(checks), _versions())


def shown(value: Any) -> str:
    """A setting's value without the passwords in it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else without_password(str(value))


def _guarded(name: str, look: Callable[[], tuple[str, str]]) -> Check:
    from flows.errors import FlowsError

    try:
        return Check(name, *look())
    except Unreachable as error:
        return Check(name, UNREACHABLE, str(error))
    except (JobboardError, FlowsError) as error:
        return Check(name, ERROR, str(error))


def _settings(settings: Settings) -> Iterator[SettingLine]:
    for name, origin in settings.origins.items():
        yield SettingLine(name, shown(getattr(settings, name)), origin)


def _flows(client: Client) -> tuple[str, str]:
    names = [spec.name for spec in client.flows()]
    return (OK, f"{len(names)} loaded: {', '.join(names)}") if names else (WARNING, "none: set COUNTERMAND_FLOWS")


def _database(database: Database) -> tuple[str, str]:
    with database.read() as connection:
        query = "SHOW server_version" if database.dialect == "postgresql" else "SELECT sqlite_version()"
        version = connection.exec_driver_sql(query).scalar_one()
    return OK, f"{database.address} answers ({database.dialect} {version})"


def _schema(database: Database) -> tuple[str, str]:
    import sqlalchemy as sa

    from jobboard.migrations.upgrade import stored_version
    from jobboard.schema import VERSION

    with database.read() as connection:
        stored = stored_version(connection)
        missing = [table for table in _TASKFLOW_TABLES if not sa.inspect(connection).has_table(table)]
    if missing:
        return ERROR, f"TaskFlow's tables are missing: {', '.join(missing)}"
    return OK, f"version {stored} of {VERSION}, and TaskFlow's tables are there"


def _board(client: Client) -> tuple[str, str]:
    if client.settings.board_kind == "sql":
        return OK, "sql, in the same database"
    from jobboard.dispatch.base import reached
    from jobboard.dispatch.opening import open_dispatch

    dispatch = open_dispatch(client.database, client.settings)
    address = shown(client.settings.jobboard_url)
    try:
        dispatch.open()
        with reached(dispatch.board):
            postings = sum(1 for _ in dispatch.board.iterjobs(ensure_fresh=True))
    finally:
        dispatch.close()
    return OK, f"{address} answers, {postings} posting(s) on it"


def _conductors(client: Client) -> tuple[str, str]:
    alive = [row for row in client.conductors() if row.alive]
    if not alive:
        return WARNING, "none is alive: start one with `conductor run`"
    names = ", ".join(row.name for row in alive)
    return OK, f"{len(alive)} alive with {sum(row.slots for row in alive)} slots: {names}"


def _tasks(client: Client) -> tuple[str, str]:
    stuck = [_stuck(job, task) for job in _undoing(client) for task in job.tasks if task.not_responding]
    return (WARNING, "; ".join(stuck)) if stuck else (OK, "none goes on though its job is to stop")


def _stuck(job: Job, task: Task) -> str:
    said = f"job {job.id}: task {task.name} does not respond to its interruption"
    return f"{said}: restart conductor {job.conductor}, the job is then only reverted"


def _undoing(client: Client) -> Iterator[Job]:
    last = None
    while page := client.list(states=UNDOING, before=last, limit=_PAGE):
        yield from page
        last = page[-1].id


def _versions() -> dict[str, str]:
    from jobboard.version import __version__

    return {
        "countermand": __version__,
        "python": platform.python_version(),
        "taskflow": metadata.version("taskflow"),
        "sqlalchemy": metadata.version("sqlalchemy"),
    }
