"""How `poster serve` bears many open streams and many requests at once, while a conductor works."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import psutil

from benchmarks.conductor_process import ROOT, conductor, environment
from benchmarks.figure import Reading
from benchmarks.lab import Lab
from benchmarks.sizes import Sizes
from benchmarks.systems import System
from benchmarks.three_steps import NAME

_FLOWS: Final = "benchmarks.three_steps"
_MB: Final = 1_000_000
_STOP_S: Final = 30.0
_ASKED: Final = 10  # requests: one posts a job, one cancels what waits, one asks for numbers, the rest for one job
_LISTS: Final = (3, 4)  # of them, those that ask for 50 jobs


@dataclass
class Asked:
    """What became of all requests, and of the server."""

    took_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    events: int = 0
    job: str = ""  # the last one that was posted
    before_mb: float = 0.0  # the server's memory when it was warm, with all streams open
    after_mb: float = 0.0  # and at the end


def measure(lab: Lab, sizes: Sizes, system: System) -> Iterator[Reading]:
    """Times of requests, errors, and the memory of the server."""
    with lab.place(system) as place, lab.folder() as folder:
        url = place.database_url
        with _server(url, folder) as (process, address), conductor(url, _FLOWS, folder, "--slots=2"):
            asked = asyncio.run(_load(address, sizes, process.pid))
            stopped_s = _stopped(process)
        if asked.errors:
            raise RuntimeError(f"{len(asked.errors)} requests or streams failed: {asked.errors[0]}")
    what = f"a request, beside {sizes.streams} streams and {sizes.requests_per_s} requests a second"
    for took_ms in asked.took_ms:
        yield Reading(f"http:{system.key}", f"{what}: {system.name}", "ms", took_ms)
    yield Reading(
        f"http:events:{system.key}",
        f"events told to {sizes.streams} streams: {system.name}",
        "events/s",
        asked.events / sizes.serving_s,
    )
    yield Reading(f"http:memory:{system.key}", f"memory of the server: {system.name}", "MB", asked.before_mb)
    yield Reading(
        f"http:growth:{system.key}",
        f"memory added in {sizes.serving_s:g} s of that: {system.name}",
        "MB",
        asked.after_mb - asked.before_mb,
    )
    yield Reading(f"http:stop:{system.key}", f"from SIGTERM to its end: {system.name}", "s", stopped_s)


@contextlib.contextmanager
def _server(url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "poster", "serve", "--port=0"],
            cwd=ROOT,
            env=environment(url, _FLOWS, folder),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()  # closes the pipe, too
        sys.stderr.write((folder / "server.log").read_text(errors="replace"))


def _stopped(process: subprocess.Popen[str]) -> float:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(_STOP_S)
    if code:
        raise RuntimeError(f"the server ended with {code}")
    return time.monotonic() - began


async def _load(address: str, sizes: Sizes, pid: int) -> Asked:
    """Streams that are read, and requests: first for a while that is not measured."""
    asked = Asked()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with (
        httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as http,
        asyncio.TaskGroup() as group,
    ):
        opened = asyncio.Barrier(sizes.streams + 1)
        readers = [group.create_task(_read(address, asked, opened)) for _ in range(sizes.streams)]
        await opened.wait()
        await _ask_on(http, Asked(), sizes.requests_per_s, sizes.serving_warm_up_s)
        asked.events, asked.before_mb = 0, _memory_mb(pid)
        await _ask_on(http, asked, sizes.requests_per_s, sizes.serving_s)
        asked.after_mb = _memory_mb(pid)
        for reader in readers:
            reader.cancel()
    return asked


async def _ask_on(http: httpx.AsyncClient, asked: Asked, per_s: int, seconds: float) -> None:
    """Requests at their times, whether the ones before were answered or not; until all are."""
    async with asyncio.TaskGroup() as requests:
        async for number in _beats(per_s, seconds):
            requests.create_task(_ask(http, asked, number))


async def _beats(per_s: int, seconds: float) -> AsyncIterator[int]:
    began = time.monotonic()
    for number in itertools.count():
        due = began + number / per_s
        if due >= began + seconds:
            return
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield number


async def _read(address: str, asked: Asked, opened: asyncio.Barrier) -> None:
    """By hand: what an HTTP client does with each line would be most of what is measured."""
    server = urlsplit(address)
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    with contextlib.closing(writer):
        writer.write(f"GET /api/events HTTP/1.1\r\nHost: {server.netloc}\r\n\r\n".encode())
        await reader.readuntil(b"event: begin")
        await opened.wait()
        while told := await reader.read(65536):
            asked.events += told.count(b"event: ")
    asked.errors.append("a stream ended")


async def _ask(http: httpx.AsyncClient, asked: Asked, number: int) -> None:
    kind = number % _ASKED
    began = time.monotonic()
    try:
        if kind == 0:
            answered = await http.post("/api/jobs", json={"flow": NAME})
            asked.job = answered.json().get("id", asked.job)
        elif kind == 1:
            answered = await http.post("/api/jobs/cancel", json={"filter": {"state": "pending"}})
        elif kind == 2:
            answered = await http.get("/api/stats")
        elif kind in _LISTS:
            answered = await http.get("/api/jobs", params={"limit": 50})
        else:
            answered = await http.get(f"/api/jobs/{asked.job}" if asked.job else "/api/jobs?limit=1")
    except httpx.HTTPError as error:
        asked.errors.append(f"{type(error).__name__}: {error}")
        return
    asked.took_ms.append((time.monotonic() - began) * 1000)
    if not answered.is_success:
        asked.errors.append(f"{answered.status_code}: {answered.text}")


def _memory_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / _MB)
