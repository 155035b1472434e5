"""Markdown as the reference pages need it. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

_WIDTH = 118
_WORD = re.compile(r"(?<![`\w/])(?:COUNTERMAND_\w+|--[a-z][\w-]+(?: --[a-z][\w-]+)*|[a-z]+_[a-z_]+\b(?!`))")
_CODE = re.compile(r"(`[^`]*`)")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def prose(text: str) -> str:
    """Plain text as Markdown: what a shell would take literally is code, and nothing is markup by accident."""
    parts = _CODE.split(text)
    return "".join(part if part.startswith("`") else _WORD.sub(r"`\g<0>`", _escaped(part)) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([*\[])", r"\\\1", text).replace("<", "&lt;")


def paragraph(text: str) -> str:
    return "\n".join(textwrap.wrap(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False))


def fence(language: str, text: str) -> str:
    return f"```{language}\n{text.strip(chr(10))}\n```"


def page(title: str, *parts: str) -> str:
    """A whole page, which says how it is made."""
    made = "<!-- Written by `python3 dev.py docs --write`. -->"
    return "\n\n".join([f"# {title}", made, *(part for part in parts if part)]) + "\n"
