"""Answers that the application gives by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from poster.web.page.rendering import page
from poster.web.problems import MEDIA_TYPE, RETRY_AFTER_S, Problem

if TYPE_CHECKING:
    from starlette.types import Scope


class Json(JSONResponse):
    """A document as it is: what makes it has typed it already."""


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as an answer to a program."""
    more: dict[str, str] = dict(headers or {})
    if problem.status == 503:
        more.setdefault("Retry-After", str(RETRY_AFTER_S))
    if problem.status == 401:
        more.setdefault("WWW-Authenticate", 'Bearer realm="countermand"')
    content: dict[str, Any] = problem.model_dump(exclude_none=True)
    return JSONResponse(content, problem.status, headers=more, media_type=MEDIA_TYPE)


def answer_to(scope: Scope, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as an answer to who asked: a page to someone who opens a page."""
    return _as_page(problem) if wants_page(scope) else answer(problem, headers)


def wants_page(scope: Scope) -> bool:
    """Whether a person asks, by a browser that is to show the answer."""
    return "text/html" in Headers(scope=scope).get("accept", "") and not scope["path"].startswith("/api/")


def _as_page(problem: Problem) -> Response:
    if problem.status != 503:
        return page("problem.html", problem.status, what=problem.title, why=problem.detail)
    why = f"{problem.detail}. This page tries again by itself."
    response = page("problem.html", problem.status, what=problem.title, why=why)
    response.headers["Refresh"] = str(RETRY_AFTER_S)
    return response
