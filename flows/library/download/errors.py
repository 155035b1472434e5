"""What can go wrong in `download` beside what can in all flows that make files, or ask a server.

FilesError
└── Unsafe  what is in the archive must not be unpacked
"""

from __future__ import annotations

from flows.library.files.errors import FilesError


class Unsafe(FilesError):
    """What is in the archive leads out of the folder, or is no file, link or folder."""
