"""What a page names is there: files, tests, classes, and where its links lead in the repository."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.documents.given import ROOT

PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "reference" not in path.parts
]
GUARANTEES = "docs/guarantees.md"

_TEST = re.compile(r"`(tests/[\w/]+)(\.py)?(?:::(\w+))?`")
_FILE = re.compile(r"`((?:benchmarks|conductor|docs|flows|jobboard|poster)/[\w/]+\.\w+)`")
_CLASS = re.compile(r"`((?:jobboard|flows|conductor|poster)(?:\.[a-z_]+)+)\.([A-Z]\w+)`")
_LINK = re.compile(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_tests_and_files_are_there(page: str) -> None:
    for path, suffix, name in _TEST.findall(text_of(page)):
        place = ROOT / (path + suffix)
        assert place.exists(), place
        assert not name or f"def {name}(" in place.read_text(encoding="utf-8"), f"{place}: {name}"
    for path in _FILE.findall(text_of(page)):
        assert (ROOT / path).is_file(), path


def test_the_guarantees_are_shown_by_tests() -> None:
    assert len(_TEST.findall(text_of(GUARANTEES))) > 30


@pytest.mark.parametrize("page", PAGES)
def test_classes_are_there(page: str) -> None:
    for module, name in _CLASS.findall(text_of(page)):
        assert hasattr(import_module(module), name), f"{module}.{name}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_in_the_repository(page: str) -> None:
    for link in _LINK.findall(text_of(page)):
        assert ((ROOT / page).parent / link).exists(), link
