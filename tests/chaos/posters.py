"""Posters that ask for anything at random, and note what they were told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from jobboard.errors import NoSuchJob, Refused, Unreachable
from jobboard.models import Job
from jobboard.settings import Settings
from poster import Client, PostRequest
from tests.chaos.journal import Journal
from tests.rules.story import Request

FLOWS: Final = (
    "chaos_linear",
    "chaos_nested",
    "chaos_parallel",
    "chaos_controlled",
    "chaos_failing",
    "chaos_retried",
    "chaos_kept",
    "chaos_long",
    "chaos_stuck",
    "chaos_awaiting",
)
_PAUSE_S: Final = (0.02, 0.3)
_RECENT: Final = 15  # jobs that requests are about
_WEIGHTS: Final = {
    "post": 6,
    "post_keyed": 3,
    "cancel": 5,
    "retry": 3,
    "pause": 2,
    "resume": 3,
    "cleanup": 1,
    "force": 1,
    "delete": 1,
}


class Asked:
    """What all posters have asked for, and been told. Thread-safe."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.wrong: list[str] = []  # answers that no one may get
        self._requests: list[Request] = []
        self._jobs: list[str] = []
        self._lock = threading.Lock()

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def recent_jobs(self) -> list[str]:
        with self._lock:
            return self._jobs[-_RECENT:]

    def note(self, request: Request, said: str) -> None:
        self.journal.note(f"{request.kind} {request.key or ''} {request.job or ''}: {said}")
        with self._lock:
            self._requests.append(request)
            if request.kind == "post" and request.job is not None and request.job not in self._jobs:
                self._jobs.append(request.job)


class Poster:
    """A thread that asks until it is told to stop."""

    def __init__(self, name: str, settings: Settings, effects: str, asked: Asked, chance: random.Random) -> None:
        self.name = name
        self._client = Client.open(settings, by=name)
        self._effects = effects
        self._asked = asked
        self._chance = chance
        self._posted = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poster {name}")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        while not self._stop.is_set():
            (kind,) = self._chance.choices(kinds, weights)
            try:
                self._act(kind)
            except Exception as error:
                self._asked.wrong.append(f"{self.name} asked for {kind} and got {error!r}")
            self._stop.wait(self._chance.uniform(*_PAUSE_S))

    def _act(self, kind: str) -> None:
        jobs = self._asked.recent_jobs()
        job = self._chance.choice(jobs) if jobs else ""
        if kind == "post":
            self._post(self._next())
        elif kind == "post_keyed":
            self._post_keyed()
        elif job:
            self._ask(kind, job)

    def _next(self) -> PostRequest:
        return PostRequest(self._chance.choice(FLOWS), {"effects": self._effects, "mark": self._mark()})

    def _mark(self) -> str:
        self._posted += 1
        return f"{self.name}-{self._posted}"

    def _post_keyed(self) -> None:
        """The same several times, and again until an answer comes."""
        mark = self._mark()
        again = PostRequest(self._chance.choice(FLOWS), {"effects": self._effects, "mark": mark}, key=mark)
        left = self._chance.randint(1, 3)
        while left > 0 and not self._stop.is_set():
            left -= self._post(again)

    def _post(self, request: PostRequest) -> bool:
        """Whether an answer came."""
        try:
            job = self._client.post(request)
        except Unreachable as error:
            self._asked.note(self._request("post", None, accepted=None, key=request.key), _line(error))
            return False
        self._asked.note(self._request("post", job, accepted=True, key=request.key), request.flow)
        return True

    def _ask(self, kind: str, job: str) -> None:
        try:
            answer = self._ways[kind](self._client, job)
        except (Refused, NoSuchJob) as error:
            self._asked.note(self._request(kind, job, accepted=False), _line(error))
        except Unreachable as error:
            self._asked.note(self._request(kind, job, accepted=None), _line(error))
        else:
            attempt = answer.attempt if answer is not None else None
            said = f"{answer.state} in attempt {attempt}" if answer is not None else "gone"
            self._asked.note(self._request(kind, job, accepted=True, attempt=attempt), said)

    def _request(self, kind: str, job: str | None, **told: Any) -> Request:
        return Request(kind, job, at=datetime.now(UTC), **told)

    _ways: Final[dict[str, Callable[[Client, str], Job | None]]] = {
        "cancel": lambda client, job: client.cancel(job, "chaos"),
        "retry": lambda client, job: client.retry(job),
        "pause": lambda client, job: client.pause(job),
        "resume": lambda client, job: client.resume(job),
        "cleanup": lambda client, job: client.cleanup(job),
        "force": lambda client, job: client.force_retry(job, "chaos"),
        "delete": lambda client, job: client.delete(job, "chaos"),
    }


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]


def end_long_ones(client: Client, asked: Asked) -> None:
    """Cancel what would never end by itself."""
    for job in client.matching(flow="chaos_long"):
        try:
            after = client.cancel(job, "the run is over")
        except Refused:
            continue
        asked.note(Request("cancel", job, True, after.attempt, at=datetime.now(UTC)), after.state)
