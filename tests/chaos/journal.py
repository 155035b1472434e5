"""What was done and asked for in a chaos run, line by line: printed when it fails."""

from __future__ import annotations

import threading
import time


class Journal:
    """Thread-safe."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def note(self, text: str, *, began_s: float | None = None) -> None:
        """A line, as of now; or as of `began_s`, of the monotonic clock."""
        at = (time.monotonic() if began_s is None else began_s) - self._began
        with self._lock:
            self._lines.append((at, text))

    def __str__(self) -> str:
        with self._lock:
            return "\n".join(f"{at:8.3f} {text}" for at, text in sorted(self._lines))
