"""Where `download` makes its files before they are published."""

from __future__ import annotations

from pathlib import Path

from flows.library.files.workplace import Workplace


class DownloadPlace(Workplace):
    """The files of one job."""

    @property
    def part(self) -> Path:
        """What has come so far; in the end all of it."""
        return self.folder / "part"

    @property
    def unpacked(self) -> Path:
        return self.folder / "unpacked"
