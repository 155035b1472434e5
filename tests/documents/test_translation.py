"""What is said twice is the same: the README in Chinese, and the table of others in the README."""

from __future__ import annotations

import re

import pytest

from tests.documents.given import ROOT
from tests.documents.page import blocks_of

ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))

OWN = ("README.md", "README.zh-CN.md")  # each names the other


def blocks(text: str) -> list[tuple[str, str]]:
    return [(block.language, block.text) for block in blocks_of("README", text)]


def links(text: str) -> list[str]:
    return [
        link for link in re.findall(r"\]\(([^)]+)\)|srcset=\"([^\"]+)|src=\"([^\"]+)", text) if link[0] not in OWN
    ]


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ ", text, re.MULTILINE)


def rows(text: str) -> int:
    return len(re.findall(r"^\|", text, re.MULTILINE))


def code(text: str) -> set[str]:
    """What is named in running text."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


@pytest.mark.parametrize("of", [blocks, links, headings, rows, code], ids=lambda of: of.__name__)
def test_it_has_the_same(of) -> None:
    assert of(CHINESE) == of(ENGLISH)


def table_of_others(text: str) -> str:
    return text[text.index("| | a running step") :].partition("\n\n")[0]


def test_the_table_of_others_is_that_of_the_comparison() -> None:
    comparison = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    assert table_of_others(ENGLISH) == table_of_others(comparison)
