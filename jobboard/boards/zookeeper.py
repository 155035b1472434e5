"""The `zookeeper` board: TaskFlow's, with a client of ours, and mended where it stops for others' mistakes."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

from kazoo import exceptions as kazoo_exceptions
from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol import paths
from kazoo.protocol.serialization import Auth
from kazoo.protocol.states import KazooState
from kazoo.retry import KazooRetry
from kazoo.security import CREATOR_ALL_ACL
from taskflow import exceptions as excp
from taskflow.jobs import base
from taskflow.jobs.backends.impl_zookeeper import ZookeeperJob, ZookeeperJobBoard
from taskflow.utils import kazoo_utils, misc

from jobboard.batches import batches
from jobboard.boards.clock import GIVEN_UP
from jobboard.boards.iteration import PostingIterator, place, why_no_posting
from jobboard.boards.zookeeper_options import ZookeeperOptions, parse_zookeeper_url

__all__ = ["ZookeeperBoard", "ZookeeperOptions", "build_client", "open_board", "parse_zookeeper_url"]

LOG = logging.getLogger(__name__)

# Without a limit the pauses between two attempts to connect would grow to an hour.
_RECONNECT: Final = {"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 2.0}

_AT_ONCE: Final = 100  # postings: far less than a request may be long


def _without_secret(record: logging.LogRecord) -> bool:
    # kazoo writes every request to its log at DEBUG, the one that authenticates too.
    if isinstance(record.args, tuple):
        record.args = tuple(
            argument._replace(auth="****") if isinstance(argument, Auth) else argument for argument in record.args
        )
    return True


_CLIENT_LOG: Final = logging.getLogger("kazoo.client.countermand")
_CLIENT_LOG.addFilter(_without_secret)


def build_client(options: ZookeeperOptions) -> KazooClient:
    """A client that is not started yet."""
    secured: dict[str, Any] = {}
    if options.username is not None:
        secured["auth_data"] = [("digest", f"{options.username}:{options.password}")]
        secured["default_acl"] = CREATOR_ALL_ACL
    handler = _ImpatientHandler(max(1.0, options.timeout_s / 10))
    client = KazooClient(
        hosts=options.hosts,
        timeout=options.timeout_s,
        handler=handler,
        connection_retry=_RECONNECT,
        use_ssl=options.use_ssl,
        ca=options.ca,
        certfile=options.certfile,
        keyfile=options.keyfile,
        keyfile_password=options.keyfile_password,
        verify_certs=options.verify_certs,
        check_hostname=options.verify_certs,
        logger=_CLIENT_LOG,
        **secured,
    )
    handler.client = client
    return client


class _ImpatientHandler(SequentialThreadingHandler):
    """A server that just starts may accept a connection and never answer it (3.8: about one start in forty).

    kazoo would wait for its answer as long as the session lasts, and then the session is over.
    """

    client: KazooClient

    def __init__(self, connecting_s: float) -> None:
        super().__init__()
        self._connecting_s = connecting_s

    def select(self, readers: Any, writers: Any, errors: Any, timeout: float | None = None) -> Any:
        if not self.client.connected:
            timeout = self._connecting_s if timeout is None else min(timeout, self._connecting_s)
        return super().select(readers, writers, errors, timeout)


def open_board(name: str, options: ZookeeperOptions, persistence: Any = None) -> ZookeeperBoard:
    """A board in a folder of its own, with a client of its own; `connect` it, and `close` it in the end."""
    return ZookeeperBoard(name, options, persistence)


class ZookeeperBoard(ZookeeperJobBoard):
    """TaskFlow's board; its client begins with `connect` and ends with `close`. Thread-safe.

    - It lives in `<path>/<name>/jobs`, with what is trashed and who is connected in folders beside it.
    - A znode that is no posting is passed over and noted in `malformed`; it would end TaskFlow's conductors.
    - An iteration asks once who has claimed what, not twice for each posting.
    - Who listens is told of a posting once, also when the watch has it before `post` does.
    - A claim whose reply was lost is looked up before an answer is given.
    - Claims belong to this object's session, not to a name.
    - While the server is away, requests fail; with TaskFlow's they wait until it is back.
    """

    def __init__(self, name: str, options: ZookeeperOptions, persistence: Any = None) -> None:
        folder = f"{options.path}/{name}"
        # No check of the server's version: it asks for a command that servers do not allow by themselves.
        conf = {"path": f"{folder}/jobs", "check_compatible": False}
        super().__init__(name, conf, client=build_client(options), persistence=persistence)
        # TaskFlow replaces the last folder's name wherever it occurs in the path.
        self._trash_path = f"{folder}/{self.TRASH_FOLDER}"
        self._entity_path = f"{folder}/{self.ENTITY_FOLDER}"
        self._worker: Any = None
        self._owned = True  # TaskFlow stops only the clients that it owns
        self.options: Final = options
        self.malformed: dict[str, str] = {}
        """Znodes that are no postings, by path, and why."""
        self._told: set[str] = set()  # paths of postings that listeners were told of, until their removal
        self._entity: Any = None
        self._opened = False
        self._lost = True
        self._suspended_at: float | None = None
        self._held_on_s = options.timeout_s * (GIVEN_UP - 2 / 3)

    @property
    def connected(self) -> bool:
        """Does the server answer? Also after a session was lost and another begun."""
        return self._opened and bool(self._client.connected) and not self._is_interrupted

    @property
    def alive(self) -> bool:
        """Do the claims of this board certainly hold still? False is final, until `connect` is called again.

        The server ends a session when it has not heard from us for `timeout_s`. Of that, two thirds may have
        passed when the client notices that the connection is gone; and it is given up a little before its end.
        """
        suspended_at = self._suspended_at
        if suspended_at is not None and time.monotonic() >= suspended_at + self._held_on_s:
            self._lost = True
        return self._opened and not self._lost

    def connect(self, timeout: float = 10.0) -> None:
        """Connect within `timeout` seconds, or raise `JobFailure`. A session that was lost is begun anew."""
        if self._opened and not self.alive:
            self.close()  # with it goes what is left of the claims that were given up
        self._lost, self._suspended_at = False, None
        if self._worker is None:
            # Tells of postings. The executor that TaskFlow would take needs a second to shut down.
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"jobboard-{self.name}")
        try:
            super().connect(timeout)
        except excp.JobFailure as error:
            self.close()
            cause = str(error.cause or "") or type(error.cause).__name__
            raise excp.JobFailure(f"{self.options.address}: {error.args[0]}: {cause}") from error
        self._opened = True

    def close(self) -> None:
        """End the session and with it the claims."""
        self._opened = False
        super().close()
        self._told.clear()

    def iterjobs(self, only_unclaimed: bool = False, ensure_fresh: bool = False) -> PostingIterator:
        """Iterate by priority, then oldest first. `ensure_fresh`: read what has just been posted elsewhere."""
        return PostingIterator(self, only_unclaimed=only_unclaimed, ensure_fresh=ensure_fresh)

    def claim(self, job: ZookeeperJob, who: str) -> None:
        """As TaskFlow's, but when the reply is lost, find out: for as long as the session can last."""
        try:
            super().claim(job, who)
        except (excp.UnclaimableJob, excp.NotFound):
            raise
        except excp.JobFailure:
            if not self._holds(job, who):
                raise

    def post_all(self, postings: Sequence[tuple[str, dict[str, Any], base.JobPriority]]) -> None:
        """Post so many, of a name, details and priority each. Who listens hears of them as of what others post.

        Raises `JobFailure`; some may be posted then, in the order given.
        """
        with self._wrap(self.name, self.path, "Posting on jobboard %s", ensure_known=False):
            for some in batches(postings, _AT_ONCE):
                request = self._client.transaction()
                for name, details, priority in some:
                    posting = base.format_posting(str(uuid4()), name, details=details, priority=priority)
                    request.create(self._job_base, json.dumps(posting).encode(), sequence=True)
                kazoo_utils.checked_commit(request)

    def claim_all(self, jobs: Sequence[ZookeeperJob], who: str) -> list[ZookeeperJob]:
        """Claim so many; those that were there, and that nobody else had. Raises `JobFailure`.

        One request, unless someone was there before us. If its reply is lost, find out what became of it: for as
        long as the session can last.
        """
        with self._wrap(self.name, self.path, "Claiming on jobboard %s", ensure_known=False):
            try:
                if _is_done(self._claim_of(jobs, who).commit()):
                    return list(jobs)
            except (kazoo_exceptions.KazooException, self._client.handler.timeout_exception):
                if not (held := [job for job in jobs if self._holds(job, who)]):
                    raise
                return held
            asked = [(job, self._claim_of([job], who).commit_async()) for job in jobs]
            return [job for job, answer in asked if self._came_about(job, who, answer)]

    def remove_all(self, jobs: Sequence[ZookeeperJob]) -> None:
        """Remove what nobody wants on the board any more, whoever has claimed it. Raises `JobFailure`."""
        with self._wrap(self.name, self.path, "Removing from jobboard %s", ensure_known=False):
            for some in batches(jobs, _AT_ONCE):
                self._remove_some(some)

    def find_owner(self, job: ZookeeperJob) -> str | None:
        """Who has claimed it. `JobFailure` for a claim that cannot be read."""
        try:
            owner: str | None = super().find_owner(job)
        except ValueError as error:
            raise excp.JobFailure(f"job {job.uuid}: its claim {job.lock_path} is malformed: {error}") from error
        return owner

    def register_entity(self, entity: Any) -> None:
        """As TaskFlow's, and again whenever a new session begins."""
        with self._wrap(entity.name, None, "Can not register entity %s", ensure_known=False):
            super().register_entity(entity)
        self._entity = entity

    def postings(self, *, ensure_fresh: bool) -> list[tuple[ZookeeperJob, bool]]:
        """All known jobs in order, and whether they are claimed."""
        with self._wrap(self.name, self.path, "Iterating jobboard %s", ensure_known=False):
            try:
                children = frozenset(self._client.get_children(self.path))
            except kazoo_exceptions.NoNodeError:
                return []
            if ensure_fresh:
                self._on_job_posting(children, delayed=False)
            jobs = self._fetch_jobs()
        named = [(paths.basename(job.path), job) for job in jobs]
        return [(job, name + self.LOCK_POSTFIX in children) for name, job in named if name in children]

    @contextlib.contextmanager
    def _wrap(
        self, job_uuid: str, job_path: str | None, fail_msg_tpl: str = "Failure: %s", ensure_known: bool = True
    ) -> Iterator[None]:
        # Around every request. While the connection is away, kazoo would keep it until there is one again.
        if not self._client.connected:
            raise excp.JobFailure(f"{fail_msg_tpl % job_uuid}: {self.options.address} does not answer")
        with super()._wrap(job_uuid, job_path, fail_msg_tpl, ensure_known):
            yield

    def _try_emit(self, state: str, details: dict[str, Any]) -> None:
        path = details["job"].path
        with self._job_cond:
            if state == base.POSTED and path in self._told:
                return
            (self._told.add if state == base.POSTED else self._told.discard)(path)
        super()._try_emit(state, details)

    def _get_owner_and_data(self, job: ZookeeperJob) -> tuple[dict[str, Any], Any, dict[str, Any], Any]:
        lock, lock_stat, data, stat = super()._get_owner_and_data(job)
        if not self._is_ours(lock_stat):  # whatever name it has: TaskFlow would take the name for enough
            lock = {"owner": None}
        return lock, lock_stat, data, stat

    @property
    def _is_interrupted(self) -> bool:
        """Does TaskFlow still take the connection for lost? The client knows a moment earlier that it is back."""
        return bool(self._last_states) and self._last_states[0] in self.NO_FETCH_STATES

    def _fetch_jobs(self, ensure_fresh: bool = False) -> list[ZookeeperJob]:
        jobs = super()._fetch_jobs(ensure_fresh=ensure_fresh)
        if self._is_interrupted:  # then TaskFlow knows of none, which would look like an empty board
            raise excp.JobFailure(f"jobboard {self.name}: {self.options.address} does not answer")
        return sorted(jobs, key=place)

    def _process_child(self, path: str, request: Any, quiet: bool = True) -> None:
        try:
            raw, _stat = request.get()
        except (kazoo_exceptions.KazooException, self._client.handler.timeout_exception):
            super()._process_child(path, request, quiet)  # which knows what to say of each of them
            return
        why = why_malformed(path, raw)
        if why is None:
            self.malformed.pop(path, None)
            super()._process_child(path, request, quiet)
            return
        if path not in self.malformed:
            LOG.warning("jobboard %s: %s is passed over: %s", self.name, path, why)
        self.malformed[path] = why

    def _on_job_posting(self, children: Collection[str], delayed: bool = True) -> None:
        # As TaskFlow's, which compares each with each, and asks for one after the other.
        there = {f"{self.path}/{child}" for child in children if _is_posting(child)}
        there |= self._posted_since(children)
        self.malformed = {path: why for path, why in self.malformed.items() if path in there}
        with self._job_cond:
            known = frozenset(self._known_jobs)
            for path in known - there:
                self._remove_job(path)
            self._job_cond.notify_all()
        asked = [(path, self._client.get_async(path)) for path in sorted(there - known)]
        for path, answer in asked:
            if delayed:
                answer.rawlink(functools.partial(self._process_child, path))
            else:
                self._process_child(path, answer, quiet=False)

    def _posted_since(self, children: Collection[str]) -> set[str]:
        """Known jobs that are newer than all of `children`, and are there: their paths.

        TaskFlow forgets what a list lacks; but a list may have been made before a job was posted. The server
        counts postings up: what is older than the newest of the list, and not in it, has been removed.
        """
        if self._is_interrupted:
            return set()
        newest = max((_sequence(child) for child in children if _is_posting(child)), default=-1)
        with self._job_cond:
            newer = [path for path, job in self._known_jobs.items() if job.sequence > newest]
        return {path for path in newer if self._may_exist(path)}

    def _may_exist(self, path: str) -> bool:
        try:
            return self._client.exists_async(path).get(timeout=self.options.timeout_s) is not None
        except (kazoo_exceptions.KazooException, self._client.handler.timeout_exception):
            return True  # the next list tells

    def _claim_of(self, jobs: Sequence[ZookeeperJob], who: str) -> Any:
        request = self._client.transaction()
        lock = json.dumps({"owner": who}).encode()
        for job in jobs:
            request.check(job.path, -1)
            request.create(job.lock_path, lock, ephemeral=True)
        return request

    def _came_about(self, job: ZookeeperJob, who: str, answer: Any) -> bool:
        try:
            return _is_done(answer.get())
        except (kazoo_exceptions.KazooException, self._client.handler.timeout_exception):
            return self._holds(job, who)

    def _remove_some(self, jobs: Sequence[ZookeeperJob]) -> None:
        request = self._client.transaction()
        both = [path for job in jobs for path in (job.path, job.lock_path)]
        for path in both:
            request.delete(path)
        if not _is_done(request.commit()):  # some had gone before
            for answer in [self._client.delete_async(path) for path in both]:
                with contextlib.suppress(kazoo_exceptions.NoNodeError):
                    answer.get()
        for job in jobs:
            self._remove_job(job.path)

    def _state_change_listener(self, state: str) -> None:
        begun = state == KazooState.CONNECTED and self._lost and self._opened
        if state == KazooState.LOST:
            self._lost = True
        self._suspended_at = time.monotonic() if state == KazooState.SUSPENDED else None
        super()._state_change_listener(state)
        if begun and self._entity is not None:
            # Not here: this is the thread that reads the server's answers.
            self._client.handler.spawn(self._register_again)

    def _register_again(self) -> None:
        try:
            super().register_entity(self._entity)
        except excp.JobFailure as error:
            LOG.warning("jobboard %s: not registered again: %s", self.name, error)

    def _holds(self, job: ZookeeperJob, who: str) -> bool:
        """Is the claim ours, made in the session that goes on?"""
        if not self.alive:
            return False
        timeout_s = self.options.timeout_s
        retry = KazooRetry(max_tries=-1, max_delay=1.0, deadline=timeout_s)
        try:
            raw, stat = retry(lambda: self._client.get_async(job.lock_path).get(timeout=timeout_s))
        except (kazoo_exceptions.KazooException, self._client.handler.timeout_exception):
            return False
        return self._is_ours(stat) and misc.decode_json(raw).get("owner") == who

    def _is_ours(self, lock_stat: Any) -> bool:
        session = self._client.client_id
        return session is not None and lock_stat.ephemeralOwner == session[0]


def why_malformed(path: str, raw: bytes) -> str | None:
    """Why a znode is no posting; None if it is one."""
    try:
        int(paths.basename(path)[len(ZookeeperJobBoard.JOB_PREFIX) :])
        posting = misc.decode_json(raw)
    except (ValueError, RecursionError) as error:
        return str(error)
    return why_no_posting(posting)


def _is_done(answers: Sequence[Any]) -> bool:
    """Was a transaction, which was answered so, carried out?"""
    return not any(isinstance(answer, kazoo_exceptions.KazooException) for answer in answers)


def _is_posting(child: str) -> bool:
    lock = child.endswith(ZookeeperJobBoard.LOCK_POSTFIX)
    return not lock and child.startswith(ZookeeperJobBoard.JOB_PREFIX)


def _sequence(child: str) -> int:
    """The number that the server gave a posting; -1 for a name that has none."""
    digits = child.removeprefix(ZookeeperJobBoard.JOB_PREFIX)
    return int(digits) if digits.isdecimal() else -1
