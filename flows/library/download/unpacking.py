"""Unpacks an archive that nobody vouches for."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Final

from flows.library.download.errors import Unsafe
from flows.library.download.member import Member, members_of
from flows.library.download.safe_path import check_link, inside
from flows.library.files.errors import Damaged, TooLarge

_CHUNK: Final = 1 << 20

Passing = Callable[[Iterable[bytes]], Iterator[bytes]]
"""Lets chunks pass, and looks whether to stop."""


@dataclass
class Unpacking:
    """Unpacks into one folder. Links come last: nothing is ever written through one."""

    folder: Path
    most_bytes: int
    most_files: int
    files: int = 0
    written: int = 0  # bytes
    _links: list[tuple[PurePosixPath, str]] = field(default_factory=list)

    def unpack(self, archive: IO[bytes], passing: Passing) -> None:
        """Make all that is in it. Raises `Unusable`, `Unsafe`, `TooLarge`, `Damaged`."""
        with members_of(archive) as members:
            for member in members:
                self._count(member)
                self._make(member, passing)
        for place, target in self._links:
            (self.folder / place).symlink_to(target)

    def _count(self, member: Member) -> None:
        self.files += 1
        if self.files > self.most_files:
            raise TooLarge(f"the archive has more entries than max_files, {self.most_files:,}: {member.name!r}, …")

    def _make(self, member: Member, passing: Passing) -> None:
        place = inside(member.name)
        path = self.folder / place
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.kind == "file":
            self._write(member, path, passing)
        elif member.kind == "link":
            check_link(place, member.target)
            self._links.append((place, member.target))
        elif member.kind == "same":
            os.link(self.folder / inside(member.target), path, follow_symlinks=False)
        else:
            raise Unsafe(f"{member.name!r} in the archive is neither file nor link nor folder")

    def _write(self, member: Member, path: Path, passing: Passing) -> None:
        content = member.open()
        if content is None:
            raise Damaged(f"{member.name!r} in the archive has no content")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with content, os.fdopen(os.open(path, flags, 0o755 if member.executable else 0o644), "wb") as file:
            for chunk in passing(_chunks(content, member.name)):
                self.written += len(chunk)
                if self.written > self.most_bytes:
                    raise TooLarge(f"what is in the archive is more than max_unpacked_bytes, {self.most_bytes:,}")
                file.write(chunk)


def _chunks(content: IO[bytes], name: str) -> Iterator[bytes]:
    try:
        while chunk := content.read(_CHUNK):
            yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise Damaged(f"{name!r} in the archive is damaged: {error}") from error
