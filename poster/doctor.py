"""Looks whether all that Countermand needs is there: settings, flows, database, board, conductors, tasks."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from jobboard.address import without_password
from jobboard.errors import JobboardError, Unreachable
from jobboard.states import UNDOING

if TYPE_CHECKING:
    from jobboard.database import Database
    from jobboard.inspection import Finding
    from jobboard.models import Job, Task
    from jobboard.settings import Settings
    from poster.reader import Reader

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

    @property
    def ok(self) -> bool:
        """Nothing is wrong; it may be a warning."""
        return self.status in (OK, WARNING)


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
    findings: tuple[Finding, ...] = ()  # what is malformed, and set aside

    @property
    def ok(self) -> bool:
        """Nothing is wrong; there may be warnings."""
        return all(check.ok for check in self.checks)


def examine(client: Reader) -> Report:
    """Look at everything, whatever else is wrong."""
    checks = [_guarded("flows", lambda: _flows(client)), _guarded("database", lambda: _database(client.database))]
    findings: list[Finding] = []
    if checks[-1].status == OK:
        checks += [
            _guarded("schema", lambda: _schema(client.database)),
            _guarded("jobboard", lambda: _board(client, findings)),
            _guarded("conductors", lambda: _conductors(client)),
            _guarded("tasks", lambda: _tasks(client)),
            _guarded("malformed", lambda: _malformed(client, findings)),
        ]
    return Report(tuple(_settings(client.settings)), tuple(checks), _versions(), tuple(findings))


def readiness(client: Reader) -> list[Check]:
    """Whether the servers that every request needs answer."""
    database = _guarded("database", lambda: _database(client.database))
    return [database, _guarded("jobboard", lambda: _board(client, []))] if database.ok else [database]


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


def _flows(client: Reader) -> tuple[str, str]:
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


def _board(client: Reader, findings: list[Finding]) -> tuple[str, str]:
    if client.settings.board_kind == "sql":
        return OK, "sql, in the same database"
    from jobboard.dispatch.base import reached
    from jobboard.dispatch.opening import open_dispatch

    dispatch = open_dispatch(client.database, client.settings)
    address = shown(client.settings.jobboard_url)
    try:
        dispatch.open()
        with reached(dispatch.board):
            postings = list(dispatch.board.iterjobs(ensure_fresh=True))
        findings += _strange(postings, getattr(dispatch.board, "malformed", {}))
    finally:
        dispatch.close()
    return OK, f"{address} answers, {len(postings)} posting(s) on it"


def _strange(postings: Iterable[Any], malformed: Mapping[str, str]) -> Iterator[Finding]:
    """What stands on a board and is no posting of ours."""
    from jobboard.dispatch.taskflow import posting_id
    from jobboard.inspection import Finding

    for key, why in malformed.items():
        yield Finding("posting", key, why, "remove it from the board")
    for posting in postings:
        if posting_id(posting) is None:
            yield Finding("posting", posting.uuid, f"{posting.name}: it belongs to no job of ours", _NOT_OURS)


_NOT_OURS: Final = "remove it from the board, or give its program a board of its own"


def _malformed(client: Reader, findings: list[Finding]) -> tuple[str, str]:
    from jobboard.dispatch.opening import BOARD
    from jobboard.inspection import inspect

    findings += inspect(client.database, BOARD if client.settings.board_kind == "sql" else None)
    if not findings:
        return OK, "nothing is"
    return WARNING, f"{len(findings)} thing(s) are set aside, see below"


def _conductors(client: Reader) -> tuple[str, str]:
    alive = [row for row in client.conductors() if row.alive]
    if not alive:
        return WARNING, "none is alive: start one with `conductor run`"
    names = ", ".join(row.name for row in alive)
    return OK, f"{len(alive)} alive with {sum(row.slots for row in alive)} slots: {names}"


def _tasks(client: Reader) -> tuple[str, str]:
    stuck = [_stuck(job, task) for job in _undoing(client) for task in job.tasks if task.not_responding]
    return (WARNING, "; ".join(stuck)) if stuck else (OK, "none goes on though its job is to stop")


def _stuck(job: Job, task: Task) -> str:
    said = f"job {job.id}: task {task.name} does not respond to its interruption"
    return f"{said}: restart conductor {job.conductor}, the job is then only reverted"


def _undoing(client: Reader) -> Iterator[Job]:
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
