"""Blocks, what a reader does with them, and when an output agrees."""

from __future__ import annotations

import pytest

from tests.documents.page import Block, PageError, agrees, blocks_of, steps_of

PAGE = """\
# Title

Save this:

```python title="a.py"
print(1)
```

```sh
python a.py
```

```output
1
```

1. In a list:

    ```sh exits="5"
    poster cancel x
    ```

````text title="b.md"
```
inside
```
````

```python
open("b.md")
```
"""


def test_blocks_with_their_lines_and_options() -> None:
    blocks = blocks_of("p.md", PAGE)
    assert [(block.line, block.language, dict(block.options)) for block in blocks] == [
        (5, "python", {"title": "a.py"}),
        (9, "sh", {}),
        (13, "output", {}),
        (19, "sh", {"exits": "5"}),
        (23, "text", {"title": "b.md"}),
        (29, "python", {}),
    ]
    assert blocks[3].text == "poster cancel x\n"
    assert blocks[4].text == "```\ninside\n```\n"


def test_what_a_reader_does() -> None:
    steps = steps_of(blocks_of("p.md", PAGE))
    assert [(step.saves, step.is_run, step.exits) for step in steps] == [
        ("a.py", False, 0),
        (None, True, 0),
        (None, True, 5),
        ("b.md", False, 0),
        (None, True, 0),
    ]
    assert steps[1].shown
    assert steps[1].shown.text == "1\n"


def test_a_saved_program_that_an_output_follows_is_run() -> None:
    (step,) = steps_of(blocks_of("p.md", '```python title="a.py"\nprint(1)\n```\n\n```output\n1\n```\n'))
    assert step.is_run


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```text\nx\n```\n", "p.md:1: run by no test: text"),
        ("```\nx\n```\n", "p.md:1: run by no test: a fence without a language"),
        ("\n    x = 1\n", "p.md:2: code that is only indented"),
        ("```output\nx\n```\n", "p.md:1: the output of nothing"),
        ("```sh\ntrue\n```\n```output\nx\n```\n```output\nx\n```\n", "p.md:7: the output of nothing"),
        ('```python title="a.py"\nx\n```\n', "p.md:1: a.py is saved, and no block after it uses it"),
        ('```sh exit="5"\nfalse\n```\n', "p.md:1: nobody knows what exit means here"),
        ("```sh norun\nfalse\n```\n", "p.md:1: nobody knows what norun means here"),
    ],
)
def test_what_nobody_can_follow(text: str, said: str) -> None:
    with pytest.raises(PageError, match=said):
        steps_of(blocks_of("p.md", text))


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("a\n", "a  \n\n"),
        ("job … done\n", "job 01hx done\n"),
        ("a\n…\nd\n", "a\nb\nc\nd\n"),
        ("a\n…\n", "a\n"),
        ("(a) [b] *\n", "(a) [b] *\n"),
    ],
)
def test_outputs_that_agree(shown: str, seen: str) -> None:
    assert agrees(Block("p.md", 1, "output", shown), seen)


@pytest.mark.parametrize(
    ("shown", "seen"),
    [("a\n", "b\n"), ("a\n", "a\nb\n"), ("a…\n", "a\nb\n"), ("a b\n", "a  b\n"), ("", "x\n"), ("a.c\n", "abc\n")],
)
def test_outputs_that_do_not(shown: str, seen: str) -> None:
    assert not agrees(Block("p.md", 1, "output", shown), seen)


def test_json_is_compared_as_json() -> None:
    shown = Block("p.md", 1, "json", '{"id": "…", "n": [1, 2]}\n')
    assert agrees(shown, '{\n  "id": "01hx5",\n  "n": [1,\n 2]}')
    assert not agrees(shown, '{"id": "01hx5", "n": [1, 3]}')
    assert not agrees(shown, "poster: no such job")
