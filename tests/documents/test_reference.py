"""What is written into `docs` from the code says what the code says."""

from __future__ import annotations

import shlex
from itertools import takewhile

import click
import pytest

from docs.generate.pages import FOLDER, PAGES
from jobboard.settings import names
from poster.cli import poster
from tests.documents.given import WRITTEN, read


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_the_code_has_it(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), f"{name} is stale: `python3 dev.py docs --write` writes it anew"


def test_every_page_there_is_written_by_someone() -> None:
    there = {f"reference/{path.name}" for path in (FOLDER / "reference").iterdir()}
    assert there == PAGES.keys() - {"states.svg"}


def test_every_setting_has_a_meaning() -> None:
    rows = PAGES["reference/settings.md"]().splitlines()
    for name in names():
        (row,) = (row for row in rows if row.startswith(f"| `COUNTERMAND_{name.upper()}` |"))
        assert row.count("|") == 5, row
        assert row.split("|")[-2].strip(), row


EXAMPLES = [
    line
    for block in read(f"{WRITTEN}commands.md")
    if block.language == "sh"
    for line in block.text.splitlines()
    if line.startswith("poster ")
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 40


@pytest.mark.parametrize("line", EXAMPLES)
def test_the_options_of_an_example_are_there(line: str) -> None:
    words = [*takewhile(lambda word: word != "|", shlex.split(line, comments=True))][1:]
    command: click.Command = poster
    context = click.Context(poster)
    known = {name for param in poster.get_params(context) for name in param.opts}
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found, f"there is no command {name}"
        command = found
        known |= {name for param in command.get_params(context) for name in param.opts}
    asked = {word.partition("=")[0] for word in words if word.startswith("-") and len(word) > 1}
    assert asked <= known
