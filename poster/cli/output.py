"""Where words go: data to standard output, talk to standard error; coloured only on a terminal that wants it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import click

from poster.cli import words

GAP: Final = "  "
_UNDER: Final = "    "
_NOTHING: Final[Mapping[int, str]] = {}


class Styled(NamedTuple):
    """Text in a colour, where there are colours."""

    text: str
    colour: str | None = None
    bold: bool = False
    dim: bool = False


Part = str | Styled


def dim(text: str) -> Styled:
    """Text that can be passed over."""
    return Styled(text, dim=True)


def bold(text: str) -> Styled:
    """Text to see first."""
    return Styled(text, bold=True)


@dataclass(frozen=True)
class Output:
    """Standard output."""

    json: bool  # one document, for programs
    terminal: bool  # a person reads it: icons, and lines no longer than the screen
    colour: bool
    icons: bool
    width: int
    height: int

    @property
    def live(self) -> bool:
        """Pictures can be drawn that change in place."""
        return self.terminal and self.icons and not self.json

    def document(self, value: Any) -> None:
        """The one JSON document of a command."""
        click.echo(json.dumps(value, indent=2, allow_nan=False))

    def json_line(self, value: Any) -> None:
        """One JSON document of a stream of them, at once."""
        click.echo(json.dumps(value, allow_nan=False))
        sys.stdout.flush()

    def line(self, *parts: Part) -> None:
        """A line of text, at once."""
        click.echo("".join(self._paint(part) for part in parts).rstrip(), color=self.colour)
        sys.stdout.flush()

    def table(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[Part]],
        indent: str = "",
        under: Mapping[int, str] = _NOTHING,
    ) -> None:
        """Columns under a head (none if it is empty), aligned. On a terminal the last is cut at its edge.

        `under` holds lines of text to stand, indented, under the rows with these numbers.
        """
        body = [[_styled(part) for part in row] for row in rows]
        titles = [[dim(title) for title in head]] if head and body else []
        widths = [max(len(cell.text) for cell in column) for column in zip(*titles, *body, strict=True)]
        for cells in titles:
            self._row(cells, widths, indent)
        for number, cells in enumerate(body):
            self._row(cells, widths, indent)
            for line in under.get(number, "").splitlines():
                self.line(indent, _UNDER, dim(line))

    def fields(self, values: Mapping[str, Part | None], indent: str = "") -> None:
        """Names and values, those without a value left out."""
        self.table((), [(dim(name), value) for name, value in values.items() if value], indent)

    def state(self, state: str) -> Styled:
        """A state as icon and word."""
        icon = f"{words.ICONS.get(state, ' ')} " if self.icons else ""
        return Styled(icon + state, words.COLOURS.get(state), dim=state in ("pending", "cancelled"))

    def _row(self, cells: Sequence[Styled], widths: Sequence[int], indent: str) -> None:
        before = [
            cell._replace(text=cell.text.ljust(width) + GAP) for cell, width in zip(cells, widths, strict=True)
        ]
        last = cells[-1]
        room = self.width - len(indent) - sum(len(cell.text) for cell in before[:-1])
        if self.terminal and len(last.text) > room > 1:
            last = last._replace(text=last.text[: room - 1] + "…")
        self.line(indent, *before[:-1], last)

    def _paint(self, part: Part) -> str:
        styled = _styled(part)
        if not self.colour or not styled.text.strip():
            return styled.text
        return click.style(styled.text, fg=styled.colour, bold=styled.bold or None, dim=styled.dim or None)


def _styled(part: Part) -> Styled:
    styled = Styled(part) if isinstance(part, str) else part
    return styled._replace(text=words.clean(styled.text))


def standard_output(*, as_json: bool) -> Output:
    """Standard output as it is here: a terminal or not, with colours or not."""
    from shutil import get_terminal_size

    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    size = get_terminal_size()
    return Output(
        json=as_json,
        terminal=terminal,
        colour=terminal and not os.environ.get("NO_COLOR"),
        icons=terminal and _writes("✓", sys.stdout.encoding),
        width=size.columns,
        height=size.lines,
    )


def _writes(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def say(message: str) -> None:
    """Talk: to standard error, in the program's name."""
    first, *rest = message.splitlines() or [""]
    click.echo("\n".join([f"poster: {words.clean(first)}", *(_indented(line) for line in rest)]), err=True)


def drop_output() -> None:
    """Let what is still to be written go nowhere, quietly: no one reads it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _indented(line: str) -> str:
    text = line.lstrip(" ")
    return " " * (len(line) - len(text)) + words.clean(text)
