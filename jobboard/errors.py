"""What can go wrong between a request and the stored truth.

JobboardError
├── SettingError          a setting or address has no usable value
├── NoSuchJob             no record has this id
├── AmbiguousJob          a prefix fits several records
├── NoSuchToken           no access token has this id
├── Refused               the job's state does not allow it
│   ├── KeyInUse          the key belongs to a job of another flow or other arguments
│   └── MalformedRecord   what is stored of the job makes no sense
├── InvalidPost           a job could not be stored as asked
├── Fenced                the claim has passed to another conductor
├── Unreachable           the database or the board does not answer
└── DatabaseTooNew        a newer program has changed the schema
"""

from __future__ import annotations


class JobboardError(Exception):
    """Base of all errors of this package."""


class SettingError(JobboardError):
    """A setting has no usable value. The message names the setting and what it wants."""


class NoSuchJob(JobboardError):
    """No record has this id."""

    def __init__(self, job: str, why: str = "`poster list` shows the newest") -> None:
        super().__init__(f"no such job: {job} ({why})")
        self.job = job


class AmbiguousJob(JobboardError):
    """A prefix fits several records."""

    def __init__(self, prefix: str, jobs: list[str]) -> None:
        super().__init__(f"{prefix} fits several jobs: {', '.join(jobs)}: give more of the id")
        self.jobs = jobs


class NoSuchToken(JobboardError):
    """No access token has this id."""

    def __init__(self, token: str) -> None:
        super().__init__(f"no such token: {token} (`poster token list` shows all)")
        self.token = token


class Refused(JobboardError):
    """The job's state does not allow the request. The message says which state, and what to do."""

    def __init__(self, job: str, state: str, why: str) -> None:
        super().__init__(f"job {job}: {why}")
        self.job = job
        self.state = state
        self.why = why


class KeyInUse(Refused):
    """The key belongs to a job of another flow or with other arguments that has not ended."""


class MalformedRecord(Refused):
    """What is stored of the job makes no sense. The message names what, and what to do about it."""

    def __init__(self, job: str, state: object, faults: str) -> None:
        super().__init__(
            job,
            str(state),
            f"its record is malformed: {faults}: mend it in the database, or remove it with "
            f"`poster delete {job} --force --reason T`",
        )
        self.faults = faults


class InvalidPost(JobboardError):
    """A job could not be stored as asked. The message names what and why."""


class Fenced(JobboardError):
    """The claim has passed on: another may hold the job, and nothing was written.

    Not a `StorageFailure` nor an SQLAlchemy error: TaskFlow tries those again.
    """

    def __init__(self, job: str, epoch: int | None = None) -> None:
        claim = "its claim" if epoch is None else f"claim of epoch {epoch}"
        super().__init__(f"job {job}: {claim} is stale, another conductor took the job over")
        self.job = job
        self.epoch = epoch


class Unreachable(JobboardError):
    """A server does not answer. The message names it without its password."""


class DatabaseTooNew(JobboardError):
    """The database's schema is newer than this program: upgrade the program."""
