"""What an error means for who typed the command: an exit code, and a message."""

from __future__ import annotations

import sys
from typing import Final

from jobboard import errors as jobboard_errors
from poster import errors as poster_errors
from poster.cli import exit_codes

_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (jobboard_errors.NoSuchJob, exit_codes.NOT_FOUND),
    (jobboard_errors.NoSuchToken, exit_codes.NOT_FOUND),
    (jobboard_errors.AmbiguousJob, exit_codes.WRONG_USAGE),
    (jobboard_errors.Refused, exit_codes.REFUSED),
    (jobboard_errors.InvalidPost, exit_codes.WRONG_USAGE),
    (jobboard_errors.SettingError, exit_codes.WRONG_USAGE),
    (jobboard_errors.Unreachable, exit_codes.UNREACHABLE),
    (jobboard_errors.DatabaseTooNew, exit_codes.UNREACHABLE),
    (poster_errors.WaitTimedOut, exit_codes.WAIT_TIMED_OUT),
    (poster_errors.NoSuchFlowOrJob, exit_codes.NOT_FOUND),
    (poster_errors.PosterError, exit_codes.WRONG_USAGE),
)


def code_of(error: BaseException) -> int | None:
    """The exit code for an error that is the user's or a server's; None for one that is ours."""
    if isinstance(error, poster_errors.InvalidJobs):
        return exit_codes.worst(code_of(one.error) or exit_codes.WRONG_USAGE for one in error.malformed)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return _code_of_flows(error)


def _code_of_flows(error: BaseException) -> int | None:
    # Not imported for this: it would cost half a second, and what was never imported was never raised.
    flows_errors = sys.modules.get("flows.errors")
    if flows_errors is None or not isinstance(error, flows_errors.FlowsError):
        return None
    return exit_codes.NOT_FOUND if isinstance(error, flows_errors.NoSuchFlow) else exit_codes.WRONG_USAGE
