"""Whether source and target can be used at all: looked at before anything is made."""

from __future__ import annotations

from pathlib import Path

from flows.library.files.errors import Unusable
from flows.library.files.replacement import previous_of
from flows.library.files.target import check_file


def manifest_of(target: Path) -> Path:
    """Where the manifest of the archive `target` is published."""
    return target.with_name(f"{target.name}.manifest.jsonl")


def check_places(source: Path, target: Path) -> None:
    """Raise `Unusable` if `source` is no folder, or the archive cannot stand at `target`."""
    if not source.is_dir():
        raise Unusable(f"source {source}: there is no such folder")
    if target.is_dir():
        raise Unusable(f"target {target}: is a folder: name the archive to make in it")
    check_file(target, manifest_of(target), previous_of(manifest_of(target)))
    for folder in (target.parent.resolve(), *target.parent.resolve().parents):
        if folder.samefile(source):
            raise Unusable(f"target {target}: is inside the source {source}: it would be packed into itself")
