"""Log lines that belong to a job: its id, flow, attempt and task on each. Its history has those of tasks, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal

from taskflow.exceptions import StorageFailure

from flows.run_context import running_task
from flows.secrets import without_secrets
from jobboard import history
from jobboard.claims import Claim
from jobboard.errors import Fenced, Unreachable
from jobboard.journal import Journal
from jobboard.json_log import JsonFormatter, Where

_LEVEL: Final = 16  # characters of a level's name that are stored
FORMAT = "%(asctime)s %(levelname)-7s %(where)s%(message)s"


@dataclass(frozen=True)
class _About:
    """What the conductor's own lines are about."""

    claim: Claim
    task: str | None


_about: ContextVar[_About | None] = ContextVar("countermand_log_is_about", default=None)


@contextmanager
def about(claim: Claim, task: str | None = None) -> Iterator[None]:
    """What this thread logs in this block is about a job, or a task of it."""
    reset = _about.set(_About(claim, task))
    try:
        yield
    finally:
        _about.reset(reset)


def where() -> Where:
    """What a line that is logged now comes from: `job`, `flow`, `attempt`, `task`, as far as they are known."""
    mark, line = running_task(), _about.get()
    if mark is not None:
        return _known(mark.context.job, mark.context.flow, mark.context.attempt, mark.task)
    if line is not None:
        return _known(line.claim.job, line.claim.flow, line.claim.attempt, line.task)
    return {}


def _known(job: str, flow: str, attempt: int, task: str | None) -> Where:
    found: dict[str, str | int | None] = {"job": job, "flow": flow, "attempt": attempt, "task": task}
    return {name: value for name, value in found.items() if value}


class JobLogHandler(logging.Handler):
    """Puts what is logged inside of a task into the history of the task's job."""

    def __init__(self, journal_of: Callable[[str], Journal | None]) -> None:
        super().__init__(logging.INFO)
        self._journal_of = journal_of

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one line. It is stored with the journal's next transaction."""
        mark = running_task()
        journal = self._journal_of(mark.context.job) if mark else None
        if mark is None or journal is None:
            return
        try:
            message = mark.context.secrets.text(logging.Formatter().format(record))
        except Exception:  # noqa: BLE001 - a wrong line must not fail the task that logs it
            self.handleError(record)
            return
        journal.note(history.LOG, task=mark.task, state=record.levelname.lower()[:_LEVEL], message=message)


class SafeFormatter(logging.Formatter):
    """Writes lines without the secrets of any job that runs here."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its traceback."""
        return without_secrets(super().format(record))


class WhereFilter(logging.Filter):
    """Says on each line which job, flow, attempt and task it comes from: `[01hx5… hello #1 write] `."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set `where`, for the format."""
        known = where()
        words = [f"#{value}" if name == "attempt" else str(value) for name, value in known.items()]
        record.where = f"[{' '.join(words)}] " if words else ""
        return True


class SaidOnce(logging.Filter):
    """Drops TaskFlow's tracebacks about writes that were refused or found no database.

    What that means for the job is said by the conductor, in one line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line stays."""
        if str(record.msg).startswith("Original exception being dropped"):
            return False  # oslo.utils: TaskFlow could not store that it could not store
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            if isinstance(error, Fenced | Unreachable | StorageFailure):
                return False
            error = error.__cause__ or error.__context__
        return True


def set_up_logging(level: str, form: Literal["text", "json"] = "text") -> None:
    """Log to standard error, from `level` on; of the libraries beneath only warnings and worse.

    What they tell besides is of no use, and holds data: SQLAlchemy would log each statement with its values, httpx
    each look at a server that a task polls.
    """
    handler = logging.StreamHandler()
    handler.setLevel(level.upper())
    if form == "json":
        handler.setFormatter(JsonFormatter(where=where, masked=without_secrets))
    else:
        handler.setFormatter(SafeFormatter(FORMAT))
        handler.addFilter(WhereFilter())
    handler.addFilter(SaidOnce())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for quiet in ("taskflow", "kazoo", "alembic", "sqlalchemy", "httpx"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
