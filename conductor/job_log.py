"""Log lines that belong to a job: its id, flow and task on each, and the tasks' own lines in its history."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from taskflow.exceptions import StorageFailure

from flows.run_context import running_task
from flows.secrets import without_secrets
from jobboard import history
from jobboard.errors import Fenced, Unreachable
from jobboard.journal import Journal

_LEVEL: Final = 16  # characters of a level's name that are stored
FORMAT = "%(asctime)s %(levelname)-7s %(where)s%(message)s"


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
    """Says on each line which job and task it comes from."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set `where`, for the format."""
        mark = running_task()
        record.where = f"[{mark.context.job} {mark.task}] " if mark else ""
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


def set_up_logging(level: str) -> None:
    """Log to standard error, from `level` on; of the libraries beneath only warnings and worse.

    What they tell besides is of no use, and holds data: SQLAlchemy would log each statement with its values.
    """
    handler = logging.StreamHandler()
    handler.setLevel(level.upper())
    handler.setFormatter(SafeFormatter(FORMAT))
    handler.addFilter(WhereFilter())
    handler.addFilter(SaidOnce())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for quiet in ("taskflow", "kazoo", "alembic", "sqlalchemy"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
