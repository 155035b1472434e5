"""Jobs that have certain words: how they are looked for, and through how many one look goes."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from jobboard.database import to_json
from jobboard.ids import ALPHABET, ID_LENGTH
from jobboard.schema import jobs

LOOKED_THROUGH: Final = 10_000
"""Jobs in one look. No index knows what is inside of words, so a look costs by what it goes through."""

_LEAST_OF_AN_ID: Final = 4

_TEXTS: Final = (jobs.c.flow, jobs.c.key, jobs.c.reason, jobs.c.conductor)
_NO_SECRETS: Final = sa.cast(jobs.c.masked, sa.Text) == to_json([])


def having(words: str) -> sa.ColumnElement[bool]:
    """Whether a job's id begins so, or its flow, key, reason, conductor, error or arguments have it in them.

    Without regard to case; on SQLite, and in errors and arguments, that is so for ASCII only. Where an argument is
    a secret none is searched: who may search could find it out, letter by letter.
    """
    in_json = to_json(words)[1:-1]
    error, arguments = (
        sa.cast(column, sa.Text).icontains(in_json, autoescape=True) for column in (jobs.c.error, jobs.c.arguments)
    )
    return sa.or_(
        jobs.c.id.startswith(words.lower(), autoescape=True),
        *(column.icontains(words, autoescape=True) for column in _TEXTS),
        error,
        sa.and_(_NO_SECRETS, arguments),
    )


def named(words: str) -> sa.ColumnElement[bool] | None:
    """Whether a job's id begins so, which an index finds, however old it is; None if no id does."""
    beginning = words.lower()
    if not _LEAST_OF_AN_ID <= len(beginning) <= ID_LENGTH or not set(beginning) <= set(ALPHABET):
        return None
    return jobs.c.id.between(beginning, beginning.ljust(ID_LENGTH, "z"))
