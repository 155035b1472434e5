"""How one film is made of scenes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from flows.library.files.errors import Damaged, Unusable
from flows.library.files.target import check_file

PLAIN: Final = ".y4m"
"""Uncompressed pictures, one after the other: https://wiki.multimedia.cx/index.php/YUV4MPEG2."""

_BY_FFMPEG: Final = (".mp4", ".mkv", ".mov", ".webm")
_CHUNK: Final = 1 << 20
_LONGEST_HEADER: Final = 1024


def as_film(target: Path) -> Path:
    """`target`, if its ending says what kind of film it is to be."""
    if target.suffix not in (PLAIN, *_BY_FFMPEG):
        raise ValueError(f"a film ends in {PLAIN}, or, made by ffmpeg, in {' '.join(_BY_FFMPEG)}")
    return target


def check_film(target: Path) -> None:
    """Raise `Unusable` if that film cannot be made here."""
    check_file(target)
    if target.suffix != PLAIN and shutil.which("ffmpeg") is None:
        raise Unusable(
            f"target {target}: there is no ffmpeg on this conductor's host to make it: "
            f"install it, or name a film that ends in {PLAIN}"
        )


def ffmpeg(listing: Path, film: Path) -> list[str]:
    """The command that makes `film` of the scenes in `listing`, in their folder."""
    quiet = ["-nostdin", "-hide_banner", "-loglevel", "warning"]
    return ["ffmpeg", *quiet, "-y", "-f", "concat", "-i", listing.name, film.name]


def in_listing(scenes: Iterable[Path]) -> str:
    """What the listing says."""
    return "".join(f"file '{scene.name}'\n" for scene in scenes)


def joined(scenes: Iterable[Path]) -> Iterator[bytes]:
    """One film of y4m files, chunk by chunk: the header of the first, then everyone's pictures.

    Raises `Damaged` if one is none, or is of another size or speed.
    """
    header = None
    for scene in scenes:
        with scene.open("rb") as file:
            found = _header(file, scene)
            if header is None:
                yield found
            elif found != header:
                raise Damaged(f"{scene.name} does not fit the first scene: it is {found!r}, and that {header!r}")
            header = found
            while chunk := file.read(_CHUNK):
                yield chunk


def _header(file: IO[bytes], scene: Path) -> bytes:
    header = file.readline(_LONGEST_HEADER)
    if not header.startswith(b"YUV4MPEG2 ") or not header.endswith(b"\n"):
        raise Damaged(f"{scene.name}: what the service sent is no y4m: it begins with {header[:40]!r}")
    return header
