"""What TaskFlow's tables hold of an attempt, looked at before an engine relies on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from taskflow import exceptions, states
from taskflow.types.failure import Failure

from jobboard.errors import JobboardError
from jobboard.models import Task
from jobboard.persistence import Persistence

_BOTH: Final = (None, states.PENDING, states.RUNNING, states.SUCCESS, states.FAILURE, states.REVERTED)
_OF_FLOWS: Final = frozenset({*_BOTH, states.RESUMING, states.SUSPENDING, states.SUSPENDED, states.REVERTING})
_OF_ATOMS: Final = frozenset({*_BOTH, states.IGNORE, states.RETRYING, states.REVERTING, states.REVERT_FAILURE})


class MalformedDetail(JobboardError):
    """TaskFlow's tables have lost, or hold broken, what an attempt needs to go on or to be reverted."""


def stored_detail(persistence: Persistence, uuid: str, tasks: Iterable[Task]) -> Any:
    """The flow detail with this uuid. `tasks` are those of the record: each that began must be in it.

    Raises `MalformedDetail`, and `StorageFailure` when the database does not answer.
    """
    try:
        detail = persistence.get_connection().get_flow_details(uuid)
    except exceptions.StorageFailure:
        raise
    except exceptions.NotFound:
        raise MalformedDetail(f"TaskFlow's flow detail {uuid} is gone") from None
    except Exception as error:  # whatever TaskFlow's models raise for what is no JSON, or of the wrong shape
        raise MalformedDetail(f"TaskFlow's flow detail {uuid} is malformed: {error}") from error
    if detail.state not in _OF_FLOWS or not isinstance(detail.meta, dict | None):
        raise MalformedDetail(f"TaskFlow's flow detail {uuid} is malformed: its state is {detail.state!r}")
    wrong = [str(atom.name) for atom in detail if not _is_sound(atom)]
    known = {atom.name for atom in detail}
    wrong += [task.name for task in tasks if task.state != "pending" and task.name not in known]
    if wrong:
        raise MalformedDetail(f"TaskFlow's flow detail {uuid} lacks, or holds malformed: {', '.join(wrong)}")
    return detail


def _is_sound(atom: Any) -> bool:
    failures = (atom.failure, atom.revert_failure)
    return (
        isinstance(atom.name, str)
        and atom.state in _OF_ATOMS
        and atom.intention in (None, *states.INTENTIONS)
        and isinstance(atom.meta, dict | None)
        and all(isinstance(failure, Failure | None) for failure in failures)
    )
