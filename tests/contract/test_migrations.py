"""How a database comes to its schema: from nothing, many at once, from a newer or a plain TaskFlow program's."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from taskflow.persistence import models
from taskflow.persistence.backends.impl_sqlalchemy import SQLAlchemyBackend

from jobboard import migrations, schema
from jobboard.database import Database, create_engine, open_database
from jobboard.errors import DatabaseTooNew
from tests.growth.examiner import GROWING
from tests.servers import PostgreSQL

ROOT = Path(__file__).parents[2]
TASKFLOW = {"logbooks", "flowdetails", "atomdetails"}
OURS = set(schema.metadata.tables)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    url = server.create_database()
    yield url
    server.drop_database(url)


def tables_of(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


# From nothing


def test_an_empty_database_gets_every_table(empty_url):
    with closing(open_database(empty_url)) as database:
        assert tables_of(database) >= OURS | TASKFLOW | {schema.VERSION_TABLE}


OPEN_TOGETHER = """
    import sys
    from jobboard.database import open_database
    print("ready", flush=True)
    sys.stdin.readline()
    open_database(sys.argv[1]).close()
"""


def test_many_processes_may_open_an_empty_database_at_once(empty_url):
    argv = [sys.executable, "-W", "error", "-c", textwrap.dedent(OPEN_TOGETHER), empty_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(argv, cwd=ROOT, **pipes) for _ in range(3)]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert said == [""] * 3
    assert [process.returncode for process in processes] == [0] * 3
    with closing(open_database(empty_url)) as database:
        assert tables_of(database) >= OURS | TASKFLOW


def test_threads_may_open_several_empty_databases_at_once(empty_url, tmp_path):
    urls = [empty_url, f"sqlite:///{tmp_path / 'other.db'}"] * 3
    together = threading.Barrier(len(urls))

    def open_one(url: str) -> set[str]:
        together.wait(10)
        with closing(open_database(url)) as database:
            return tables_of(database)

    with ThreadPoolExecutor(len(urls)) as threads:
        assert all(tables >= OURS | TASKFLOW for tables in threads.map(open_one, urls))


def test_opening_it_again_changes_nothing(database_url):
    with closing(open_database(database_url)) as database:
        before = read_shape(database)
    with closing(open_database(database_url)) as database:
        assert read_shape(database) == before


def test_taskflows_tables_have_the_indexes_that_taskflow_lacks(database_url):
    with closing(open_database(database_url)) as database, database.read() as connection:
        inspector = sa.inspect(connection)
        for table in ("flowdetails", "atomdetails"):
            indexed = [index["column_names"] for index in inspector.get_indexes(table)]
            assert ["parent_uuid"] in indexed


def test_sqlite_is_told_the_size_of_every_index_of_what_grows(tmp_path):
    with closing(open_database(f"sqlite:///{tmp_path}/new.db")) as database, database.read() as connection:
        indexes = connection.execute(sa.text("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"))
        made = {name for name, table in indexes if table in GROWING}
        told = connection.execute(sa.text("SELECT idx FROM sqlite_stat1")).scalars()
        assert set(told) == made


# The tables in code against the migrations


def migration_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def test_the_version_in_code_is_the_newest_migration():
    assert ScriptDirectory.from_config(migration_config()).get_heads() == [schema.VERSION]


def test_versions_sort_as_they_follow_each_other():
    newest_first = [script.revision for script in ScriptDirectory.from_config(migration_config()).walk_revisions()]
    assert newest_first == sorted(newest_first, reverse=True)


def test_alembic_finds_no_difference(database_url):
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "version_table": schema.VERSION_TABLE,
        "include_object": lambda _thing, name, kind, *_rest: kind != "table" or name in OURS,
    }
    with closing(open_database(database_url)) as database, database.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []


def read_shape(database: Database) -> list[Any]:
    """Our tables as the database itself describes them: columns, keys, indexes and their conditions."""
    with database.read() as connection:
        rows = [tuple(row) for query in SHAPES[database.dialect] for row in connection.exec_driver_sql(query)]
    return sorted((table, name, _plain(said)) for table, name, said in rows if table in OURS)


SHAPES = {
    "sqlite": ["SELECT tbl_name, name, sql FROM sqlite_master"],
    "postgresql": [
        "SELECT tablename, indexname, indexdef FROM pg_indexes",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint",
        """SELECT table_name, column_name, concat_ws(' ', data_type, character_maximum_length, is_nullable,
           column_default, ordinal_position) FROM information_schema.columns""",
    ],
}


def _plain(sql: str | None) -> str:
    """SQL without what alembic and SQLAlchemy lay out differently."""
    return re.sub(r"\s+", " ", (sql or "").replace('"', "")).replace("( ", "(").replace(" )", ")")


def test_the_migrations_make_what_the_tables_in_code_would(database_url):
    with closing(open_database(database_url)) as database:
        migrated = read_shape(database)
        downgrade(database)
        with database.write() as connection:
            schema.metadata.create_all(connection)
        assert migrated == read_shape(database)
    assert len(migrated) > 15


# Forth and back


def downgrade(database: Database) -> None:
    config = migration_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")


def test_down_to_nothing_and_up_again(database_url):
    with closing(open_database(database_url)) as database:
        before = read_shape(database)
        downgrade(database)
        assert tables_of(database).isdisjoint(OURS)
        assert tables_of(database) >= TASKFLOW
    with closing(open_database(database_url)) as database:
        assert read_shape(database) == before


def test_the_database_of_a_newer_program_is_refused(database_url):
    with closing(open_database(database_url)) as database, database.write() as connection:
        connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    said = f"the database has schema 9999, this program knows {schema.VERSION}: upgrade countermand here"
    with pytest.raises(DatabaseTooNew, match=re.escape(said)):
        open_database(database_url)


def test_a_migration_that_fails_leaves_nothing_behind(empty_url):
    with closing(Database(create_engine(empty_url))) as database:
        with database.write() as connection:
            connection.execute(sa.text("CREATE TABLE postings (mine text)"))
        with pytest.raises(Exception, match="already exists"):
            open_database(empty_url)
        assert tables_of(database).isdisjoint(OURS - {"postings"})
        with database.write() as connection:
            connection.execute(sa.text("DROP TABLE postings"))
    with closing(open_database(empty_url)) as database:
        assert tables_of(database) >= OURS | TASKFLOW


# Beside a plain TaskFlow program


def test_a_database_that_taskflow_has_used_keeps_its_books(empty_url):
    stock = SQLAlchemyBackend({"connection": empty_url})
    with closing(stock), closing(stock.get_connection()) as connection:
        connection.upgrade()
        book = connection.save_logbook(models.LogBook("book"))
        with closing(open_database(empty_url)) as database:
            assert tables_of(database) >= OURS
        assert connection.get_logbook(book.uuid).name == "book"


def test_a_plain_taskflow_program_may_bring_our_database_up_to_date(database_url):
    with closing(open_database(database_url)) as database:
        before = read_shape(database)
        stock = SQLAlchemyBackend({"connection": database_url})
        with closing(stock), closing(stock.get_connection()) as connection:
            connection.upgrade()
            connection.validate()
        assert read_shape(database) == before
