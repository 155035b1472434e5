"""Access tokens of the HTTP API: who may do what, until when.

A token's text is `cmd_<id>_<secret>`; it is shown once, and only its SHA-256 is stored. The secret has 256 random
bits, so that a slow hash would protect nothing more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.errors import NoSuchToken
from jobboard.ids import ALPHABET
from jobboard.schema import Row, tokens

_PREFIX: Final = "cmd"
_ID_LENGTH: Final = 10
_SECRET_BYTES: Final = 32
_NOBODYS: Final = "0" * 64


class Role(IntEnum):
    """What a token allows; each role allows what those before it do."""

    READ = 1
    POST = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Token:
    """A token as it is stored: all but its secret."""

    id: str
    name: str  # what it is for; who did something with it, as the history tells
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None  # None: never
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at that moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create(
    database: Database, name: str | None, role: Role, *, by: str, expires_s: float | None = None
) -> tuple[Token, str]:
    """A new token, and its text, which cannot be had again. Without a name it has that of its role and id.

    Raises `Unreachable`.
    """
    now = database.now()
    own = "".join(secrets.choice(ALPHABET) for _ in range(_ID_LENGTH))
    token = Token(
        id=own,
        name=name or f"{role}-{own}",
        role=role,
        created_at=now,
        created_by=by,
        expires_at=None if expires_s is None else now + timedelta(seconds=expires_s),
        revoked_at=None,
    )
    text = f"{_PREFIX}_{token.id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    row = {**vars(token), "role": str(role), "digest": _digest(text)}
    with database.write() as connection:
        connection.execute(sa.insert(tokens).values(row))
    return token, text


def find(database: Database, text: str) -> Token | None:
    """The token with this text, if it is valid now. Takes as long for a wrong secret as for the right one."""
    prefix, _, rest = text.partition("_")
    with database.read() as connection:
        query = sa.select(tokens).where(tokens.c.id == rest.partition("_")[0][:_ID_LENGTH])
        row = connection.execute(query).mappings().first()
    same = hmac.compare_digest(_digest(text), row["digest"] if row else _NOBODYS)
    if row is None or not same or prefix != _PREFIX:
        return None
    token = _token(row)
    return token if token.is_valid(database.now()) else None


def revoke(database: Database, token: str) -> Token:
    """Let it open nothing any more. Once revoked, it stays so. Raises `NoSuchToken`, `Unreachable`."""
    own = tokens.c.id == token
    with database.write() as connection:
        fresh = sa.and_(own, tokens.c.revoked_at.is_(None))
        connection.execute(sa.update(tokens).where(fresh).values(revoked_at=database.now()))
        row = connection.execute(sa.select(tokens).where(own)).mappings().first()
    if row is None:
        raise NoSuchToken(token)
    return _token(row)


def list_tokens(database: Database) -> list[Token]:
    """All tokens, the newest first; also those that are not valid any more."""
    with database.read() as connection:
        rows = connection.execute(sa.select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id)).mappings()
        return [_token(row) for row in rows]


def _token(row: Row) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        role=Role[row["role"].upper()],
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
