"""A database as years of use leave it: a million jobs, nearly all at rest, made by a few statements.

Whatever could grow has grown: history, attempts, TaskFlow's tables, jobs that wait for their time, for a conductor
that knows their flow, for room on a board that holds few, and for room under their flow's limit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.dispatch.opening import BOARD
from jobboard.ids import ALPHABET
from jobboard.removal import logbook_of

JOBS: Final = 1_000_000
WAITING: Final = 60_000
"""Jobs of each kind that wait: for room on a board, for a conductor, for their time, for room under a limit."""

QUEUED = "queued"
"""A flow of jobs that are due, and not on a board; those of `STRAY` stand between them."""

STRAY = "stray"
"""The same of a flow that no conductor knows."""

STRANGE = "strange"
"""A flow that no conductor of the tests knows; its jobs are on the board."""

LIMITED = "limited"
"""A flow of which one job may run at once, and one is on the board."""

KNOWN = "flow_1"
"""A flow of jobs that came to rest long ago, and of some that wait for their time."""

STEP_S: Final = 10
"""From one job to the next."""
DAYS: Final = JOBS * STEP_S // 86_400
"""So old are the oldest."""

_TABLES: Final = ("jobs", "attempts", "events", "postings", "logbooks", "flowdetails", "atomdetails")
_OF_DIALECT: Final = {
    "sqlite": {
        "now": "CAST(strftime('%s', 'now') AS integer)",
        "moment": "strftime('%Y-%m-%d %H:%M:%S.000000', {}, 'unixepoch')",
        "uuid": "substr(hex(randomblob(18)), 1, 36)",
    },
    "postgresql": {
        "now": "CAST(extract(epoch FROM now()) AS bigint)",
        "moment": "to_timestamp({})",
        "uuid": "CAST(gen_random_uuid() AS text)",
    },
}


def fill(database: Database, count: int = JOBS, waiting: int = WAITING) -> None:
    """Fill an empty database. PostgreSQL gathers statistics by itself; nobody asks SQLite to."""
    with database.write() as connection, _without_indexes(connection):
        words = _OF_DIALECT[database.dialect]

        def run(statement: str, **values: Any) -> None:
            _execute(connection, statement.format(**values, uuid=words["uuid"]))

        _seed(run, words, count, waiting)
        for statement in (_JOBS, _ATTEMPTS, _EVENTS, _MORE_EVENTS, _POSTINGS):
            run(statement, board=BOARD, limited=LIMITED)
        _put_books(connection)
        for statement in (_BOOKS, _FLOWS, _ATOMS):
            run(statement)
    _analyze(database)


def _seed(run: Callable[..., None], words: dict[str, str], count: int, waiting: int) -> None:
    """What every job is made from: its number, when it was posted, and in which state it is."""
    digits = [f"substr('{ALPHABET}', CAST(ms >> {shift} & 31 AS integer) + 1, 1)" for shift in range(45, -5, -5)]
    first = count - 4 * waiting - 1  # the first of those that wait
    run(
        _SEEDS,
        count=count,
        age_s=count * STEP_S,
        step_s=STEP_S,
        now=words["now"],
        id=" || ".join([*digits, "'00000000'", "substr(CAST(100000000 + i AS text), 2)"]),
        at=words["moment"].format("s"),
        ended=words["moment"].format("s + 5"),
        later=words["moment"].format("s + 864000000"),
        queued=first,
        strange=first + waiting,
        delayed=first + 2 * waiting,
        limited=first + 3 * waiting,
        queued_flow=QUEUED,
        stray_flow=STRAY,
        strange_flow=STRANGE,
        limited_flow=LIMITED,
    )


_SEEDS: Final = """
CREATE TEMPORARY TABLE seeds AS
WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < {count} - 1),
moments AS (SELECT i, {now} - {age_s} + i * {step_s} AS s FROM numbers),
ids AS (SELECT i, s, s * 1000 AS ms FROM moments)
SELECT i, {id} AS id, {at} AS at, {ended} AS ended, {later} AS later,
CASE WHEN i < {queued} THEN
    CASE WHEN i % 1000 = 11 THEN 'revert_failed' WHEN i % 1000 = 12 THEN 'paused'
         WHEN i % 50 = 7 THEN 'failed' WHEN i % 40 = 3 THEN 'cancelled' ELSE 'completed' END
    ELSE 'pending' END AS state,
CASE WHEN i < {queued} OR i BETWEEN {delayed} AND {limited} - 1 THEN 'flow_' || CAST(i % 7 AS text)
     WHEN i < {strange} THEN CASE WHEN i % 2 = 0 THEN '{queued_flow}' ELSE '{stray_flow}' END
     WHEN i < {delayed} THEN '{strange_flow}' ELSE '{limited_flow}' END AS flow,
i BETWEEN {delayed} AND {limited} - 1 AS delayed,
CASE WHEN i BETWEEN {strange} AND {delayed} - 1 OR i = {limited} THEN {uuid} END AS posting
FROM ids
"""

_JOBS: Final = """
INSERT INTO jobs (id, flow, arguments, masked, state, key, priority, posted_at, due_at, started_at, finished_at,
    attempt, begun, kept, ran_s, progress, max_retries, retry_interval_s, retries_left, max_running, on_failure,
    epoch, claims, conductor, posting, deleting, cleanup, tasks)
SELECT id, flow, '{{"n":1}}', '[]', state, CASE WHEN i % 10 = 0 THEN 'key ' || CAST(i AS text) END, i % 5, at,
    CASE WHEN delayed THEN later ELSE at END,
    CASE WHEN state <> 'pending' THEN at END, CASE WHEN state NOT IN ('pending', 'paused') THEN ended END,
    1, state <> 'pending', state = 'failed' AND i % 500 = 7, 1.5, 0.0, 0, 60.0, 0,
    CASE WHEN flow = '{limited}' THEN 1 END, 'revert', 1, 1, 'one', posting, false, false, '[]'
FROM seeds ORDER BY i
"""

_ATTEMPTS: Final = """
INSERT INTO attempts (job, number, arguments, started_at, outcome)
SELECT id, 1, '{{"n":1}}', at, CASE WHEN state NOT IN ('pending', 'paused') THEN state END FROM seeds ORDER BY i
"""

_EVENTS: Final = """
INSERT INTO events (job, attempt, at, kind, state, "by", message)
SELECT id, 1, at, 'state', 'pending', 'ann', 'posted' FROM seeds WHERE i % 3 = 0 OR i < 3000 ORDER BY i
"""

_MORE_EVENTS: Final = """
INSERT INTO events (job, attempt, at, kind, task, state, message)
SELECT id, 1, ended, CASE WHEN n.i % 2 = 0 THEN 'task' ELSE 'log' END, 'step', 'success', 'said'
FROM seeds, (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS n WHERE seeds.i % 30 = 0
"""

_POSTINGS: Final = """
INSERT INTO postings (uuid, board, name, job, priority, details, created_at, modified_at)
SELECT posting, '{board}', flow, id, i % 5, '{{}}', at, at
FROM seeds WHERE posting IS NOT NULL ORDER BY i
"""

_BOOKS: Final = """
INSERT INTO logbooks (created_at, updated_at, meta, name, uuid)
SELECT CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, '{{}}', job, uuid FROM books
"""

_FLOWS: Final = """
INSERT INTO flowdetails (created_at, updated_at, parent_uuid, meta, state, name, uuid)
SELECT CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, uuid, '{{}}', 'SUCCESS', 'f', {uuid} FROM books
"""

_ATOMS: Final = """
INSERT INTO atomdetails (created_at, updated_at, meta, parent_uuid, name, version, uuid, state, intention,
    atom_type)
SELECT CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, '{{}}', uuid, 'step', '[1,0]', {uuid}, 'SUCCESS', 'EXECUTE',
    'TASK_DETAIL'
FROM flowdetails
"""


def _put_books(connection: sa.Connection) -> None:
    """Which logbooks there are: one for every fifth job."""
    connection.exec_driver_sql("CREATE TEMPORARY TABLE books (job text, uuid text)")
    jobs = list(_execute(connection, "SELECT id FROM seeds WHERE i % 5 = 0 ORDER BY i").scalars())
    _copy(connection, "books", ((job, logbook_of(job)) for job in jobs))


def _copy(connection: sa.Connection, table: str, rows: Iterable[tuple[str, str]]) -> None:
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        driver.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows)
        return
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    lines.seek(0)
    with driver.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", lines)


@contextmanager
def _without_indexes(connection: sa.Connection) -> Iterator[None]:
    """To make an index of rows that are there takes a fraction of the time that it takes to keep one."""
    tables = ", ".join(f"'{table}'" for table in _TABLES)
    sizes: list[Any] = []  # what SQLite believes them to hold, which it forgets with them
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA cache_size = -262144")
        sizes = [tuple(row) for row in connection.exec_driver_sql("SELECT tbl, idx, stat FROM sqlite_stat1")]
        query = (
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name IN ({tables})"
        )
    else:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no foreign keys are checked
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '256MB'")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        query = f"""
            SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ({tables})
            AND indexname NOT IN (SELECT conname FROM pg_constraint)"""
    indexes = connection.exec_driver_sql(query).all()
    for name, _definition in indexes:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    yield
    for _name, definition in indexes:
        _execute(connection, definition)
    if sizes:
        connection.exec_driver_sql("DELETE FROM sqlite_stat1")
        connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", sizes)
        connection.exec_driver_sql("ANALYZE sqlite_master")  # reads them


def _execute(connection: sa.Connection, statement: str) -> sa.CursorResult[Any]:
    return connection.exec_driver_sql(
        statement.replace("%", "%%") if connection.dialect.name == "postgresql" else statement
    )


def _analyze(database: Database) -> None:
    if database.dialect == "sqlite":
        return
    with database.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.autocommit = True
        with driver.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # as autovacuum leaves it
        driver.autocommit = False
