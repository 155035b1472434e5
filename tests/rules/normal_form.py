"""I13: the same scenario ends the same on every backend. What of a job is to be the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from jobboard.database import Database
from tests.rules.story import Story, read_stories


@dataclass(frozen=True)
class Ended:
    """A job at rest, without what differs from run to run: times, ids, names, how often it changed hands."""

    flow: str
    state: str
    attempts: tuple[tuple[int, str | None], ...]  # numbers and outcomes
    tasks: tuple[tuple[str, str], ...]  # names and states, in flow order
    path: tuple[str, ...]  # its states


def normal_form(database: Database, job: str) -> Ended:
    """This job, to be compared."""
    story = read_stories(database, effects=None, requests=(), flows={}, on_board=None)[job]
    return Ended(
        flow=story.record["flow"],
        state=str(story.state),
        attempts=tuple((row["number"], row["outcome"]) for row in story.attempts),
        tasks=tuple((task.name, task.state) for task in story.tasks),
        path=_path(story),
    )


def _path(story: Story) -> tuple[str, ...]:
    return tuple(state for state, _ in groupby(str(line.state) for line in story.path))
