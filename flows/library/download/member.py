"""What is in an archive, of whatever format: one after the other, each with its content."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final, Literal

from flows.library.files.errors import Damaged, Unusable

Kind = Literal["file", "folder", "link", "same", "other"]
"""`link`: symbolic. `same`: another name of a file that came before. `other`: a device, a pipe."""

_TAR_KINDS: Final[dict[bytes, Kind]] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.LNKTYPE: "same",
}
_LONGEST_TARGET: Final = 4096
_ENCRYPTED: Final = 0x1


@dataclass(frozen=True)
class Member:
    """One entry."""

    name: str
    kind: Kind
    target: str  # of a link: where to; of another name: which file
    executable: bool
    open: Callable[[], IO[bytes] | None]


@contextmanager
def members_of(archive: IO[bytes]) -> Iterator[Iterator[Member]]:
    """The members, to be taken one after the other. `Unusable` if it is neither tar nor zip."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _of_zip(opened)
        return
    archive.seek(0)
    try:
        tar = tarfile.open(fileobj=archive, mode="r:*")  # noqa: SIM115 - closed below
    except tarfile.ReadError as error:
        raise Unusable(f"what was fetched is neither a tar nor a zip archive: {error}") from error
    with tar:
        yield _of_tar(tar)


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    try:
        while (info := archive.next()) is not None:
            kind = _TAR_KINDS.get(info.type, "other")
            yield Member(
                name=info.name,
                kind=kind,
                target=info.linkname,
                executable=bool(info.mode & stat.S_IXUSR),
                open=lambda info=info: archive.extractfile(info),  # type: ignore[misc]
            )
            archive.members = []  # type: ignore[attr-defined]  # it would remember every one
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Damaged(f"the archive is damaged: {error}") from error


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        if info.flag_bits & _ENCRYPTED:
            raise Unusable(f"{info.filename!r} in the archive is encrypted")
        mode = info.external_attr >> 16
        kind: Kind = "folder" if info.is_dir() else "link" if stat.S_ISLNK(mode) else "file"
        yield Member(
            name=info.filename,
            kind=kind,
            target=_target_in(archive, info) if kind == "link" else "",
            executable=bool(mode & stat.S_IXUSR),
            open=lambda info=info: archive.open(info),  # type: ignore[misc]
        )


def _target_in(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    with archive.open(info) as content:
        return content.read(_LONGEST_TARGET).decode(errors="surrogateescape")
