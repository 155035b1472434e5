"""Progress by bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flows import CancelableTask


class Meter:
    """Reports how many of `total` bytes went through a task: a checkpoint for each chunk."""

    def __init__(self, task: CancelableTask, total: int) -> None:
        self._task = task
        self._total = total
        self._done = 0

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The `chunks`, counted."""
        for chunk in chunks:
            self._done += len(chunk)
            self._task.update_progress(self._done / max(self._total, 1), done=self._done, total=self._total)
            yield chunk
