"""The four tasks of `download`."""

from __future__ import annotations

import builtins
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import HttpUrl

from flows import CancelableTask
from flows.library.download.unpacking import Unpacking
from flows.library.download.workplace import DownloadPlace
from flows.library.files.errors import Changed, Damaged, Unusable
from flows.library.files.meter import Meter
from flows.library.files.replacement import Replacement, Stamp, stamp_of, sync_folder
from flows.library.files.target import check_file, check_folder_of
from flows.library.files.workplace import remove_tree

_CHUNK: Final = 1 << 20


class Fetch(CancelableTask):
    """Fetch it into the job's workplace. What is there of it after a crash is gone on with."""

    default_provides = ("bytes", "replaces")

    async def execute(self, url: HttpUrl, target: Path, unpack: bool, max_bytes: int) -> tuple[int, Stamp | None]:
        # Who only posts a job loads this module too, and needs no HTTP.
        from flows.library.remote.asking import new_client
        from flows.library.remote.transfer import Transfer

        _check(target, unpack=unpack)
        work = DownloadPlace(target, self.job)
        work.claim()
        async with new_client() as client:
            await Transfer(client, str(url), work.part, max_bytes, self._report).run()
        return work.part.stat().st_size, stamp_of(target)

    def _report(self, done: int, total: int | None) -> None:
        self.update_progress(done / total if total else 0.0, done=done, total=total)

    def revert(self, target: Path, **_: Any) -> None:
        DownloadPlace(target, self.job).remove()


class Verify(CancelableTask):
    """Compute the checksum, and compare it. There is nothing to revert."""

    default_provides = "checksum"

    def execute(self, target: Path, sha256: str | None, bytes: int) -> str:  # noqa: A002 - what fetch provides
        digest = hashlib.sha256()
        with DownloadPlace(target, self.job).part.open("rb") as file:
            for chunk in Meter(self, bytes).passing(iter(lambda: file.read(_CHUNK), b"")):
                digest.update(chunk)
        found = digest.hexdigest()
        if sha256 is not None and found != sha256.lower():
            raise Damaged(f"its checksum is {found}, and not {sha256.lower()}")
        return found


class Unpack(CancelableTask):
    """Unpack it, if that is wanted, into the workplace. Its revert removes that, however much there is of it."""

    default_provides = ("files", "unpacked_bytes", "made")

    def execute(
        self,
        target: Path,
        unpack: bool,
        max_unpacked_bytes: int,
        max_files: int,
        bytes: int,  # noqa: A002 - what fetch provides
    ) -> tuple[int, int, Stamp | None]:
        work = DownloadPlace(target, self.job)
        if not unpack:
            return 0, 0, stamp_of(work.part)
        remove_tree(work.unpacked)
        work.unpacked.mkdir()
        unpacking = Unpacking(work.unpacked, max_unpacked_bytes, max_files)
        with work.part.open("rb") as archive:

            def passing(chunks: Iterable[builtins.bytes]) -> Iterator[builtins.bytes]:
                for chunk in chunks:
                    self.update_progress(archive.tell() / max(bytes, 1), files=unpacking.files)
                    yield chunk

            unpacking.unpack(archive, passing)
        return unpacking.files, unpacking.written, stamp_of(work.unpacked)

    def revert(self, target: Path, **_: Any) -> None:
        remove_tree(DownloadPlace(target, self.job).unpacked)


class Publish(CancelableTask):
    """Give it its name. Its revert takes that away again, and puts back what it replaced."""

    default_provides = "path"

    def execute(self, target: Path, unpack: bool, replaces: Stamp | None, made: Stamp) -> str:
        work = DownloadPlace(target, self.job)
        if unpack:
            _name_folder(work.unpacked, target, made)
        else:
            Replacement(work.part, target, made, replaces).do()
        sync_folder(target.parent)
        work.remove()
        return str(target)

    def revert(self, target: Path, unpack: bool, replaces: Stamp | None, made: Stamp, **_: Any) -> None:
        work = DownloadPlace(target, self.job)
        if not unpack:
            Replacement(work.part, target, made, replaces).undo()
        elif _is_same(target, made):
            work.folder.mkdir(mode=0o700, exist_ok=True)
            target.rename(work.unpacked)  # at once: to remove it takes its time
        sync_folder(target.parent)


def _check(target: Path, *, unpack: bool) -> None:
    """Raise `Unusable` if nothing can be made at `target`."""
    if not unpack:
        check_file(target)
        return
    check_folder_of(target)
    if os.path.lexists(target):
        raise Unusable(f"target {target}: is there already: name a folder that is not")


def _name_folder(unpacked: Path, target: Path, made: Stamp) -> None:
    if _is_same(target, made):
        return  # it was named before a crash
    if os.path.lexists(target):
        raise Changed(f"{target}: someone else made it while the job ran")
    unpacked.rename(target)


def _is_same(folder: Path, made: Stamp) -> bool:
    """Whether it is this folder, whatever became of what is in it."""
    stamp = stamp_of(folder)
    return stamp is not None and stamp[0] == made[0]
