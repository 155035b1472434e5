"""Who asks: a person or program that a token names, or whoever is on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from jobboard.tokens import Role

if TYPE_CHECKING:
    from jobboard.tokens import Token

COOKIE: Final = "countermand_token"


@dataclass(frozen=True)
class Who:
    """Who asks, and what they may."""

    name: str  # as histories tell it
    role: Role
    token: str | None = None  # the id of their token

    @classmethod
    def of(cls, token: Token) -> Who:
        """Who has this token."""
        return cls(token.name, token.role, token.id)


@dataclass(frozen=True)
class Credentials:
    """What a request shows."""

    token: str
    by_cookie: bool  # sent by a browser, whoever made the page that asks

    @classmethod
    def of(cls, headers: Headers) -> Credentials | None:
        """Those of a request; None if it shows none."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return cls(token.strip(), by_cookie=False)
        cookie = _cookie(headers.get("cookie", ""))
        return cls(cookie, by_cookie=True) if cookie else None


def _cookie(text: str) -> str | None:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None
