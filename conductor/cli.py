"""The command `conductor`."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import click

from conductor import garbage

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from conductor.metrics import JobMeter
    from conductor.service import Conductor
    from jobboard.database import Database
    from jobboard.settings import Settings

LOG = logging.getLogger(__name__)

WRONG_SETTINGS: Final = 2  # a setting has no usable value, flows cannot be loaded, or a port is not to be had
SECOND_SIGNAL: Final = 130  # ended at once, jobs are left for others to go on with
_RETRY_S: Final = 2.0
_LOOK_S: Final = 0.25


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Claims jobs from the jobboard and runs their flows."""


@main.command()
@click.option("--slots", type=click.IntRange(1), default=4, show_default=True, help="Jobs at a time.")
@click.option("--name", help="What people call this conductor.  [default: host-pid]")
@click.option("--burst", is_flag=True, help="End when nothing is left to do.")
@click.option("--grace", default="30s", show_default=True, help="Time to hand jobs back after a signal.")
@click.option("--database-url", help="Where the records are: sqlite:////path or postgresql://…")
@click.option("--jobboard-url", help="sql (in the same database), zookeeper://host:port/path, …")
@click.option("--flows", help="Modules with flows, or .py files, comma-separated.")
@click.option("--home", help="Folder for the default database.")
@click.option("--lease", help="Without a sign of life for so long, jobs go to another conductor.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is logged, to standard error.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How it is logged; json: an object a line.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve /metrics for Prometheus; 0: on any free port, which is logged.",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address to serve them on.")
def run(
    slots: int,
    name: str | None,
    burst: bool,  # noqa: FBT001, RUF100 - click's
    grace: str,
    log_level: str,
    log_format: Literal["text", "json"],
    metrics_port: int | None,
    metrics_host: str,
    **flags: str | None,
) -> None:
    """Claim jobs and run them until SIGTERM or Ctrl-C.

    The first signal claims nothing more, lets running tasks end within the grace time, and hands the jobs back;
    a second one ends at once.

    Who reaches the port of --metrics-port may read the metrics: names of flows, and numbers.

    \b
    Examples:
      conductor run
      conductor run --slots 8 --flows myapp.flows
      conductor run --burst      (for cron: do what is there, then end)
      conductor run --log-format json --metrics-port 9100
    """
    garbage.hold()
    from conductor.job_log import set_up_logging
    from conductor.task_output import tasks_output_logged

    set_up_logging(log_level, log_format)
    stop = Stop()
    settings, grace_s = _read(grace, flags)
    # In a thread: a signal's handler must not wait for a lock that the code it interrupts holds.
    with (
        _metrics_served(metrics_host, metrics_port) as registry,
        tasks_output_logged(),
        futures.ThreadPoolExecutor(1, thread_name_prefix="conductor") as thread,
    ):
        how = _How(slots, name, grace_s, registry)
        served = thread.submit(_serve, stop, settings, how, burst=burst)
        # Now and then: a signal that the system gives to another thread does not end the wait of this one.
        while not futures.wait([served], _LOOK_S).done:
            pass
        served.result()
    sys.stdout.flush()
    # Threads of tasks that ignore their interruption must not hold the process.
    os._exit(0)


class Stop:
    """The first SIGTERM or Ctrl-C asks for the end, the second one ends the process at once."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._signals = itertools.count()
        self._conductor: Conductor | None = None
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def tell(self, conductor: Conductor) -> None:
        """Stop this one when it is asked for, or was already."""
        self._conductor = conductor
        if self.asked.is_set():
            conductor.stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if next(self._signals):  # in one step: the second signal may come while this runs for the first
            os._exit(SECOND_SIGNAL)
        self.asked.set()
        if self._conductor is not None:
            self._conductor.stop()


@dataclass(frozen=True)
class _How:
    """What the options say of the conductor to be made."""

    slots: int
    name: str | None
    grace_s: float
    registry: CollectorRegistry | None  # where its metrics belong; None: there are to be none


@contextlib.contextmanager
def _metrics_served(host: str, port: int | None) -> Iterator[CollectorRegistry | None]:
    """Serve metrics until the block ends, if a port is given. A port that cannot be had ends the process."""
    if port is None:
        yield None
        return
    from conductor.metrics import serve

    try:
        serving = serve(host, port)
    except OSError as error:
        _fail(f"--metrics-port={port}: cannot listen on {host}: {error.strerror or error}")
    with serving as registry:
        yield registry


def _serve(stop: Stop, settings: Settings, how: _How, *, burst: bool) -> None:
    database = _open(stop, settings)
    if database is None:
        return
    try:
        conductor = _make(database, settings, how)
        stop.tell(conductor)
        _run(stop, conductor, burst=burst)
    finally:
        database.close()


def _read(grace: str, flags: dict[str, Any]) -> tuple[Settings, float]:
    from flows.discovery import load_flows
    from flows.errors import FlowsError
    from flows.interrupt.child import preload
    from jobboard.errors import SettingError
    from jobboard.settings import parse_duration, read_settings

    try:
        settings = read_settings(**flags)
        load_flows(settings.flows)
        preload(settings.flows)
    except (SettingError, FlowsError) as error:
        _fail(str(error))
    try:
        return settings, parse_duration(grace)
    except ValueError as error:
        _fail(f"--grace={grace}: {error}")


def _open(stop: Stop, settings: Settings) -> Database | None:
    """The database; waits for one that cannot be reached, and says so. None if the end was asked for meanwhile."""
    from jobboard.database import open_database
    from jobboard.errors import DatabaseTooNew, SettingError, Unreachable

    while not stop.asked.is_set():
        try:
            return open_database(settings.database_url)
        except Unreachable as error:
            _wait(stop, error)
        except (SettingError, DatabaseTooNew) as error:
            _fail(str(error))
    return None


def _make(database: Database, settings: Settings, how: _How) -> Conductor:
    from conductor.service import Conductor
    from flows.registry import REGISTRY
    from jobboard.dispatch.opening import open_dispatch
    from jobboard.errors import SettingError

    meter = _meter(how, database)
    try:
        dispatch = open_dispatch(database, settings)
        conductor = Conductor(
            database,
            dispatch,
            REGISTRY,
            settings,
            slots=how.slots,
            name=how.name,
            grace_s=how.grace_s,
            meter=meter,
        )
    except SettingError as error:
        _fail(str(error))
    if meter is not None:
        meter.watch(conductor)
    return conductor


def _meter(how: _How, database: Database) -> JobMeter | None:
    if how.registry is None:
        return None
    from conductor.metrics import JobMeter
    from flows.registry import REGISTRY

    return JobMeter(how.registry, database, [spec.name for spec in REGISTRY])


def _run(stop: Stop, conductor: Conductor, *, burst: bool) -> None:
    from jobboard.errors import Unreachable

    garbage.settle()
    while not stop.asked.is_set():
        try:
            conductor.run(burst=burst)
        except Unreachable as error:
            _wait(stop, error)
        else:
            return


def _wait(stop: Stop, error: Exception) -> None:
    LOG.warning("waiting for %s", error)
    stop.asked.wait(_RETRY_S)


def _fail(message: str) -> NoReturn:
    click.echo(f"conductor: {message}", err=True)
    sys.exit(WRONG_SETTINGS)
