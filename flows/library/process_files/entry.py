"""One entry of the source, and lists of them in a file: they may be longer than memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

Kind = Literal["file", "link", "folder", "special"]

_NS = 1_000_000_000


@dataclass(frozen=True)
class Entry:
    """A file, link or folder, as it was when it was looked at."""

    path: str  # below the source, parts joined by "/"; bytes that are not UTF-8 as lone surrogates (os.fsdecode)
    kind: Kind
    size: int | None = None  # of a file, in bytes
    mtime_ns: int | None = None  # of a file
    link: str | None = None  # what a link points to, in the form of `path`
    sha256: str | None = None  # of a file, once it was read

    def matches(self, pattern: str) -> bool:
        """Whether the glob `pattern` fits the path or its last part. `*` matches `/` too."""
        return fnmatchcase(self.path, pattern) or fnmatchcase(self.path.rpartition("/")[2], pattern)

    def is_still(self, found: Entry) -> bool:
        """Whether `found`, looked at later, shows no sign of a change."""
        return (self.kind, self.size, self.mtime_ns, self.link) == (
            found.kind,
            found.size,
            found.mtime_ns,
            found.link,
        )

    def in_archive(self) -> Entry:
        """What a tar keeps of it: whole seconds."""
        seconds = None if self.mtime_ns is None else self.mtime_ns // _NS * _NS
        return Entry(self.path, self.kind, self.size, seconds, self.link, self.sha256)

    def line(self) -> bytes:
        """The entry as a line of JSON. It is ASCII, whatever is in the path."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(known).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Entry:
        """The entry that gave `line`."""
        return cls(**json.loads(line))


@contextmanager
def entries_in(path: Path) -> Iterator[Iterator[Entry]]:
    """The entries whose lines are in the file `path`, one at a time."""
    with path.open("rb") as lines:
        yield map(Entry.from_line, lines)
