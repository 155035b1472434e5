"""Lines, of what is printed bit by bit."""

from __future__ import annotations

import pytest

from flows.printed import Printed


def lines_of(*texts: str) -> list[str]:
    said: list[str] = []
    printed = Printed(said.append)
    for text in texts:
        printed.write(text)
    printed.close()
    printed.close()
    return said


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        ([], []),
        ([""], []),
        (["a\n"], ["a"]),
        (["a"], ["a"]),
        (["a", "b", "\n", "c"], ["ab", "c"]),
        (["a\nb\n\nc"], ["a", "b", "", "c"]),
        (["a\r\n", "b\r", "\n"], ["a", "b"]),
        (["\r10 %", "\r20 %", "\r30 %\n"], ["30 %"]),
        (["10 %\r", "20 %\r"], ["20 %"]),
        (["10 %\r", "\n20 %\r", "30 %"], ["10 %", "30 %"]),
        (["\r"], []),
    ],
)
def test_lines(texts, lines):
    assert lines_of(*texts) == lines


def test_a_line_without_an_end_is_cut():
    assert [len(line) for line in lines_of(*["x" * 1000] * 25)] == [11_000, 11_000, 3000]
    assert lines_of(*["\r" + "x" * 1000] * 25) == ["x" * 1000]
