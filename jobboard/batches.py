"""Long lists in parts: what a statement or request may hold is limited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

BATCH: Final = 1000

_Item = TypeVar("_Item")


def batches(items: Sequence[_Item], size: int = BATCH) -> Iterable[Sequence[_Item]]:
    """The items in their order, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
