"""Every block of README and docs is run as a reader would, and prints what the page says."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.documents.given import BEFORE, ELSEWHERE, ROOT, pages, read
from tests.documents.page import agrees, steps_of
from tests.documents.reader import Reader, Seen
from tests.documents.stand_ins import StandIns


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", pages())
def test_a_reader_sees_what_the_page_says(page: str, tmp_path: Path, stand_ins: StandIns) -> None:
    steps = steps_of([block for block in read(page) if not any(one.is_of(block) for one in ELSEWHERE)])
    if not steps:
        return
    reader = Reader(tmp_path / "reader", stand_ins, BEFORE.get(page, ""))
    wrong = [_differs(seen) for seen in reader.follow(steps) if not _agrees(seen)]
    assert not wrong, "\n".join(wrong)


def _agrees(seen: Seen) -> bool:
    return seen.step.shown is None or agrees(seen.step.shown, seen.text)


def _differs(seen: Seen) -> str:
    assert seen.step.shown
    shown, text = seen.step.shown, seen.text
    lines = difflib.unified_diff(shown.text.splitlines(), text.splitlines(), "the page", "printed", lineterm="")
    return "\n".join([f"{shown.place}: something else was printed", *lines])


@pytest.mark.parametrize("one", ELSEWHERE, ids=lambda one: f"{one.page}: {one.begins.splitlines()[0]}")
def test_what_is_tried_elsewhere_is_there_and_tried(one) -> None:
    assert [block for block in read(one.page) if one.is_of(block)], "no block begins like that"
    if one.test:
        path, _, name = one.test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")
