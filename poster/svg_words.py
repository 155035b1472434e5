"""Text and numbers as SVG has them. Pure."""

from __future__ import annotations

import html


def escaped(text: str) -> str:
    """Text for XML, in which some characters cannot even be written as references."""
    return html.escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


def number(value: float) -> str:
    """A number, short."""
    return f"{value:.1f}".removesuffix(".0")
