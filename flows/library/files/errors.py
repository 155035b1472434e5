"""What can go wrong in flows that make files, beside an `OSError`.

FilesError
├── Unusable       a source or a target cannot be used
├── Busy           another job is writing to the target
├── Changed        a file changed or vanished while the job ran
├── Damaged        what was made or fetched is not what it should be
├── TooLarge       it is more than is allowed
└── CannotRestore  a revert misses what it has to put back
"""

from __future__ import annotations


class FilesError(Exception):
    """Base of these errors."""


class Unusable(FilesError):
    """A source or a target cannot be used. Nothing was made yet."""


class Busy(FilesError):
    """Another job is writing to the target. Nothing was made yet."""


class Changed(FilesError):
    """A file changed or vanished while the job ran: what was made of it would be neither the old nor the new."""


class Damaged(FilesError):
    """What was made or fetched, read back, is not what it should be."""


class TooLarge(FilesError):
    """What comes, or is made, is more than is allowed."""


class CannotRestore(FilesError):
    """A revert misses what it has to put back."""
