"""Where a name in an archive leads. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

from flows.library.download.errors import Unsafe


def inside(name: str) -> PurePosixPath:
    """The name as a path below the folder. Raises `Unsafe` for one that leads out of it, or cannot be."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or (path.parts and path.parts[0].endswith(":")):
        raise Unsafe(f"{name!r} in the archive leads out of the folder")
    return path


def check_link(place: PurePosixPath, target: str) -> None:
    """Raise `Unsafe` if a link at `place` to `target` leads out of the folder.

    Steps upwards are allowed only at the beginning: after the name of another link nobody knows where they lead.
    """
    parts = PurePosixPath(target).parts
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    if PurePosixPath(target).is_absolute() or "\0" in target or ".." in parts[up:] or up > len(place.parts) - 1:
        raise Unsafe(f"the link {str(place)!r} in the archive leads to {target!r}")
