"""Where `process_files` makes its files before they are published."""

from __future__ import annotations

from pathlib import Path

from flows.library.files.workplace import Workplace


class PackingPlace(Workplace):
    """The files of one job."""

    @property
    def listing(self) -> Path:
        """What scan found."""
        return self.folder / "listing.jsonl"

    @property
    def manifest(self) -> Path:
        """The same with checksums: what is published beside the archive."""
        return self.folder / "manifest.jsonl"

    @property
    def archive(self) -> Path:
        return self.folder / "archive.tar.gz"
