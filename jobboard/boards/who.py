"""Who claims must have a name."""

from __future__ import annotations


def check_who(who: str) -> None:
    """As `taskflow.jobs.base.check_who`, which hides a method's signature."""
    if not isinstance(who, str):
        raise TypeError("who claims must be a string")
    if not who:
        raise ValueError("who claims must have a name")
