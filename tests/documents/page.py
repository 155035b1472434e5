"""A page of the documents: its code blocks, and what a reader does with them. Pure.

```sh                      run in the page's one shell; every command must succeed
```sh exits="5"            ends with this code
```python                  run as a program
```python title="a.py"     saved under this name, and run if an output follows
```yaml title="a.yaml"     saved, whatever the language
```output                  what the block before printed; … stands for anything, alone on a line for any lines
```json                    after a block that is run: the same, for JSON
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from markdown_it import MarkdownIt

ANYTHING = "…"
_OPTION = re.compile(r'\s+(\w+)="([^"]*)"')
_OPTIONS = {"title", "exits"}


class PageError(ValueError):
    """A block that nobody can follow: the page, the line, and what is wrong with it."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int  # of its fence, from 1
    language: str
    text: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str | None:
        return self.options.get("title")

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def wrong(self, what: str) -> PageError:
        return PageError(f"{self.place}: {what}")


@dataclass(frozen=True)
class Step:
    """Something that a reader does, and what the page says that they then see."""

    block: Block
    shown: Block | None = None

    @property
    def saves(self) -> str | None:
        """The name of the file that the block is."""
        return self.block.title

    @property
    def is_run(self) -> bool:
        if self.block.language == "python":
            return self.saves is None or self.shown is not None
        return self.block.language == "sh" and self.saves is None

    @property
    def exits(self) -> int:
        return int(self.block.options.get("exits", "0"))


def blocks_of(page: str, text: str) -> list[Block]:
    """Every block of code in the page. `PageError`: it has no fence, or one with an option that nobody knows."""
    return list(_blocks(page, text))


def _blocks(page: str, text: str) -> Iterator[Block]:
    for token in MarkdownIt("commonmark").parse(text):
        if token.type not in ("fence", "code_block"):
            continue
        line = token.map[0] + 1 if token.map else 0
        language, options = _info(token.info)
        block = Block(page, line, language, token.content, options)
        if token.type == "code_block":
            raise block.wrong("code that is only indented: put it into a fence")
        if unknown := options.keys() - _OPTIONS:
            raise block.wrong(f"nobody knows what {', '.join(sorted(unknown))} means here")
        yield block


def _info(info: str) -> tuple[str, dict[str, str]]:
    language, _, rest = info.partition(" ")
    options = dict(_OPTION.findall(f" {rest}"))
    if left := _OPTION.sub("", f" {rest}").strip():
        options[left] = ""
    return language, options


def steps_of(blocks: Sequence[Block]) -> list[Step]:
    """What a reader does, in order. `PageError`: a block that would be run by nobody."""
    steps: list[Step] = []
    for block in blocks:
        last = steps[-1] if steps else None
        if block.language == "output" or (block.language == "json" and block.title is None):
            if last is None or last.shown or last.block.language not in ("sh", "python"):
                raise block.wrong("the output of nothing: it must follow a block that is run")
            steps[-1] = Step(last.block, block)
        elif block.title is None and block.language not in ("sh", "python"):
            raise block.wrong(f"run by no test: {block.language or 'a fence without a language'}")
        else:
            steps.append(Step(block))
    for number, step in enumerate(steps):
        if step.saves and not step.is_run and not _is_used(step.saves, steps[number + 1 :]):
            raise step.block.wrong(f"{step.saves} is saved, and no block after it uses it")
    return steps


def _is_used(name: str, steps: Sequence[Step]) -> bool:
    word = re.compile(rf"\b{re.escape(PurePath(name).stem)}\b")
    return any(word.search(step.block.text) for step in steps)


def agrees(shown: Block, seen: str) -> bool:
    """Is what was printed what the page shows?"""
    if shown.language == "json":
        try:
            told, said = _canonical(shown.text), _canonical(seen)
        except ValueError:
            return False
    else:
        told, said = shown.text, seen
    return re.fullmatch(_pattern(told), _trimmed(said)) is not None


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), indent=1, ensure_ascii=False)


def _pattern(told: str) -> str:
    lines = _trimmed(told).splitlines()
    return "".join(r"(?:.*\n)*?" if line.strip() == ANYTHING else _line(line) for line in lines)


def _line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split(ANYTHING)) + r"\n"


def _trimmed(text: str) -> str:
    """Without what nobody sees: blanks at the ends of lines, empty lines at both ends."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"{lines.strip(chr(10))}\n"
