"""Conductors in processes of their own, each forked from one that has everything imported: some 5 ms a birth.

`python -m tests.dying.nursery` reads lives to live from its standard input, one at a time, and answers each with
what became of it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from taskflow.exceptions import JobFailure

from conductor.service import Conductor
from jobboard.database import Database, open_database
from jobboard.dispatch.opening import open_dispatch, open_records
from jobboard.settings import read_settings
from jobboard.states import AT_REST
from tests.dying.plays import REGISTRY
from tests.requests_seen import on_commits
from tests.rules.checker import jobs_on
from tests.waiting import patience

LOG = logging.getLogger(__name__)

_POLL_S = 0.005
_PATIENCE_S = patience(60)


@dataclass(frozen=True)
class Life:
    """What a conductor is to do: work until this job is at rest, unless it dies before."""

    name: str
    database_url: str
    jobboard_url: str
    job: str
    dies_at: int | None = None  # which of its commits
    after: bool = False  # the commit holds; else it is lost


@dataclass(frozen=True)
class Obituary:
    """What became of it."""

    died: bool
    commits: int
    session: Any = None  # its client's on ZooKeeper, which outlives it


class Death:
    """Comes at a commit. Counted are those of the slots and of the loop, which always come in the same order."""

    def __init__(self, life: Life, conductor: Conductor) -> None:
        self._life = life
        self._conductor = conductor
        self._lock = threading.Lock()  # guards the count, also of the threads of a parallel flow
        self.commits = 0

    def __call__(self, commit: Callable[[], Any]) -> None:
        if threading.current_thread().name == "watch":
            return
        with self._lock:
            self.commits += 1
            if self.commits == self._life.dies_at:
                self._come(commit)

    def _come(self, commit: Callable[[], Any]) -> None:
        if self._life.after:
            commit()
        tell(Obituary(died=True, commits=self.commits, session=session_of(self._conductor)))
        os._exit(0)


def live(life: Life) -> None:
    os.environ |= {"COUNTERMAND_DATABASE_URL": life.database_url, "COUNTERMAND_JOBBOARD_URL": life.jobboard_url}
    settings = read_settings(os.environ)
    with closing(open_database(life.database_url)) as database, closing(open_database(life.database_url)) as other:
        dispatch = open_dispatch(database, settings)
        conductor = Conductor(database, dispatch, REGISTRY, settings, slots=1, name=life.name)
        death = Death(life, conductor)
        on_commits(database, death)
        threading.Thread(target=stop_at_rest, args=(conductor, other, life.job), daemon=True).start()
        conductor.run()
    tell(Obituary(died=False, commits=death.commits))


def stop_at_rest(conductor: Conductor, database: Database, job: str) -> None:
    """Let it live until the job rests and nothing runs. One that lives too long is ended: no one waits for it."""
    records = open_records(database, conductor._settings)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if records.states([job])[job] in AT_REST and not conductor._running() and is_off_the_board(conductor, job):
            conductor.stop()
            return
        time.sleep(_POLL_S)
    LOG.error("job %s did not come to rest: %s", job, records.get(job))
    os._exit(1)


def is_off_the_board(conductor: Conductor, job: str) -> bool:
    """Whether a board that is not in the database has let go of the job, too."""
    if conductor._settings.board_kind == "sql":
        return True
    try:
        return job not in jobs_on(conductor._dispatch.board)
    except JobFailure:
        return False  # it is not connected yet


def session_of(conductor: Conductor) -> Any:
    session = getattr(getattr(conductor._dispatch.board, "_client", None), "client_id", None)
    return [session[0], session[1].hex()] if session else None


def tell(obituary: Obituary) -> None:
    os.write(1, f"{json.dumps(asdict(obituary))}\n".encode())


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(process)d %(threadName)s %(message)s")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                live(Life(**json.loads(line)))
                code = 0
            except Exception:
                LOG.exception("a life that failed")
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status:
            tell(Obituary(died=True, commits=-1))


if __name__ == "__main__":
    main()
