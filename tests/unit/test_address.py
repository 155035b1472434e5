"""No address is shown with a password in it, however it was written."""

from __future__ import annotations

import pytest

from jobboard.address import without_password
from jobboard.database import create_engine
from jobboard.errors import SettingError
from jobboard.settings import read_settings

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:hunter2@host/name", "postgresql://me:********@host/name"),
        (
            "postgresql://me:hunter2@host/name?sslmode=require",
            "postgresql://me:********@host/name?sslmode=require",
        ),
        ("redis://:hunter2@host:1", "redis://:********@host:1"),
        ("zookeeper://me:hun@ter2@a:1,b:2/path", "zookeeper://me:********@a:1,b:2/path"),
        ("postgresql://me:hun/ter2:x@host/n", "postgresql://me:********@host/n"),
        ("postgresql://host/n?password=hunter2&a=b", "postgresql://host/n?password=********&a=b"),
        ("postgresql://host/n?a=b&sslpassword=hunter2", "postgresql://host/n?a=b&sslpassword=********"),
        ("zookeeper://host/p?keyfile_password=hunter2", "zookeeper://host/p?keyfile_password=********"),
        ("sqlite:////home/me/a.db", "sqlite:////home/me/a.db"),
        ("zookeeper://host:2181/path", "zookeeper://host:2181/path"),
    ],
)
def test_only_the_password_is_replaced(address: str, shown: str):
    assert without_password(address) == shown


@pytest.mark.parametrize(
    "url", ["zookeper://me:hunter2@host:1/p", "memcached://:hunter2@host:1", "sql://a:hunter2@b"]
)
def test_a_jobboard_that_is_none_is_named_without_it(url: str):
    with pytest.raises(SettingError) as error:
        read_settings({"COUNTERMAND_JOBBOARD_URL": url})
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/n",
        "postgresql://me:hunter2@host:port/n",
        "postgresql://me:x/hunter2@host:port/n",
    ],
)
def test_a_database_that_is_none_is_named_without_it(url: str):
    with pytest.raises(SettingError) as error:
        create_engine(url)
    assert SECRET not in str(error.value)


def test_the_address_of_a_database_is_shown_without_it():
    from jobboard.database import Database

    database = Database(create_engine("postgresql://me:hunter2@host/n?sslpassword=hunter2&password=hunter2"))
    assert SECRET not in database.address
    assert "host/n" in database.address


def test_no_statement_is_logged_with_what_is_stored(sqlite_url, caplog):
    import sqlalchemy as sa

    from jobboard.database import open_database

    caplog.set_level("DEBUG", "sqlalchemy")
    database = open_database(sqlite_url)
    with pytest.raises(sa.exc.IntegrityError) as error, database.write() as connection:
        connection.execute(sa.text("INSERT INTO jobs (id, flow) VALUES (:id, :flow)"), {"id": SECRET, "flow": "f"})
    database.close()
    assert "INSERT INTO jobs" in caplog.text
    assert SECRET not in caplog.text + str(error.value)
