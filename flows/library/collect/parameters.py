"""What is asked of the parameters of `collect`, beside their types. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, HttpUrl, ValidationInfo
from pydantic_core import PydanticCustomError

Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9^][A-Za-z0-9^=._-]{0,31}$")]

_USE: Final = "use sqlite:///FILE or postgresql://USER@HOST/NAME"


def comma_separated(given: object) -> object:
    """A list as a person types it."""
    return [word.strip() for word in given.split(",")] if isinstance(given, str) else given


def each_once(symbols: list[str]) -> list[str]:
    """Refuse symbols that come more than once."""
    twice = [symbol for symbol, count in Counter(symbols).items() if count > 1]
    if twice:
        raise _refused(f"more than once: {', '.join(twice[:10])}")
    return symbols


def not_before_since(until: date, info: ValidationInfo) -> date:
    """Refuse a last day before the first."""
    since = info.data.get("since", until)
    if until < since:
        raise _refused(f"is before since, {since}")
    return until


def base_url(url: HttpUrl) -> HttpUrl:
    """Refuse what no symbol can be put behind, and a password, which everyone would see."""
    if url.query or url.fragment:
        raise _refused("leave away what follows ? or #: the symbol, from, to and format are put behind it")
    if url.username or url.password:
        raise _refused("leave away user and password: give token=env:NAME")
    return url


def database_url(text: str) -> str:
    """Refuse what is no database that a job can come back to, and a password, which everyone would see.

    A relative path is meant from where the job is posted, not from where it runs.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _refused(f"is no address of a database: {_USE}") from None
    if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg2"):
        raise _refused(f"is of the kind {url.drivername}: {_USE}")
    if url.password or "password" in url.query:
        raise _refused("leave away the password: give password=env:NAME")
    if url.drivername == "sqlite":
        if not url.database or url.query or url.database.startswith((":", "file:")):
            raise _refused("has to be a file: use sqlite:///FILE")
        url = url.set(database=str(Path(url.database).absolute()))
    return url.render_as_string()


def _refused(said: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{said}", {"said": said})
