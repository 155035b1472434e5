"""The lease of one board's claims, on a server that has none of its own to offer."""

from __future__ import annotations

import logging
import threading
from typing import Final, Protocol

from taskflow.exceptions import JobFailure

from jobboard.boards.clock import GIVEN_UP, now_s

LOG = logging.getLogger(__name__)

_BEATS_A_LEASE: Final = 3
_RETRIES_A_LEASE: Final = 15


class Server(Protocol):
    """Where sessions are kept. Every method raises `JobFailure` when it does not answer, within a bounded time."""

    name: str

    def begin_session(self) -> str:
        """A new session, which ends by itself when it is not prolonged for a lease; its id."""

    def prolong_session(self, session: str) -> bool:
        """Let it last for another lease from now; False if it has ended."""

    def end_session(self, session: str) -> None:
        """Free its claims. Nothing if it has ended."""


class Lease:
    """A session that a thread prolongs; once it is lost, the next one. Thread-safe.

    A claim belongs to the session in which it was made, and cannot be ended in another.
    """

    def __init__(self, server: Server, lease_s: float) -> None:
        self._server = server
        self._lease_s = lease_s
        self._changing = threading.RLock()  # held while a session is begun or ended: one at a time
        # Guards the four below. Invariant: no session that was dead lives again, nor is `_unbroken` taken back.
        self._lock = threading.Lock()
        self._session: str | None = None
        self._dead = True
        self._unbroken = True
        self._asked_at = 0.0  # when the last prolongation that succeeded was begun
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{server.name}", daemon=True)

    def open(self) -> None:
        """Begin the first session. Once only. Raises `JobFailure`."""
        self._begin()
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Do all claims that were ever made certainly hold still? False is final.

        Asks no server: counted from before the last prolongation, so the server's lease never ends earlier. Taken
        for dead a little before it ends, so that nothing is begun any more that it would not cover.
        """
        with self._lock:
            self._look()
            return self._unbroken

    def holds(self, session: str | None) -> bool:
        """Is this the session of now, and does it certainly last still?"""
        with self._lock:
            self._look()
            return session is not None and session == self._session and not self._dead

    @property
    def last(self) -> str:
        """The session of now, or that was lost last."""
        with self._lock:
            return self._session or ""

    def session(self) -> str:
        """The session to make claims in; a new one if the last was lost. Raises `JobFailure`."""
        with self._changing:
            if not self.holds(self._session):
                self._begin()
            return self.last

    def lost(self, session: str) -> None:
        """The server does not know this session any more."""
        with self._lock:
            if session == self._session:
                self._die()

    def renew(self) -> bool:
        """Prolong the session. False: it is lost. Raises `JobFailure`; it may have been prolonged all the same."""
        session = self.last
        if not self.holds(session):
            return False
        asked_at = now_s()
        if not self._server.prolong_session(session):
            self.lost(session)
            return False
        with self._lock:
            if session == self._session:
                self._asked_at = max(self._asked_at, asked_at)
        return self.holds(session)

    def close(self) -> None:
        """End the session and its claims. Raises `JobFailure`: it ends by itself, after the lease."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._changing:
            with self._lock:
                session, self._session = self._session, None
                self._die()
            if session is not None:
                self._server.end_session(session)

    def _begin(self) -> None:
        with self._changing:
            if self._stop.is_set():
                raise JobFailure(f"jobboard {self._server.name} is not connected")
            if self._session is not None:  # what is left of the claims that were given up
                self._server.end_session(self._session)
            asked_at = now_s()
            session = self._server.begin_session()
            with self._lock:
                self._session, self._asked_at, self._dead = session, asked_at, False

    def _look(self) -> None:
        if not self._dead and now_s() >= self._asked_at + self._lease_s * GIVEN_UP:
            self._die()

    def _die(self) -> None:
        self._dead, self._unbroken = True, False

    def _keep(self) -> None:
        while not self._stop.wait(self._pause_s()):
            try:
                self._beat()
            except JobFailure as error:
                if not self._failures:
                    LOG.warning("jobboard %s: its lease is not renewed: %s", self._server.name, error)
                self._failures += 1
            except Exception:  # a thread that ended here would let the lease run out
                LOG.exception("jobboard %s: its lease is not renewed", self._server.name)
                self._failures += 1
            else:
                if self._failures:
                    LOG.info("jobboard %s: its server answers again", self._server.name)
                self._failures = 0

    def _beat(self) -> None:
        if not self.renew() and not self._stop.is_set():
            LOG.warning("jobboard %s: its lease is lost, and its claims with it", self._server.name)
            self.session()

    def _pause_s(self) -> float:
        beat_s = self._lease_s / _BEATS_A_LEASE
        if not self._failures:
            return beat_s
        return min(beat_s, self._lease_s / _RETRIES_A_LEASE * 2.0 ** min(self._failures - 1, 8))
