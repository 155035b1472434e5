"""The `etcd` board: TaskFlow's, with claims that live by one lease, and each change in one transaction."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import requests
from etcd3gw import exceptions as etcd_exceptions
from etcd3gw.client import Etcd3Client
from oslo_serialization import jsonutils
from requests.adapters import HTTPAdapter
from taskflow import exceptions as excp
from taskflow import states
from taskflow.jobs import base
from taskflow.jobs.backends.impl_etcd import EtcdJob, EtcdJobBoard
from taskflow.utils import misc

from jobboard.boards.etcd_options import EtcdOptions, parse_etcd_url
from jobboard.boards.etcd_transaction import (
    Entry,
    change,
    delete,
    delete_all,
    exists,
    fetch,
    fetch_all,
    has_value,
    put,
)
from jobboard.boards.iteration import place, why_no_posting
from jobboard.boards.leased import LeasedBoard, reason, request_s
from jobboard.boards.who import check_who

__all__ = ["EtcdBoard", "EtcdOptions", "build_client", "open_board", "parse_etcd_url"]

_CONNECTIONS: Final = 64  # that are kept; more are made when more threads ask at once
_NO_LEASE: Final = "requested lease not found"
_SILENCE: Final = (
    etcd_exceptions.ConnectionFailedError,
    etcd_exceptions.ConnectionTimeoutError,
    etcd_exceptions.InternalServerError,  # it may have no leader now
    requests.exceptions.RequestException,
)
_UNSENT: Final = ("Failed to establish a new connection", "connect timeout")


@dataclass(frozen=True)
class Sight:
    """What etcd has of one job at one moment."""

    data: Entry | None = None
    lock: Entry | None = None
    last_modified: Entry | None = None


def build_client(options: EtcdOptions) -> Etcd3Client:
    """A client that is not connected yet."""
    session = requests.Session()
    session.trust_env = False  # no proxy, and no password of another server that a file may hold
    session.verify = (options.ca or True) if options.verify_certs else False
    if options.certfile is not None and options.keyfile is not None:
        session.cert = (options.certfile, options.keyfile)
    session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    return Etcd3Client(
        host=options.host.strip("[]"),
        port=options.port,
        protocol="https" if options.use_ssl else "http",
        timeout=request_s(options.lease_s),
        session=session,
    )


def open_board(name: str, options: EtcdOptions, persistence: Any = None) -> EtcdBoard:
    """A board with keys and a client of its own; `connect` it, and `close` it in the end."""
    return EtcdBoard(name, options, persistence)


class PostedEtcdJob(EtcdJob):
    """TaskFlow's job, which asks once for what it wants to know."""

    @property
    def state(self) -> str:
        """UNCLAIMED, CLAIMED; COMPLETE once it has left the board. Raises `JobFailure`."""
        sight = self.board.look(self)
        state: str = states.CLAIMED if sight.lock else states.UNCLAIMED
        return state if sight.data else str(states.COMPLETE)

    @property
    def last_modified(self) -> datetime | None:
        """When it was posted, claimed or given back last; None once it has left the board."""
        sight = self.board.look(self)
        if sight.data is None:
            return None
        created_on: datetime = self.created_on
        return max(_modified_at(sight.last_modified) or created_on, created_on)


class EtcdBoard(LeasedBoard, EtcdJobBoard):
    """See `LeasedBoard`. It lives in `<path>/<name>/jobs`, with what is trashed and who is connected beside it.

    - All claims of a session hang on one lease of etcd's.
    - TaskFlow's board reads, then writes; here each change is one transaction with its condition.
    - Jobs of one priority are in the order in which etcd stored them; no number is kept for that.
    """

    _client: Any  # None when not connected

    def __init__(self, name: str, options: EtcdOptions, persistence: Any = None) -> None:
        super().__init__(name, {}, persistence)
        folder = f"{options.path}/{name}"
        self._root_path = f"{folder}/jobs"
        self._trash_path = f"{folder}/trash"
        self._entity_path = f"{folder}/entities"
        self.options: Final = options
        self.lease_s = options.lease_s
        self.address = options.address

    # Sessions

    def begin_session(self) -> str:
        """A lease of etcd's; it may last a little longer than ours."""
        with self._asking("beginning a session") as client:
            session = str(client.lease(math.ceil(self.lease_s)).id)
        if self._entity is not None:
            self._register(session, self._entity)
        return session

    def prolong_session(self, session: str) -> bool:
        """See `lease.Server`."""
        with self._asking("prolonging the session") as client:
            answer = client.post(client.get_url("/lease/keepalive"), json={"ID": session})
        if "result" not in answer:
            raise excp.JobFailure(f"prolonging the session: {self.address}: {answer.get('error')}")
        return "TTL" in answer["result"]

    def end_session(self, session: str) -> None:
        """See `lease.Server`."""
        with self._asking("ending the session") as client, _without_lease():
            client.post(client.get_url("/lease/revoke"), json={"ID": session})

    def _register(self, session: str, entity: Any) -> None:
        key = f"{self._entity_path}/{entity.kind}/{entity.name}"
        with self._asking("registering") as client, _without_lease():
            change(client, [], [put(key, jsonutils.dumps(entity.to_dict()), session)])

    # Jobs

    @property
    def job_count(self) -> int:
        """How many jobs are on the board, claimed ones too."""
        return len(self.postings(ensure_fresh=True))

    def postings(self, *, ensure_fresh: bool) -> list[tuple[PostedEtcdJob, bool]]:  # noqa: ARG002 - it always is
        """All jobs in order, and whether they are claimed."""
        with self._asking("reading its postings") as client:
            entries = change(client, [], [fetch_all(f"{self._root_path}/")]).found
        there = {entry.key for entry in entries}
        malformed: dict[str, str] = {}
        jobs: list[tuple[PostedEtcdJob, bool]] = []
        for entry in entries:
            if entry.key.endswith((self.LOCK_POSTFIX, self.LAST_MODIFIED_POSTFIX)):
                continue
            try:
                job = self._job_of(entry)
                jobs.append((job, job.key + self.LOCK_POSTFIX in there))
            except (ValueError, RecursionError) as error:
                malformed[entry.key] = str(error)
        self._note_malformed(malformed)
        return sorted(jobs, key=lambda found: place(found[0]))

    def look(self, job: EtcdJob) -> Sight:
        """What is there of it."""
        with self._asking(f"looking at job {job.uuid}") as client:
            return self._sight(job, change(client, [], [fetch_all(f"{job.key}.")]).found)

    def find_owner(self, job: EtcdJob) -> str | None:
        """Who has claimed it. `JobFailure` for a claim that cannot be read."""
        return self._owner(job, self.look(job))

    def consume(self, job: EtcdJob, who: str) -> None:
        """Take it off the board for good. `NotFound` if nobody has claimed it, `JobFailure` if another has."""
        self._end_claim(job, who, "consumed", [delete_all(f"{job.key}.")])
        self.notifier.notify(base.REMOVAL, {"job": job})

    def abandon(self, job: EtcdJob, who: str) -> None:
        """Give it back to be claimed again. Raises as `consume`."""
        self._end_claim(job, who, "abandoned", [delete(job.key + self.LOCK_POSTFIX), self._touch(job)])

    def trash(self, job: EtcdJob, who: str) -> None:
        """Take it off the board, but keep it in another place. Raises as `consume`."""
        check_who(who)
        data = self.look(job).data  # which never changes
        kept = [put(f"{self._trash_path}/{job.uuid}", data.value)] if data else []
        self._end_claim(job, who, "trashed", [*kept, delete_all(f"{job.key}.")])
        self.notifier.notify(base.REMOVAL, {"job": job})

    def _post(
        self, name: str, book: Any, details: dict[str, Any] | None, priority: base.JobPriority
    ) -> PostedEtcdJob:
        posting = base.format_posting(
            str(uuid.uuid4()), name, created_on=_now(), book=book, details=details, priority=priority
        )
        key = f"{self._root_path}/{posting['uuid']}{self.DATA_POSTFIX}"
        raw = jsonutils.dumps(posting)
        return self._job_from(posting, self._known(lambda: self._put(key, raw)), details=details, book=book)

    def _put(self, key: str, raw: str) -> int:
        """Store it, if it is not stored; its place among all that was ever stored."""
        with self._asking("posting") as client:
            stored = change(client, [exists(key, there=False)], [put(key, raw)], [fetch(key)])
        return stored.revision if stored.done else stored.found[0].created

    def _claim(self, job: EtcdJob, who: str, session: str, mark: str) -> bool:
        lock = job.key + self.LOCK_POSTFIX
        free = [exists(job.key + self.DATA_POSTFIX), exists(lock, there=False)]
        claim = [put(lock, _claim_of(who, session), session), self._touch(job, mark)]
        with self._asking(f"claiming job {job.uuid}") as client, _without_lease() as lost:
            outcome = change(client, free, claim, [fetch_all(f"{job.key}.")])
        if lost:
            return False
        sight = self._sight(job, outcome.found)
        if outcome.done or _is_claim(sight, who, session, mark):
            return True
        if sight.data is None:
            raise excp.NotFound(f"job {job.uuid} cannot be claimed: it is not on the board")
        raise excp.UnclaimableJob(f"job {job.uuid} is already claimed by {_shown_owner(sight)}")

    def _end_claim(self, job: EtcdJob, who: str, done: str, changes: list[dict[str, Any]]) -> None:
        """Raises `NotFound`, `JobFailure` for a claim that is not this session's, whoever has its name."""
        check_who(who)
        claim = _claim_of(who, self._required_lease().last)
        mine = [exists(job.key + self.DATA_POSTFIX), has_value(job.key + self.LOCK_POSTFIX, claim)]
        with self._asking(f"job {job.uuid} cannot be {done}") as client:
            outcome = change(client, mine, changes, [fetch_all(f"{job.key}.")])
        if outcome.done:
            return
        sight = self._sight(job, outcome.found)
        if sight.data is None or sight.lock is None:
            raise excp.NotFound(f"job {job.uuid} cannot be {done}: nobody has claimed it, or it is gone")
        owner = _shown_owner(sight)
        owner = f"another process named {who}" if owner == who else owner
        raise excp.JobFailure(f"job {job.uuid} cannot be {done} by {who}: it is claimed by {owner}")

    def _owner(self, job: EtcdJob, sight: Sight) -> str | None:
        try:
            return _owner_of(sight)
        except ValueError as error:
            raise excp.JobFailure(f"job {job.uuid}: its claim is malformed: {error}") from error

    def _touch(self, job: EtcdJob, mark: str = "") -> dict[str, Any]:
        return put(job.key + self.LAST_MODIFIED_POSTFIX, jsonutils.dumps({"last_modified": _now(), "mark": mark}))

    def _sight(self, job: EtcdJob, entries: list[Entry]) -> Sight:
        found = {entry.key.removeprefix(job.key): entry for entry in entries}
        return Sight(*map(found.get, (self.DATA_POSTFIX, self.LOCK_POSTFIX, self.LAST_MODIFIED_POSTFIX)))

    def _job_of(self, entry: Entry) -> PostedEtcdJob:
        posting = misc.decode_json(entry.value)
        why = why_no_posting(posting)
        if why is not None:
            raise ValueError(why)
        if entry.key != f"{self._root_path}/{posting['uuid']}{self.DATA_POSTFIX}":
            raise ValueError(f"it is the posting {posting['uuid']}")
        return self._job_from(posting, entry.created)

    def _job_from(
        self, posting: dict[str, Any], sequence: int, details: dict[str, Any] | None = None, book: Any = None
    ) -> PostedEtcdJob:
        created_on = posting.get("created_on")
        return PostedEtcdJob(
            self,
            posting["name"],
            self._client,
            f"{self._root_path}/{posting['uuid']}",
            uuid=posting["uuid"],
            details=details or posting.get("details"),
            backend=self._persistence,
            book=book,
            book_data=posting.get("book"),
            priority=base.JobPriority.convert(posting.get("priority", base.JobPriority.NORMAL)),
            sequence=sequence,
            created_on=created_on if isinstance(created_on, datetime) else _moment(created_on),
        )

    # The client

    @contextlib.contextmanager
    def _asking(self, doing: str) -> Iterator[Etcd3Client]:
        client = self._client
        if client is None:
            raise excp.JobFailure(f"{doing}: jobboard {self.name} is not connected")
        try:
            with self._answered(doing, _SILENCE, _UNSENT):
                yield client
        except etcd_exceptions.Etcd3Exception as error:
            raise excp.JobFailure(f"{doing}: {self.address}: {reason(error)}") from error

    def _open_client(self) -> None:
        self._client = build_client(self.options)

    def _close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.session.close()


@contextlib.contextmanager
def _without_lease() -> Iterator[list[str]]:
    """Nothing is done for a lease that has ended; what is given then holds what etcd said of it."""
    said: list[str] = []
    try:
        yield said
    except etcd_exceptions.Etcd3Exception as error:
        if _NO_LEASE not in (error.detail_text or ""):
            raise
        said.append(error.detail_text or "")


# What is stored


def _claim_of(who: str, session: str) -> str:
    # The lease's number as TaskFlow's jobs look for it.
    return str(jsonutils.dumps({"owner": who, "lease_id": int(session)}))


def _is_claim(sight: Sight, who: str, session: str, mark: str) -> bool:
    """Was the claim made with this mark? Both were written at once."""
    lock, touched = sight.lock, sight.last_modified
    if lock is None or touched is None or lock.modified != touched.modified:
        return False
    return lock.value == _claim_of(who, session).encode() and misc.decode_json(touched.value).get("mark") == mark


def _owner_of(sight: Sight) -> str | None:
    """Raises `ValueError` for a claim that is none."""
    if sight.lock is None:
        return None
    owner = misc.decode_json(sight.lock.value).get("owner")
    if not isinstance(owner, str):
        raise ValueError("it names no owner")  # noqa: TRY004 - the claim is at fault
    return owner


def _shown_owner(sight: Sight) -> str:
    try:
        return str(_owner_of(sight))
    except ValueError:
        return "something that is no claim of this board"


def _modified_at(entry: Entry | None) -> datetime | None:
    try:
        return _moment(misc.decode_json(entry.value).get("last_modified")) if entry else None
    except ValueError:
        return None  # someone else's: nothing depends on it


def _moment(text: Any) -> datetime:
    """Raises `ValueError`."""
    if not isinstance(text, str):
        raise ValueError("created_on is missing or of the wrong type")  # noqa: TRY004 - the posting is at fault
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)  # as TaskFlow's other boards
