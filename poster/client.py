"""`Client`: the one service behind the command line, the HTTP API and the page; each of them only translates."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from jobboard import removal, tokens
from jobboard.address import MASK
from jobboard.errors import NoSuchJob, Refused, Unreachable
from jobboard.models import Job, NewJob
from jobboard.records import Answer, Posted
from jobboard.states import State
from jobboard.tokens import Role, Token
from poster.errors import InvalidJobs, Malformed
from poster.patience import patiently
from poster.post_request import PostRequest, check_name, check_reason, new_job, stored_arguments
from poster.watcher import Watcher

LOG = logging.getLogger(__name__)


class Client(Watcher):
    """What one can ask of Countermand: what can be read, what can be waited for, and what changes something.

    Thread-safe. The flows are loaded and the database is opened when first needed: `flows` needs no database,
    `list` no flows. What needs the database raises `Unreachable`, `DatabaseTooNew` or `SettingError` if there is
    none that can be used; what needs the flows raises `FlowsNotFound` or `InvalidFlow`.
    """

    # Posting

    def post(self, request: PostRequest) -> str:
        """Post a job; its id. A key that a job has which has not ended gives that job's id.

        Raises `NoSuchFlow`, `InvalidArguments`, `KeyInUse`; nothing is stored then.
        """
        return self.post_once(request).id

    def post_once(self, request: PostRequest) -> Posted:
        """The same, and whether the key gave an earlier job back."""
        new = new_job(self.flow(request.flow), request, self.settings, self._now)
        return self._records.post([new], by=self.by)[0]

    def post_many(
        self, requests: Sequence[PostRequest], malformed: Iterable[Malformed] = ()
    ) -> builtins.list[Posted]:
        """Post jobs, all or none.

        `malformed` are those that could not even be read. Raises `InvalidJobs`, which names each job that
        cannot be posted by its line and says all that is wrong with it, and `KeyInUse`.
        """
        wrong = list(malformed)
        new: list[NewJob] = []
        for number, request in enumerate(requests, start=1):
            checked = self._checked(request)
            if isinstance(checked, NewJob):
                new.append(checked)
            else:
                wrong.append(Malformed(request.line or number, checked))
        if wrong:
            raise InvalidJobs(wrong)
        return self._records.post(new, by=self.by) if new else []

    def _checked(self, request: PostRequest) -> NewJob | Exception:
        from flows.errors import InvalidArguments, NoSuchFlow

        try:
            return new_job(self.flow(request.flow), request, self.settings, self._now)
        except (NoSuchFlow, InvalidArguments) as error:
            return error

    def _now(self) -> datetime:
        return self.database.now()

    # Requests

    def cancel(self, job: str, reason: str | None = None) -> Job:
        """Accept a cancel, durably, and give the job as it then stands.

        Raises `NoSuchJob`, and `Refused` when it is too late. When the database's answer is lost the record is
        read until it is known; `Unreachable` says whether that could not be found out.
        """
        check_reason(reason)
        before = self.database.now()
        try:
            return self._records.cancel(job, by=self.by, reason=reason)
        except Unreachable as error:
            LOG.info("job %s: the answer to the cancel is lost, asking again: %s", job, error)
        try:
            return patiently(partial(self._cancel_again, job, reason, before))
        except Unreachable as error:
            raise Unreachable(
                f"{error}; job {job}: its cancel may have been accepted, `poster show` tells"
            ) from error

    def _cancel_again(self, job: str, reason: str | None, before: datetime) -> Job:
        found = self._records.get(job)
        ours = found.cancel is not None and found.cancel.by == self.by
        if ours and found.cancel and found.cancel.requested_at >= before - timedelta(seconds=1):
            return found
        return self._records.cancel(job, by=self.by, reason=reason)

    def cancel_many(self, jobs: Sequence[str], reason: str | None = None) -> builtins.list[Answer]:
        """Cancel jobs: for each, in their order, the job as it then stands, or why it cannot be cancelled.

        Durable, like `cancel`; one that is refused stops no other. Raises `Unreachable`.
        """
        check_reason(reason)
        before = self.database.now()
        try:
            return self._records.cancel_many(jobs, by=self.by, reason=reason)
        except Unreachable as error:
            LOG.info("the answer to a cancel of %d jobs is lost, asking again: %s", len(jobs), error)
        return [patiently(partial(self._answered_again, job, reason, before)) for job in jobs]

    def _answered_again(self, job: str, reason: str | None, before: datetime) -> Answer:
        try:
            return self._cancel_again(job, reason, before)
        except (NoSuchJob, Refused) as error:
            return error

    def retry(self, job: str, changes: Mapping[str, Any] | None = None) -> Job:
        """Begin a new attempt of a failed or cancelled job; one that kept its results goes on at the failed task.

        `changes` are arguments that the new attempt has others of. Raises `NoSuchJob`, `Refused`, and with
        changes `NoSuchFlow`, `InvalidArguments`; nothing is changed then.
        """
        if not changes:
            self._check_structure(job)
            return self._records.retry(job, by=self.by)
        flow, arguments = self._records.arguments(job)
        spec = self.flow(flow)
        stored = stored_arguments(spec, {**arguments, **changes}, self.settings)
        shown = {name: MASK if name in spec.secrets else stored[name] for name in changes}
        return self._records.retry(job, by=self.by, arguments=stored, changed=shown)

    def _check_structure(self, job: str) -> None:
        """Refuse to let an attempt go on whose flow has another structure now: its tasks cannot be matched."""
        found = self._records.get(job)
        goes_on = found.state is State.PAUSED or (found.state is State.FAILED and found.kept)
        stored = self._records.fingerprint(job) if goes_on else None
        if stored is None or found.flow not in self.registry:
            return
        from poster.flow_change import fingerprint_of

        now = fingerprint_of(self.flow(found.flow), self._records.arguments(job)[1])
        if now is not None and now != stored:
            raise Refused(
                job,
                found.state,
                f"the structure of flow {found.flow} has changed since this attempt began: "
                "bring the old one back where conductors run, then resume, retry or cancel it",
            )

    def retry_many(self, jobs: Iterable[str]) -> builtins.list[Answer]:
        """Retry jobs: for each, in their order, the job as it then stands, or why it cannot be retried.

        One that is refused stops no other. When the database goes away, that is the answer for the rest.
        """
        answers: builtins.list[Answer] = []
        away: Unreachable | None = None
        for job in jobs:
            try:
                answers.append(away or self.retry(job))
            except Unreachable as error:
                away = error
                answers.append(error)
            except (NoSuchJob, Refused) as error:
                answers.append(error)
        return answers

    def cleanup(self, job: str) -> Job:
        """Have reverts that failed run again, then those that never ran. Raises `NoSuchJob`, `Refused`."""
        return self._records.cleanup(job, by=self.by)

    def force_retry(self, job: str, reason: str) -> Job:
        """Give the effects of reverts that failed up, and begin a new attempt. Raises `NoSuchJob`, `Refused`."""
        check_reason(reason)
        return self._records.force(job, by=self.by, reason=reason)

    def pause(self, job: str) -> Job:
        """Stop a job between two tasks, and keep its results. Raises `NoSuchJob`, `Refused`."""
        return self._records.pause(job, by=self.by)

    def resume(self, job: str) -> Job:
        """Let a paused job go on at its next task. Raises `NoSuchJob`, and `Refused`, also if its flow changed."""
        self._check_structure(job)
        return self._records.resume(job, by=self.by)

    def delete(self, job: str, reason: str | None = None, *, force: bool = False) -> Job | None:
        """Remove a job with its history; None when it is gone. One that runs is cancelled first, and goes then.

        `force`: also one whose revert failed. Raises `NoSuchJob`, `Refused`.
        """
        check_reason(reason)
        return self._records.delete(job, by=self.by, reason=reason, force=force)

    def purge(self, older_than_s: float) -> int:
        """Remove the jobs that completed, failed or were cancelled so long ago; how many. Blocks until done."""
        return removal.purge(self.database, older_than_s)

    # Who may use the HTTP API

    def create_token(self, name: str | None, role: Role, expires_s: float | None = None) -> tuple[Token, str]:
        """A new token, and its text, which is nowhere to be had again. Raises `InvalidRequest`."""
        check_name("name", name)
        return tokens.create(self.database, name, role, by=self.by, expires_s=expires_s)

    def find_token(self, text: str) -> Token | None:
        """The token with this text, if it is valid now."""
        return tokens.find(self.database, text)

    def tokens(self) -> builtins.list[Token]:
        """All tokens, the newest first, also those that open nothing any more."""
        return tokens.list_tokens(self.database)

    def revoke_token(self, token: str) -> Token:
        """Let the token with this id open nothing any more. Raises `NoSuchToken`."""
        return tokens.revoke(self.database, token)
