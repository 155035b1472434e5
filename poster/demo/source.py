"""A folder that is there on every machine: the `.py` files of Python's standard library, copied."""

from __future__ import annotations

import math
import shutil
import sysconfig
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SKIPPED: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})
_MOST_BYTES: Final = 1_000_000_000
_SAMPLE: Final = 4_000_000


@dataclass(frozen=True)
class Source:
    """What was copied."""

    files: int
    bytes: int


def make_source(folder: Path, pack_s: float) -> Source:
    """Copy the library into `folder` as often as it takes for packing to take `pack_s` seconds here."""
    library = Path(sysconfig.get_path("stdlib"))
    files = list(_python_files(library))
    size = sum(path.stat().st_size for path in files)
    copies = max(1, math.ceil(min(_speed(files) * pack_s, _MOST_BYTES) / size))
    for number in range(copies):
        for path in files:
            copy = folder / f"copy-{number + 1}" / path.relative_to(library)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return Source(len(files) * copies, size * copies)


def _python_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name in _SKIPPED:
            continue
        if path.is_dir():
            yield from _python_files(path)
        elif path.suffix == ".py":
            yield path


def _speed(files: list[Path]) -> float:
    """Bytes a second that this machine packs."""
    sample = b""
    for path in files:
        sample += path.read_bytes()
        if len(sample) >= _SAMPLE:
            break
    began = time.perf_counter()
    zlib.compress(sample, 6)
    return len(sample) / (time.perf_counter() - began)
