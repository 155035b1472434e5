"""The five tasks of `process_files`.

Each finds the files of the ones before it in the job's workplace; results are only what the next task, or a
person, wants to know.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from flows import CancelableTask
from flows.library.files.errors import Damaged
from flows.library.files.meter import Meter
from flows.library.files.replacement import Replacement, Stamp, stamp_of, sync_folder
from flows.library.files.workplace import new_file
from flows.library.process_files.archive import ArchiveReader, ArchiveWriter
from flows.library.process_files.entry import entries_in
from flows.library.process_files.places import check_places, manifest_of
from flows.library.process_files.source_tree import SourceTree
from flows.library.process_files.workplace import PackingPlace

LOG = logging.getLogger(__name__)


class Scan(CancelableTask):
    """Check that the job can be done, and list what is to be packed. Its revert removes the workplace."""

    default_provides = ("files", "folders", "links", "skipped", "source_bytes", "replaces")

    def execute(self, source: Path, target: Path, pattern: str) -> tuple[Any, ...]:
        check_places(source, target)
        work = PackingPlace(target, self.job)
        work.claim()
        counts: Counter[str] = Counter()
        size = 0
        with SourceTree(source) as tree, new_file(work.listing) as listing:
            for entry in self.track(tree.walk()):
                if not entry.matches(pattern):
                    continue
                counts[entry.kind] += 1
                size += entry.size or 0
                if entry.kind == "special":
                    LOG.warning("skipped %r, which is a socket, a pipe or a device", entry.path)
                else:
                    listing.write(entry.line())
        replaces = {"archive": stamp_of(target), "manifest": stamp_of(manifest_of(target))}
        return counts["file"], counts["folder"], counts["link"], counts["special"], size, replaces

    def revert(self, target: Path, **_: Any) -> None:
        PackingPlace(target, self.job).remove()


class Checksum(CancelableTask):
    """Read each file for its SHA-256, into the manifest. Its revert removes that."""

    default_provides = "manifest_stamp"

    def execute(self, source: Path, target: Path, source_bytes: int) -> Stamp | None:
        work = PackingPlace(target, self.job)
        meter = Meter(self, source_bytes)
        with (
            SourceTree(source) as tree,
            entries_in(work.listing) as entries,
            new_file(work.manifest) as manifest,
        ):
            for entry in entries:
                self.checkpoint()
                digest = hashlib.sha256()
                with tree.open(entry) as content:
                    for chunk in meter.passing(content):
                        digest.update(chunk)
                sha256 = digest.hexdigest() if entry.kind == "file" else None
                manifest.write(replace(entry, sha256=sha256).line())
        return stamp_of(work.manifest)

    def revert(self, target: Path, **_: Any) -> None:
        PackingPlace(target, self.job).manifest.unlink(missing_ok=True)


class Pack(CancelableTask):
    """Pack what the manifest lists. Its revert removes the archive, however much there is of it."""

    default_provides = "archive_stamp"

    def execute(self, source: Path, target: Path, level: int, source_bytes: int) -> Stamp | None:
        work = PackingPlace(target, self.job)
        meter = Meter(self, source_bytes)
        with (
            SourceTree(source) as tree,
            entries_in(work.manifest) as entries,
            new_file(work.archive) as file,
            ArchiveWriter(file, level) as archive,
        ):
            for entry in entries:
                self.checkpoint()
                with tree.open(entry) as content:
                    archive.add(tree.header(entry), meter.passing(content))
        return stamp_of(work.archive)

    def revert(self, target: Path, **_: Any) -> None:
        PackingPlace(target, self.job).archive.unlink(missing_ok=True)


class Verify(CancelableTask):
    """Read the archive back, and compare every entry with the manifest. There is nothing to revert."""

    default_provides = "sha256"

    def execute(self, target: Path, source_bytes: int) -> str:
        work = PackingPlace(target, self.job)
        meter = Meter(self, source_bytes)
        with work.archive.open("rb") as file, entries_in(work.manifest) as entries:
            archive = ArchiveReader(file)
            for wanted, found in zip_longest(entries, archive.entries(meter.passing)):
                self.checkpoint()
                if wanted is None or found != wanted.in_archive():
                    path = (wanted or found).path
                    raise Damaged(f"the archive does not have {path!r} as it was read from the source")
        return archive.sha256


class Publish(CancelableTask):
    """Give archive and manifest their names. Its revert puts back what they replaced."""

    default_provides = ("archive", "manifest")

    def execute(
        self, target: Path, replaces: dict[str, Stamp | None], archive_stamp: Stamp, manifest_stamp: Stamp
    ) -> tuple[str, str]:
        work = PackingPlace(target, self.job)
        replacements = _replacements(work, replaces, archive_stamp, manifest_stamp)
        for done, replacement in enumerate(replacements):
            self.update_progress(done / len(replacements), done=done, total=len(replacements))
            replacement.do()
        sync_folder(target.parent)
        self.update_progress(1.0)
        work.remove()
        return str(target), str(manifest_of(target))

    def revert(
        self,
        target: Path,
        replaces: dict[str, Stamp | None],
        archive_stamp: Stamp,
        manifest_stamp: Stamp,
        **_: Any,
    ) -> None:
        work = PackingPlace(target, self.job)
        for replacement in _replacements(work, replaces, archive_stamp, manifest_stamp):
            replacement.undo()
        sync_folder(target.parent)


def _replacements(
    work: PackingPlace, replaces: dict[str, Stamp | None], archive_stamp: Stamp, manifest_stamp: Stamp
) -> tuple[Replacement, Replacement]:
    return (
        Replacement(work.archive, work.target, archive_stamp, replaces["archive"]),
        Replacement(work.manifest, manifest_of(work.target), manifest_stamp, replaces["manifest"]),
    )
