"""Access tokens against real databases: what they open, for how long, and what of them is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa

from jobboard import tokens
from jobboard.database import Database, open_database
from jobboard.errors import NoSuchToken
from jobboard.schema import tokens as table
from jobboard.tokens import Role, Token
from poster.cli import token as commands
from poster.durations import LONGEST_S
from tests.integration.commands import PosterHere


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_database(database_url)) as database:
        yield database


@pytest.fixture
def poster(database_url: str) -> PosterHere:
    return PosterHere(database_url)


def create(database: Database, *, expires_s: float | None = None) -> tuple[Token, str]:
    return tokens.create(database, "nightly", Role.POST, by="ann", expires_s=expires_s)


def test_one_is_found_by_its_text(database):
    made, text = create(database)
    assert tokens.find(database, text) == made
    assert (made.name, made.role, made.created_by) == ("nightly", Role.POST, "ann")


def test_nothing_else_finds_one(database):
    _made, text = create(database)
    prefix, own, secret = text.split("_", 2)
    other = "A" if secret[-1] != "A" else "B"
    strange = [
        "",
        "_",
        text[:-1],
        text + "x",
        text[:-1] + other,
        f"{prefix}_{own}_",
        own,
        secret,
        f"x_{own}_{secret}",
    ]
    strange += [text.upper(), f"{prefix}__{secret}", f" {text}", f"{text}\n", "\0", "é" * 300, "x" * 10_000]
    assert [tokens.find(database, one) for one in strange] == [None] * len(strange)


def test_the_secret_of_one_does_not_open_another(database):
    (_one, text), (other, _text) = create(database), create(database)
    _prefix, _id, secret = text.split("_", 2)
    assert tokens.find(database, f"cmd_{other.id}_{secret}") is None


def test_only_a_digest_is_stored(database):
    _made, text = create(database)
    secret = text.split("_", 2)[2]
    with database.read() as connection:
        row = connection.execute(sa.select(table)).one()
    assert len(row.digest) == 64
    assert secret not in str(row)


def test_one_that_has_expired_opens_nothing(database):
    made, text = create(database, expires_s=3600)
    assert made.expires_at == made.created_at + timedelta(hours=1)
    assert made.is_valid(made.expires_at - timedelta(microseconds=1))
    assert not made.is_valid(made.expires_at)
    with database.write() as connection:
        connection.execute(sa.update(table).values(expires_at=database.now()))
    assert tokens.find(database, text) is None


def test_one_that_was_revoked_opens_nothing_and_stays_so(database):
    made, text = create(database)
    _other, still = create(database)
    first = tokens.revoke(database, made.id)
    assert tokens.find(database, text) is None
    assert tokens.find(database, still) is not None
    assert tokens.revoke(database, made.id) == first
    with pytest.raises(NoSuchToken, match="no such token: x"):
        tokens.revoke(database, "x")


def test_the_command_line(poster, database):
    made = poster("token", "create", "--role", "admin", "--name", "the lab", "--expires", "2h")
    assert made.code == 0
    (text,) = made.lines
    found = tokens.find(database, text)
    assert found is not None
    assert found.role is Role.ADMIN
    assert text not in made.err
    shown = poster("token", "list")
    assert found.id in shown.out
    assert "1h more" in shown.out
    revoked = poster("token", "revoke", found.id)
    assert (revoked.code, revoked.out) == (0, "")
    assert "revoked" in poster("token", "list").out
    assert tokens.find(database, text) is None


def test_the_command_line_in_json(poster):
    made = poster("token", "create", "--role", "read", "--name", "hall", "--json").json
    text = made.pop("token")
    assert text.startswith(f"cmd_{made['id']}_")
    assert made["expires_at"] is None
    assert poster("token", "list", "--json").json == [made]
    (revoked,) = poster("token", "revoke", made["id"], "--json").json
    assert revoked["revoked_at"] is not None


def test_what_is_refused(poster):
    assert poster("token", "revoke", "nobody").code == 3
    assert "`poster token list`" in poster("token", "revoke", "nobody").err
    assert poster("token", "create", "--role", "root", "--name", "x").code == 2
    assert poster("token", "create", "--role", "read", "--name", "a\nb").code == 2
    assert poster("token", "create", "--role", "read", "--name", "x" * 256).code == 2
    assert poster("token", "create", "--role", "read", "--name", "x", "--expires", "never").code == 2
    assert poster("token", "create", "--role", "read", "--name", "x", "--expires", f"{LONGEST_S * 2}").code == 2
    assert poster("token", "list").out == ""


def test_the_roles_of_the_command_line_are_those_that_there_are():
    assert [str(role) for role in Role] == list(commands._ROLES)
