"""What can go wrong in `process_files`, beside an `OSError`.

ProcessFilesError
├── Unusable       the source or the target cannot be used
├── Busy           another job is writing to the target
├── Changed        a file changed or vanished while the job ran
├── Damaged        the archive, read back, is not what was put in
└── CannotRestore  a revert misses what it has to put back
"""

from __future__ import annotations


class ProcessFilesError(Exception):
    """Base of the errors of this flow."""


class Unusable(ProcessFilesError):
    """The source or the target cannot be used. Nothing was made yet."""


class Busy(ProcessFilesError):
    """Another job is writing to the target. Nothing was made yet."""


class Changed(ProcessFilesError):
    """A file changed or vanished while the job ran: what was packed would be neither the old nor the new."""


class Damaged(ProcessFilesError):
    """The archive, read back, is not what was put in."""


class CannotRestore(ProcessFilesError):
    """A revert misses what it has to put back."""
