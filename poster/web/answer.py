"""Answers that the application gives by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from poster.web.problems import MEDIA_TYPE, RETRY_AFTER_S, Problem


class Json(JSONResponse):
    """A document as it is: what makes it has typed it already."""


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem as an answer."""
    more: dict[str, str] = dict(headers or {})
    if problem.status == 503:
        more.setdefault("Retry-After", str(RETRY_AFTER_S))
    if problem.status == 401:
        more.setdefault("WWW-Authenticate", 'Bearer realm="countermand"')
    content: dict[str, Any] = problem.model_dump(exclude_none=True)
    return JSONResponse(content, problem.status, headers=more, media_type=MEDIA_TYPE)
