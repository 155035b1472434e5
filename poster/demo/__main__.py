"""`python -m poster.demo`: post, run, cancel in the middle, see it reverted, retry, see it complete."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jobboard.models import Job, Task
from jobboard.settings import PREFIX, Settings, read_settings
from jobboard.states import State
from poster.client import Client
from poster.demo.narrator import Narrator
from poster.demo.source import make_source
from poster.post_request import PostRequest

_PACK_S: Final = 4.0  # how long pack is to take
_CANCEL_AT: Final = 0.5  # of pack
_END_S: Final = 15.0
INTERRUPTED: Final = 130


def main() -> int:
    """Run the demo; its exit code."""
    parser = argparse.ArgumentParser(prog="dev.py demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the archive and the database")
    arguments = parser.parse_args()
    narrator = Narrator(sys.stdout)
    folder = Path(tempfile.mkdtemp(prefix="countermand-demo-"))
    try:
        return _demo(folder, narrator)
    except KeyboardInterrupt:
        narrator.say("interrupted")
        return INTERRUPTED
    finally:
        if arguments.keep:
            narrator.say(f"everything is kept in {folder}")
        else:
            _remove(folder)


def _demo(folder: Path, narrator: Narrator) -> int:
    narrator.step("A folder to pack: Python's standard library, copied until packing it takes some seconds")
    source = make_source(folder / "source", _PACK_S)
    narrator.say(f"{source.files:,} files, {source.bytes / 1e6:,.0f} MB")
    target = folder / "out" / "library.tar.gz"
    target.parent.mkdir()
    settings = read_settings({f"{PREFIX}HOME": str(folder / "home")})
    with Client.open(settings) as client, _conductor(settings, folder, narrator):
        request = PostRequest("process_files", {"source": str(folder / "source"), "target": str(target)})
        job = client.post(request)
        narrator.step("A job", f"poster post process_files source={folder.name}/source target={folder.name}/out/…")
        narrator.say(f"job {job}")
        _until_half_packed(client, job, narrator)
        narrator.say(f"on the disk now: {_listed(target.parent)}")
        narrator.step("Cancel, in the middle of pack", f'poster cancel {job} --reason "changed my mind"')
        client.cancel(job, "changed my mind")
        cancelled = _follow(client, job, narrator)
        narrator.receipt(cancelled)
        narrator.say(f"on the disk now: {_listed(target.parent)}")
        narrator.step("Retry: the same job, a new attempt", f"poster retry {job}")
        client.retry(job)
        completed = _follow(client, job, narrator)
        narrator.results(completed)
        narrator.say("verify has read the archive back, and compared every file's SHA-256")
        narrator.say(f"on the disk now: {_listed(target.parent)}")
        narrator.step("What happened", f"poster history {job}")
        narrator.table(client.history(job))
        good = cancelled.state is State.CANCELLED and completed.state is State.COMPLETED
        return 0 if good and target.exists() else 1


@contextlib.contextmanager
def _conductor(settings: Settings, folder: Path, narrator: Narrator) -> Iterator[None]:
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment = {**others, f"{PREFIX}HOME": str(settings.home)}
    log = folder / "conductor.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "conductor", "run", "--name", "demo"],
            env=environment,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends the conductor in order
        )
    narrator.step("A conductor, as a process of its own", "conductor run")
    narrator.say(f"process {process.pid}")
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_half_packed(client: Client, job: str, narrator: Narrator) -> None:
    for seen in client.watch(job):
        narrator.news(seen, client.history(job))
        pack = _task(seen, "pack")
        if pack is not None and (pack.progress >= _CANCEL_AT or pack.finished_at is not None):
            return


def _follow(client: Client, job: str, narrator: Narrator) -> Job:
    last = None
    for last in client.watch(job):
        narrator.news(last, client.history(job))
    assert last is not None, "watch gives a job at least once"  # noqa: S101
    return last


def _task(job: Job, name: str) -> Task | None:
    return next((task for task in job.tasks if task.name == name), None)


def _listed(folder: Path) -> str:
    names = sorted(
        f"{path.relative_to(folder)} ({path.stat().st_size / 1e6:.1f} MB)"
        for path in folder.rglob("*")
        if path.is_file()
    )
    return ", ".join(names) or "nothing"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
