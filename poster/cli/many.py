"""Commands over many jobs: one result each, in the order given; a bad id does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobboard.errors import JobboardError, Refused, Unreachable
from poster.cli import exit_codes, words
from poster.cli.failures import code_of
from poster.cli.output import GAP, Output, say

if TYPE_CHECKING:
    from jobboard.models import Job
    from poster.client import Client


@dataclass(frozen=True)
class Result:
    """What became of one job."""

    id: str  # as it was given, if it is no job's
    code: int
    state: str | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Done as asked."""
        return self.code == exit_codes.DONE

    @property
    def document(self) -> dict[str, Any]:
        """It as JSON."""
        return {"id": self.id, "ok": self.ok, "state": self.state, "error": self.error}


def accepted(job: Job) -> Result:
    """A request that was accepted."""
    return Result(job.id, exit_codes.DONE, str(job.state))


def answered(given: str, answer: Job | JobboardError) -> Result:
    """What became of one of many requests that were made at once."""
    return refused(given, answer) if isinstance(answer, JobboardError) else accepted(answer)


def ended(job: Job, code: int) -> Result:
    """A job that was awaited. What did not end as wished says why."""
    error = None if code == exit_codes.DONE else (words.end_of(job) or f"it ended {job.state}")
    return Result(job.id, code, str(job.state), error)


def refused(given: str, error: JobboardError) -> Result:
    """A request that was not accepted."""
    code = code_of(error) or exit_codes.UNREACHABLE
    if isinstance(error, Refused):
        return Result(error.job, code, error.state, str(error))
    return Result(given, code, error=str(error))


def on_each(client: Client, given: Iterable[str], act: Callable[[str], Job | None]) -> Iterator[Result]:
    """`act` on the id of each of `given` (ids or unique prefixes); what it gives None for is gone.

    Once the database cannot be reached it is not asked again: the rest has that error too.
    """
    away: Unreachable | None = None
    for one in given:
        try:
            if away is not None:
                raise away
            found = client.resolve(one)
            job = act(found)
            yield accepted(job) if job is not None else Result(found, exit_codes.DONE, "deleted")
        except JobboardError as error:
            away = error if isinstance(error, Unreachable) else away
            yield refused(one, error)


def told(out: Output, results: Iterable[Result]) -> list[Result]:
    """The results, each told as it comes: what was accepted on standard output, what was not on standard error."""
    kept: list[Result] = []
    said: set[str] = set()
    for result in results:
        kept.append(result)
        if result.error is None:
            tell(out, result)
        elif result.error not in said:
            said.add(result.error)
            say(result.error)
    return kept


def tell(out: Output, result: Result) -> None:
    """A result as a line, unless JSON is wanted: that comes as one document in the end."""
    if not out.json:
        out.line(result.id, GAP, out.state(result.state or ""), GAP, result.error or "")


def finish(out: Output, results: Sequence[Result]) -> int:
    """The JSON document, if it is wanted, and the exit code."""
    if out.json:
        out.document([result.document for result in results])
    return exit_codes.worst(result.code for result in results)
