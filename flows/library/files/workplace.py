"""Where a job makes its files before they are published."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flows.library.files.errors import Busy


@dataclass(frozen=True)
class Workplace:
    """A hidden folder beside the target, on its file system, named for the target and the job.

    So a task that is executed again after a crash, and a revert that knows nothing else, find it by its name,
    and no job ever touches another's. It is also the sign that a job is writing to this target. In a plain
    TaskFlow engine there is no job to name it for: do not run two of those on one target at once.
    """

    target: Path
    job: str

    @property
    def folder(self) -> Path:
        return self.target.parent / f"{self._before}{self.job or 'local'}{self._after}"

    def claim(self) -> None:
        """Make the folder. `Busy` if another job has one for this target.

        Of two that do this at the same time at least one sees the other.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for found in self.target.parent.iterdir():
            if found != self.folder and self._is_workplace(found.name):
                raise Busy(
                    f"{self.target}: another job is writing to it, in {found.name}: "
                    "wait for its end, or remove that folder if there is no such job"
                )

    def remove(self) -> None:
        """Remove the folder, with all that is in it."""
        remove_tree(self.folder)

    @property
    def _before(self) -> str:
        return f".{self.target.name}."

    @property
    def _after(self) -> str:
        return ".work"

    def _is_workplace(self, name: str) -> bool:
        owner = name.removeprefix(self._before).removesuffix(self._after)
        # With a dot in it, it is the workplace for a target whose name goes on where this one ends.
        return name == f"{self._before}{owner}{self._after}" and "." not in owner


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    if os.path.lexists(folder):
        shutil.rmtree(folder)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that did not exist, on the disk when this ends. What a crash left there is removed first."""
    path.unlink(missing_ok=True)
    try:
        with path.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        # A full disk is reported without a name.
        raise OSError(error.errno, error.strerror, str(path)) from error
