"""What the gate answers in place of the application."""

from __future__ import annotations

from collections.abc import Mapping

from poster.web.problems import Problem, problem


class Refusal(Exception):
    """A request that is not let through."""

    def __init__(self, told: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(told.detail)
        self.problem = told
        self.headers = headers


def refusal(status: int, why: str) -> Refusal:
    """With the usual title of its status."""
    return Refusal(problem(status, why))
