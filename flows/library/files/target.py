"""Where a flow is to make its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from flows.library.files.errors import Unusable
from flows.library.files.replacement import previous_of

Place = Annotated[Path, AfterValidator(Path.absolute)]
"""A path as a parameter: a relative one is meant from where the job is posted, not from where it runs."""


def check_folder_of(target: Path) -> None:
    """Raise `Unusable` if `target` has no folder to stand in."""
    if not target.parent.is_dir():
        raise Unusable(f"target {target}: there is no folder {target.parent}")


def check_file(target: Path, *beside: Path) -> None:
    """Raise `Unusable` if no file can be made at `target` or `beside` it, or one that it replaces not kept."""
    check_folder_of(target)
    if target.is_dir():  # the root too, which has no name, and nothing beside it
        raise Unusable(f"target {target}: is a folder, where a file has to go")
    for file in (previous_of(target), *beside):
        if file.is_dir():
            raise Unusable(f"target {target}: {file} is a folder, where a file has to go")
