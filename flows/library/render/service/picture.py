"""Pictures of a film: raw, as YUV4MPEG2 has them."""

from __future__ import annotations

import hashlib
from typing import Final

PER_SECOND: Final = 12

_BAR: Final = 235


def header(width: int, height: int) -> bytes:
    """What a film of such pictures begins with."""
    return f"YUV4MPEG2 W{width} H{height} F{PER_SECOND}:1 Ip A1:1 C420jpeg\n".encode()


def picture(text: str, share: float, width: int, height: int) -> bytes:
    """The picture at this share of the film, 0 to 1: colours that belong to the text, and a bar that moves."""
    shade, blue, red = hashlib.sha256(text.encode()).digest()[:3]
    bar = int(share * width)
    row = bytes(_BAR if abs(x - bar) < 4 else 16 + (shade + x) % 180 for x in range(width))
    colours = bytes([blue]) * (width // 2 * (height // 2)) + bytes([red]) * (width // 2 * (height // 2))
    return b"FRAME\n" + row * height + colours
