"""What goes wrong with a scene whose text asks for it: to see what a flow makes of it."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """Words in a scene's text."""

    FAILS = "it fails"  # half way
    FORGOTTEN = "it is forgotten"  # half way, once
    ALWAYS_FORGOTTEN = "it is always forgotten"
    ANSWER_LOST = "its answer is lost"  # it is taken, and 503 is what its customer hears, once
