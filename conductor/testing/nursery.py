"""Has conductors for tests at once: forks of a process that has imported all they need, and does nothing else.

`python -m conductor.testing.nursery` reads from stdin what to run, a `Birth` as JSON a line, one at a time. It
writes the number of the process, and, when that has ended, its exit code as `subprocess` has it. When stdin ends,
so does what runs.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

_LONGEST_END_S: Final = 10.0


@dataclass(frozen=True)
class Birth:
    """What a conductor is to do, and where."""

    plan: dict[str, Any]
    environment: dict[str, str]
    folder: str
    path: list[str]  # `sys.path`
    told: str  # the file that stdout goes to
    log: str  # the file that stderr goes to


class Nursery:
    """The process, as a test has it. Started with the first child."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, plan: dict[str, Any], environment: dict[str, str], told: Path, log: Path) -> Child:
        """A conductor for this plan."""
        if self._process is None:
            self._process = _started()
        birth = Birth(plan, environment, str(Path.cwd()), sys.path, str(told), str(log))
        wish, news = self._process.stdin, self._process.stdout
        if wish is None or news is None:
            raise AssertionError("they are pipes")
        wish.write(json.dumps(asdict(birth)).encode() + b"\n")
        return Child(int(news.readline()), news)

    def close(self) -> None:
        """End it, and what it still runs."""
        if self._process is not None:
            self._process.communicate(timeout=_LONGEST_END_S)


@dataclass(frozen=True)
class Child:
    """A conductor."""

    number: int
    _news: IO[bytes]

    def ended(self, within_s: float) -> int | None:
        """Its exit code, once it has ended; None if it has not within this time."""
        if not select.select([self._news], [], [], within_s)[0]:
            return None
        return int(self._news.readline())

    def kill(self) -> None:
        """As `kill -9` does."""
        with suppress(ProcessLookupError):
            os.kill(self.number, signal.SIGKILL)

    def end(self) -> None:
        """Kill it, and wait for its end."""
        self.kill()
        self.ended(_LONGEST_END_S)


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "conductor.testing.nursery"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # what is read ahead is not seen by `select`
    )


def main() -> None:
    """Run what is wished for."""
    from conductor.testing import child  # noqa: F401, PLC0415 - so that no fork has to

    for line in iter(sys.stdin.readline, ""):
        _bear(Birth(**json.loads(line)))


def _bear(birth: Birth) -> None:
    alive, held = os.pipe()  # closed by its end, whatever ends it
    number = os.fork()
    if not number:
        os.close(alive)
        _live(birth)
    os.close(held)
    _tell(number)
    if sys.stdin in select.select([alive, sys.stdin], [], [])[0]:  # who has wished for it is gone
        os.kill(number, signal.SIGKILL)
    _tell(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
    os.close(alive)


def _live(birth: Birth) -> None:
    """Never returns."""
    from conductor.testing import child  # noqa: PLC0415

    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, file in ((1, birth.told), (2, birth.log)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
        os.environ.clear()
        os.environ.update(birth.environment)
        os.chdir(birth.folder)
        sys.path[:] = birth.path
        random.seed()
        child.run(birth.plan)
        code = 0
    except BaseException:  # noqa: BLE001 - it ends here, and says why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
