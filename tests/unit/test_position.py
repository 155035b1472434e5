"""A reader of the history loses no line and gets none twice, in whatever order lines come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobboard.position import Position


def test_lines_in_their_order():
    position = Position(4).having(5).having(6)
    assert position == Position(6)
    assert (position.has_had(6), position.has_had(7)) == (True, False)


def test_a_line_that_was_overtaken_is_missing_until_it_comes():
    position = Position(4).having(8)
    assert position == Position(8, (range(5, 8),))
    assert [line for line in range(1, 10) if not position.has_had(line)] == [5, 6, 7, 9]
    position = position.having(6)
    assert position == Position(8, (range(5, 6), range(7, 8)))
    assert position.having(5).having(7) == Position(8)


def test_what_is_missing_for_long_is_given_up():
    position = Position(0).having(3).having(9)
    assert position.missing == (range(1, 3), range(4, 9))
    assert position.giving_up_before(2) == Position(9, (range(2, 3), range(4, 9)))
    assert position.giving_up_before(6) == Position(9, (range(6, 9),))
    assert position.giving_up_before(9) == Position(9)


def test_where_one_stood_at_an_earlier_line():
    position = Position(9, (range(2, 3), range(5, 8)))
    assert position.at(6) == Position(6, (range(2, 3), range(5, 6)))
    assert position.at(9) == position


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_every_line_is_had_once_whatever_the_order(lines, interrupted):
    position = Position()
    had: list[int] = []
    for number, line in enumerate(lines):
        if number == interrupted:
            position = Position.parse(str(position))
        assert not position.has_had(line)
        position = position.having(line)
        had.append(line)
        assert {line for line in range(1, 20) if position.has_had(line)} == set(had)
    assert position == Position(8)


@pytest.mark.parametrize("text", ["0", "105", "105,98-100", "105,1-1,98-100"])
def test_an_id_says_it_all(text):
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "-1", "5,", "5,3", "5,3-2", "5,3-4,1-2", "5,1-2,2-3", "5 ", "\u0665", "1" * 20, str(2**63)),
        ",".join(["999", *(f"{n}-{n}" for n in range(1, 200, 2))]),
    ],
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(ValueError, match="as the stream gave it"):
        Position.parse(text)


def test_so_many_are_remembered_at_most():
    position = Position()
    for line in range(2, 400, 2):
        position = position.having(line)
    assert len(position.missing) == 50
    assert Position.parse(str(position)) == position
