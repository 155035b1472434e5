"""Puts a new file in the place of an old one, so that it can be undone."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from flows.library.files.errors import CannotRestore, Changed

LOG = logging.getLogger(__name__)

Stamp = list[int]
"""Tells a file from all others, under whatever name: inode, size, mtime in ns."""


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of the file at `path`, None if there is none."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def previous_of(path: Path) -> Path:
    """Where the file that was replaced at `path` is kept."""
    return path.with_name(f"{path.name}.previous")


@dataclass(frozen=True)
class Replacement:
    """Gives `new` the name `place`; what stood there is kept as `place`.previous.

    Both `do` and `undo` may be stopped anywhere and called again, and tell by stamps how far they had come.
    """

    new: Path
    place: Path
    after: Stamp  # of `new`
    before: Stamp | None  # of what stood at `place` when the job began

    @property
    def previous(self) -> Path:
        return previous_of(self.place)

    @property
    def older(self) -> Path:
        """Where an older `previous` waits for the job's end. In the workplace, so it goes with that."""
        return self.new.with_name(f"{self.new.name}.older")

    def do(self) -> None:
        """Replace. There is a file at `place` at any moment. `Changed` if it is no longer what it was."""
        found = stamp_of(self.place)
        if found == self.after:
            return
        if found != self.before and not (found is None and self._is_kept()):
            raise Changed(f"{self.place}: someone else wrote it while the job ran")
        if self.before is not None and not self._is_kept():
            self._keep()
        self.new.replace(self.place)

    def undo(self) -> None:
        """Put back what was replaced. What someone else has put at `place` since then stays there."""
        found = stamp_of(self.place)
        if self._is_kept():
            self._restore(found)
        elif found == self.after:
            if self.before is not None:
                raise CannotRestore(f"{self.place}: cannot put back what it replaced: {self.previous} is gone")
            self.place.unlink()
        if stamp_of(self.previous) is None and stamp_of(self.older) is not None:
            self.older.replace(self.previous)

    def _is_kept(self) -> bool:
        return self.before is not None and stamp_of(self.previous) == self.before

    def _keep(self) -> None:
        if stamp_of(self.previous) is not None:
            self.previous.replace(self.older)
        try:
            os.link(self.place, self.previous, follow_symlinks=False)
        except OSError:  # a file system without hard links: for a moment there is no file at `place`
            self.place.replace(self.previous)

    def _restore(self, found: Stamp | None) -> None:
        if found == self.before:
            self.previous.unlink()
        elif found in (None, self.after):
            self.previous.replace(self.place)
        else:
            LOG.warning("%s was written by someone else meanwhile, and stays", self.place)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
