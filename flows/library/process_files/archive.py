"""Writes and reads a tar.gz of any size, with any number of entries, in constant memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import IO, Any

from flows.library.files.errors import Damaged
from flows.library.process_files.entry import Entry, Kind
from flows.library.process_files.source_tree import CHUNK_BYTES

Passing = Callable[[Iterable[bytes]], Iterator[bytes]]

_KINDS: dict[bytes, Kind] = {tarfile.REGTYPE: "file", tarfile.SYMTYPE: "link", tarfile.DIRTYPE: "folder"}


class ArchiveWriter:
    """Writes entries one after the other. The same entries give the same bytes.

    The headers are tarfile's, in GNU's format, which takes names of any bytes and length. A `TarFile` would
    remember every one of them.
    """

    def __init__(self, file: IO[bytes], level: int) -> None:
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=file, mtime=0)
        self._written = 0

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write(bytes(2 * tarfile.BLOCKSIZE))
            self._fill_up(tarfile.RECORDSIZE)
        self._gzip.close()

    def add(self, header: tarfile.TarInfo, content: Iterable[bytes]) -> None:
        """Write one entry. `content` has as many bytes as `header` says."""
        self._write(header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        for chunk in content:
            self._write(chunk)
        self._fill_up(tarfile.BLOCKSIZE)

    def _fill_up(self, unit: int) -> None:
        self._write(bytes(-self._written % unit))

    def _write(self, data: bytes) -> None:
        self._gzip.write(data)
        self._written += len(data)


class ArchiveReader:
    """Reads an archive from its first byte to its last. Raises `Damaged`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = _Hashed(file)

    @property
    def sha256(self) -> str:
        """Of the archive itself, once all entries were read."""
        return self._file.digest.hexdigest()

    def entries(self, passing: Passing) -> Iterator[Entry]:
        """What is in it. The content of each file goes through `passing`, chunk by chunk."""
        try:
            with gzip.GzipFile(filename="", mode="rb", fileobj=io.BufferedReader(self._file)) as unpacked:
                yield from _entries(unpacked, passing)
        except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError) as error:
            raise Damaged(f"the archive cannot be read back: {error}") from error


def _entries(unpacked: gzip.GzipFile, passing: Passing) -> Iterator[Entry]:
    with tarfile.open(
        fileobj=unpacked, mode="r|", bufsize=CHUNK_BYTES, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        while (info := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would remember each
            yield _entry(tar, info, passing)
    while unpacked.read(CHUNK_BYTES):
        pass  # gzip compares its checksum at the end


def _entry(tar: tarfile.TarFile, info: tarfile.TarInfo, passing: Passing) -> Entry:
    kind = _KINDS.get(info.type, "special")
    if kind == "link":
        return Entry(info.name, kind, link=info.linkname)
    content = tar.extractfile(info) if kind == "file" else None
    if content is None:
        return Entry(info.name, kind)
    digest = hashlib.sha256()
    with content:
        for chunk in passing(iter(partial(content.read, CHUNK_BYTES), b"")):
            digest.update(chunk)
    mtime_ns = int(info.mtime) * 1_000_000_000
    return Entry(info.name, kind, size=info.size, mtime_ns=mtime_ns, sha256=digest.hexdigest())


class _Hashed(io.RawIOBase):
    """Passes a file on, and sums up what goes through."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._file.read(len(buffer))
        self.digest.update(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)
