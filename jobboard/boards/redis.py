"""The `redis` board: TaskFlow's, with claims that live in sessions."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from oslo_serialization import jsonutils
from redis import exceptions as redis_exceptions
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry
from taskflow import exceptions as excp
from taskflow import states
from taskflow.jobs import base
from taskflow.jobs.backends.impl_redis import RedisJob, RedisJobBoard
from taskflow.utils import misc, redis_utils

from jobboard.boards.iteration import place, why_no_posting
from jobboard.boards.leased import LeasedBoard, reason, request_s
from jobboard.boards.redis_options import RedisOptions, parse_redis_url
from jobboard.boards.redis_scripts import SCRIPTS

__all__ = ["RedisBoard", "RedisOptions", "build_client", "open_board", "parse_redis_url"]

_SILENCE: Final = (redis_exceptions.ConnectionError, redis_exceptions.TimeoutError)
_UNSENT: Final = ("connecting to",)
_OWNER_AT: Final = 74  # in a claim: see the scripts


def build_client(options: RedisOptions) -> Any:
    """A client that is not connected yet."""
    timeout_s = request_s(options.lease_s)
    secured: dict[str, Any] = {}
    if options.use_ssl:
        secured = {
            "ssl": True,
            "ssl_ca_certs": options.ca,
            "ssl_certfile": options.certfile,
            "ssl_keyfile": options.keyfile,
            "ssl_password": options.keyfile_password,
            "ssl_cert_reqs": "required" if options.verify_certs else "none",
            "ssl_check_hostname": options.verify_certs,
        }
    return redis_utils.RedisClient(
        host=options.host.strip("[]"),
        port=options.port,
        db=options.db,
        username=options.username,
        password=options.password,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),  # what was served and is asked again would look like another's
        protocol=2,  # servers before Redis 6 know no other
        maint_notifications_config=MaintNotificationsConfig(enabled=False),  # nor before Redis 8 of this
        **secured,
    )


def open_board(name: str, options: RedisOptions, persistence: Any = None) -> RedisBoard:
    """A board with keys and a client of its own; `connect` it, and `close` it in the end."""
    return RedisBoard(name, options, persistence)


class PostedRedisJob(RedisJob):
    """TaskFlow's job, which asks its board, and that once for what it wants to know."""

    @property
    def state(self) -> str:
        """UNCLAIMED, CLAIMED; COMPLETE once it has left the board. Raises `JobFailure`."""
        there, owner, _modified = self.board.look(self)
        state: str = states.COMPLETE if not there else states.CLAIMED if owner else states.UNCLAIMED
        return state

    @property
    def last_modified(self) -> datetime | None:
        """When it was posted, claimed or given back last; None once it has left the board."""
        there, _owner, modified = self.board.look(self)
        created_on: datetime = self.created_on
        return max(modified or created_on, created_on) if there else None


class RedisBoard(LeasedBoard, RedisJobBoard):
    """See `LeasedBoard`. All its keys begin with `<namespace>:<name>:`.

    A claim counts as long as the key of its session lives, which goes by the server's clock. A server that loses
    what it was told last, because it keeps nothing or its replica takes over, may lose claims too.
    """

    SCRIPT_TEMPLATES = SCRIPTS

    def __init__(self, name: str, options: RedisOptions, persistence: Any = None) -> None:
        namespace = f"{options.namespace}:{name}" if options.namespace else name
        super().__init__(name, {"namespace": namespace, "options": options}, persistence)
        self.options: Final = options
        self.lease_s = options.lease_s
        self.address = options.address

    @classmethod
    def _make_client(cls, conf: dict[str, Any]) -> Any:
        return build_client(conf["options"])

    # Sessions

    def begin_session(self) -> str:
        """A key that expires, with who uses the board in it."""
        session = str(uuid.uuid4())
        args = [self._lease_ms, self._described(self._entity)]
        self._run("begin", "beginning a session", [self._session_key(session)], args)
        return session

    def prolong_session(self, session: str) -> bool:
        """See `lease.Server`."""
        with self._asking("prolonging the session"):
            return bool(self._client.pexpire(self._session_key(session), self._lease_ms))

    def end_session(self, session: str) -> None:
        """See `lease.Server`."""
        with self._asking("ending the session"):
            self._client.delete(self._session_key(session))

    def _register(self, session: str, entity: Any) -> None:
        self._run("register", "registering", [self._session_key(session)], [self._described(entity)])

    def _described(self, entity: Any) -> str:
        return str(jsonutils.dumps(entity.to_dict() if entity is not None else {}))

    def _session_key(self, session: str) -> bytes:
        key: bytes = self.join(b"session", session)
        return key

    @property
    def _lease_ms(self) -> int:
        return round(self.lease_s * 1000)

    # Jobs

    @property
    def job_count(self) -> int:
        """How many postings are on the board, claimed ones and malformed ones too."""
        with self._asking("counting"):
            count: int = self._client.hlen(self.listings_key)
        return count

    def postings(self, *, ensure_fresh: bool) -> list[tuple[PostedRedisJob, bool]]:  # noqa: ARG002 - it always is
        """All jobs in order, and whether they are claimed."""
        rows = self._run("postings", "reading its postings", [self.listings_key])
        malformed: dict[str, str] = {}
        jobs: list[tuple[PostedRedisJob, bool]] = []
        for key, raw, claimed in rows:
            try:
                jobs.append((self._job_of(key, raw), bool(claimed)))
            except ValueError as error:
                malformed[key.decode(errors="backslashreplace")] = str(error)
        self._note_malformed(malformed)
        return sorted(jobs, key=lambda found: place(found[0]))

    def look(self, job: RedisJob) -> tuple[bool, str | None, datetime | None]:
        """Whether it is on the board, who has claimed it, and when that changed last."""
        doing = f"looking at job {job.uuid}"
        there, owner, modified = self._run("look", doing, self._keys(job), [job.key])
        try:
            changed_at = self._loads(modified, root_types=(datetime,)) if modified else None
        except excp.JobFailure:
            changed_at = None  # someone else's: nothing depends on it
        return bool(there), self._decode_owner(owner) if owner else None, changed_at

    def find_owner(self, job: RedisJob) -> str | None:
        """Who has claimed it, if the claim still holds."""
        return self.look(job)[1]

    def _post(
        self, name: str, book: Any, details: dict[str, Any] | None, priority: base.JobPriority
    ) -> PostedRedisJob:
        posting = base.format_posting(
            str(uuid.uuid4()), name, created_on=_now(), book=book, details=details, priority=priority
        )
        posting["sequence"] = self._known(self._next_sequence)
        key = posting["uuid"].encode()
        raw = self._dumps(posting)
        self._known(lambda: self._put(key, raw))
        return self._job_from(posting, key, book)

    def _next_sequence(self) -> int:
        with self._asking("posting"):
            sequence: int = self._client.incr(self.sequence_key)
        return sequence

    def _put(self, key: bytes, raw: bytes) -> None:
        with self._asking("posting"):
            self._client.hset(self.listings_key, key, raw)

    def _claim(self, job: RedisJob, who: str, session: str, mark: str) -> bool:
        keys = [*self._keys(job), self._session_key(session)]
        args = [f"{session}:{mark}:{who}", job.key, self._dumps(_now())]
        answer, owner = self._run("claim", f"claiming job {job.uuid}", keys, args)
        if answer == b"unknown":
            raise excp.NotFound(f"job {job.uuid} cannot be claimed: it is not on the board")
        if answer == b"claimed":
            raise excp.UnclaimableJob(f"job {job.uuid} is already claimed by {self._decode_owner(owner)}")
        return bool(answer == b"ok")

    def _keys(self, job: RedisJob) -> list[bytes]:
        return [job.owner_key, self.listings_key, job.last_modified_key]

    def _job_of(self, key: bytes, raw: bytes) -> PostedRedisJob:
        try:
            posting = misc.decode_msgpack(raw)
        except RecursionError as error:
            raise ValueError(str(error)) from None
        why = why_no_posting(posting)
        if why is not None:
            raise ValueError(why)
        for name, kind in (("sequence", int), ("created_on", datetime)):
            if not isinstance(posting.get(name), kind):
                raise ValueError(f"{name} is missing or of the wrong type")  # noqa: TRY004 - the posting is at fault
        if posting["uuid"].encode(errors="replace") != key:
            raise ValueError(f"it is the posting {posting['uuid']}")
        return self._job_from(posting, key)

    def _job_from(self, posting: dict[str, Any], key: bytes, book: Any = None) -> PostedRedisJob:
        return PostedRedisJob(
            self,
            posting["name"],
            posting["sequence"],
            key,
            uuid=posting["uuid"],
            details=posting.get("details"),
            created_on=posting["created_on"],
            book=book,
            book_data=posting.get("book"),
            backend=self._persistence,
            priority=base.JobPriority.convert(posting.get("priority", base.JobPriority.NORMAL)),
        )

    # What TaskFlow's own methods ask for

    def _encode_owner(self, who: str) -> bytes:
        # For `consume`, `abandon` and `trash`: a claim is that of the session, whoever else has its name.
        return f"{self._required_lease().last}:{who}".encode()

    @staticmethod
    def _decode_owner(owner: bytes | str) -> str:
        claim: str = misc.binary_decode(owner, errors="replace")
        return claim[_OWNER_AT:]

    def _get_script(self, name: str) -> Callable[..., Any]:
        def script(keys: list[bytes], args: list[Any]) -> Any:
            return self._run(name, f"to {name} a job", keys, args)

        return script

    # The client

    def _run(self, name: str, doing: str, keys: list[bytes], args: Sequence[Any] = ()) -> Any:
        with self._asking(doing):
            try:
                script = super()._get_script(name)
            except excp.NotFound:
                raise excp.JobFailure(f"jobboard {self.name} is not connected") from None
            return script(keys=keys, args=args)

    @contextlib.contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        if self._closed:
            raise excp.JobFailure(f"{doing}: jobboard {self.name} is not connected")
        try:
            with self._answered(doing, _SILENCE, _UNSENT):
                yield
        except redis_exceptions.RedisError as error:
            raise excp.JobFailure(f"{doing}: {self.address}: {reason(error)}") from error

    def _open_client(self) -> None:
        try:
            RedisJobBoard.connect(self)
        except excp.JobFailure as error:
            raise excp.JobFailure(f"{self.address}: {error.args[0]}: {reason(error.cause or error)}") from error

    def _close_client(self) -> None:
        RedisJobBoard.close(self)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)  # as TaskFlow's other boards
