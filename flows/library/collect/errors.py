"""What can go wrong in `collect`, beside what can in all flows that ask a server.

CollectError
├── BadRows           an answer of the source, or rows in it, are not what they should be
├── NothingCollected  not one symbol could be had
├── Unusable          the database or the table cannot be used
├── Superseded        the run was undone by another conductor
└── CannotRestore     a revert misses what it has to put back
"""

from __future__ import annotations


class CollectError(Exception):
    """Base of these errors."""


class BadRows(CollectError):
    """An answer of the source, or rows in it, are not what they should be."""


class NothingCollected(CollectError):
    """Not one symbol could be had."""


class Unusable(CollectError):
    """The database or the table cannot be used."""


class Superseded(CollectError):
    """The run was undone, or is gone on with, by another conductor: this one must write nothing more."""


class CannotRestore(CollectError):
    """A revert misses what it has to put back."""
