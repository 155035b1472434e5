"""The command `conductor`."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from conductor.service import Conductor
    from jobboard.database import Database
    from jobboard.settings import Settings

WRONG_SETTINGS: Final = 2  # a setting has no usable value, or flows cannot be loaded
SECOND_SIGNAL: Final = 130  # ended at once, jobs are left for others to go on with
_RETRY_S: Final = 2.0


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
def run(slots: int, name: str | None, burst: bool, grace: str, log_level: str, **flags: str | None) -> None:  # noqa: FBT001, RUF100 - click's
    """Claim jobs and run them until SIGTERM or Ctrl-C.

    The first signal claims nothing more, lets running tasks end within the grace time, and hands the jobs back;
    a second one ends at once.

    \b
    Examples:
      conductor run
      conductor run --slots 8 --flows myapp.flows
      conductor run --burst      (for cron: do what is there, then end)
    """
    from conductor.job_log import set_up_logging

    set_up_logging(log_level)
    settings, grace_s = _read(grace, flags)
    database = _open(settings)
    try:
        conductor = _make(database, settings, slots, name, grace_s)
        _on_signals(conductor)
        _run(conductor, burst=burst)
    finally:
        database.close()
    sys.stdout.flush()
    # Threads of tasks that ignore their interruption must not hold the process.
    os._exit(0)


def _read(grace: str, flags: dict[str, Any]) -> tuple[Settings, float]:
    from flows.discovery import load_flows
    from flows.errors import FlowsError
    from jobboard.errors import SettingError
    from jobboard.settings import parse_duration, read_settings

    try:
        settings = read_settings(**flags)
        load_flows(settings.flows)
        return settings, parse_duration(grace)
    except (SettingError, FlowsError, ValueError) as error:
        _fail(str(error))
        raise


def _open(settings: Settings) -> Database:
    """The database; waits for one that cannot be reached, and says so."""
    from jobboard.database import open_database
    from jobboard.errors import DatabaseTooNew, SettingError, Unreachable

    while True:
        try:
            return open_database(settings.database_url)
        except Unreachable as error:
            click.echo(f"conductor: waiting for {error}", err=True)
            time.sleep(_RETRY_S)
        except (SettingError, DatabaseTooNew) as error:
            _fail(str(error))


def _make(database: Database, settings: Settings, slots: int, name: str | None, grace_s: float) -> Conductor:
    from conductor.service import Conductor
    from flows.registry import REGISTRY
    from jobboard.dispatch.opening import open_dispatch
    from jobboard.errors import SettingError

    try:
        dispatch = open_dispatch(database, settings)
    except SettingError as error:
        _fail(str(error))
        raise
    return Conductor(database, dispatch, REGISTRY, settings, slots=slots, name=name, grace_s=grace_s)


def _run(conductor: Conductor, *, burst: bool) -> None:
    from jobboard.errors import Unreachable

    while True:
        try:
            return conductor.run(burst=burst)
        except Unreachable as error:
            click.echo(f"conductor: waiting for {error}", err=True)
            time.sleep(_RETRY_S)


def _on_signals(conductor: Conductor) -> None:
    seen: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if seen:
            os._exit(SECOND_SIGNAL)
        seen.append(number)
        conductor.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def _fail(message: str) -> None:
    click.echo(f"conductor: {message}", err=True)
    sys.exit(WRONG_SETTINGS)
