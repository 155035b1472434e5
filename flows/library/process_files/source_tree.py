"""Reads a folder that others may change meanwhile."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from flows.library.files.errors import Changed
from flows.library.process_files.entry import Entry, Kind

CHUNK_BYTES = 256 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# What opening gives where there was something else a moment ago.
_NOT_THE_SAME = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_TAR_TYPES = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "folder": tarfile.DIRTYPE}


class SourceTree:
    """What is below a folder. No link there is ever followed, and nothing but files and folders is opened.

    Each entry is reached from the folder that holds it, so a folder swapped for a link leads nowhere, and no
    path is too long. Raises `Changed` for what is no longer as it was, else an `OSError` with the path.
    """

    def __init__(self, root: Path) -> None:
        self._root_path = root
        self._root = os.open(root, _FOLDER)
        self._near: tuple[str, int] | None = None  # the folder used last: entries come folder by folder

    def __enter__(self) -> SourceTree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave_near()
        os.close(self._root)

    def walk(self) -> Iterator[Entry]:
        """Everything below, each folder before what is in it, sorted by name. Holds the names of a folder."""
        folders = [self._inside("")]
        while folders:
            for path in folders[-1]:
                entry = self._look(path)
                yield entry
                if entry.kind == "folder":
                    folders.append(self._inside(path))
                    break
            else:
                folders.pop()

    def header(self, entry: Entry) -> tarfile.TarInfo:
        """What a tar says about `entry`: mode, time, and the numbers of owner and group."""
        with self._telling(entry.path):
            status = self._status(entry.path)
            self._expect(entry, self._entry(entry.path, status))
        info = tarfile.TarInfo(entry.path)
        info.type = _TAR_TYPES[entry.kind]
        info.mode = stat.S_IMODE(status.st_mode)
        info.mtime = status.st_mtime_ns // 1_000_000_000
        info.uid, info.gid = status.st_uid, status.st_gid
        info.size = entry.size or 0
        info.linkname = entry.link or ""
        return info

    @contextmanager
    def open(self, entry: Entry) -> Iterator[Iterator[bytes]]:
        """The content of `entry`, in chunks; none for what is no file."""
        if entry.kind != "file":
            yield iter(())
            return
        with self._telling(entry.path):
            self._expect(entry, self._entry(entry.path, self._status(entry.path)))
            folder, name = self._at(entry.path)
            file = io.FileIO(os.open(name, _FILE, dir_fd=folder))
        with file:
            yield self._chunks(entry, file)

    def _chunks(self, entry: Entry, file: io.FileIO) -> Iterator[bytes]:
        left = entry.size or 0
        with self._telling(entry.path):
            self._expect(entry, self._entry(entry.path, os.fstat(file.fileno())))
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
            if left or file.read(1):
                raise self._changed(entry.path)
            self._expect(entry, self._entry(entry.path, os.fstat(file.fileno())))

    def _look(self, path: str) -> Entry:
        with self._telling(path):
            return self._entry(path, self._status(path))

    def _entry(self, path: str, status: os.stat_result) -> Entry:
        kind = _kind(status.st_mode)
        if kind == "file":
            return Entry(path, kind, size=status.st_size, mtime_ns=status.st_mtime_ns)
        if kind == "link":
            folder, name = self._at(path)
            return Entry(path, kind, link=os.readlink(name, dir_fd=folder))
        return Entry(path, kind)

    def _expect(self, entry: Entry, found: Entry) -> None:
        if not entry.is_still(found):
            raise self._changed(entry.path)

    def _status(self, path: str) -> os.stat_result:
        folder, name = self._at(path)
        return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def _inside(self, path: str) -> Iterator[str]:
        with self._telling(path), os.scandir(self._folder(path)) as found:
            names = sorted(entry.name for entry in found)
        before = f"{path}/" if path else ""
        return (before + name for name in names)

    def _at(self, path: str) -> tuple[int, str]:
        outer, _, name = path.rpartition("/")
        return self._folder(outer), name

    def _folder(self, path: str) -> int:
        if self._near is not None and self._near[0] == path:
            return self._near[1]
        self._leave_near()
        folder = os.dup(self._root)
        for name in filter(None, path.split("/")):
            outer = folder
            try:
                folder = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
            finally:
                os.close(outer)
        self._near = (path, folder)
        return folder

    def _leave_near(self) -> None:
        if self._near is not None:
            os.close(self._near[1])
            self._near = None

    @contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        """Errors in here are about `path`, though the system was asked for its last part only."""
        try:
            yield
        except OSError as error:
            if error.errno in _NOT_THE_SAME:
                raise self._changed(path) from error
            raise OSError(error.errno, error.strerror, str(self._root_path / path)) from error

    def _changed(self, path: str) -> Changed:
        return Changed(f"{str(self._root_path / path)!r} changed or vanished while the job ran: run it again")


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISLNK(mode):
        return "link"
    return "folder" if stat.S_ISDIR(mode) else "special"
