"""Who may do what: one table. What does not stand in it is not reachable. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.routing import compile_path

from jobboard.tokens import Role

PUBLIC: Final = None
"""For everyone, known or not."""

READ, POST, ADMIN = Role

PERMISSIONS: Final[Mapping[str, Mapping[str, Role | None]]] = {
    "/api/flows": {"GET": READ},
    "/api/flows/{name}": {"GET": READ},
    "/api/flows/{name}/graph": {"GET": READ},
    "/api/jobs": {"GET": READ, "POST": POST},
    "/api/jobs/current": {"GET": READ},
    "/api/jobs/cancel": {"POST": POST},
    "/api/jobs/cancel/plan": {"POST": READ},
    "/api/jobs/retry": {"POST": POST},
    "/api/jobs/{job}": {"GET": READ, "DELETE": ADMIN},
    "/api/jobs/{job}/cancel": {"GET": READ, "POST": POST},
    "/api/jobs/{job}/retry": {"POST": POST},
    "/api/jobs/{job}/pause": {"POST": POST},
    "/api/jobs/{job}/resume": {"POST": POST},
    "/api/jobs/{job}/result": {"GET": READ},
    "/api/jobs/{job}/history": {"GET": READ},
    "/api/jobs/{job}/logs": {"GET": READ},
    "/api/jobs/{job}/graph": {"GET": READ},
    "/api/jobs/{job}/events": {"GET": READ},
    "/api/events": {"GET": READ},
    "/api/ws": {"WEBSOCKET": READ},
    "/api/stats": {"GET": READ},
    "/api/stats/day": {"GET": READ},
    "/api/conductors": {"GET": READ},
    "/api/me": {"GET": READ},
    "/api/openapi.json": {"GET": READ},
    "/metrics": {"GET": READ},
    "/healthz": {"GET": PUBLIC},
    "/readyz": {"GET": PUBLIC},
    "/docs": {"GET": READ},
    "/docs/{file}": {"GET": PUBLIC},
    "/": {"GET": READ},
    "/jobs/{job}": {"GET": READ},
    "/jobs/{job}/picture": {"GET": READ},
    "/post": {"GET": READ},
    "/post/{name}": {"GET": READ},
    "/conductors": {"GET": READ},
    "/statistics": {"GET": READ},
    "/login": {"GET": PUBLIC, "POST": PUBLIC},
    "/logout": {"POST": PUBLIC},
    "/static/{file}": {"GET": PUBLIC},
}
"""By path and method; of paths that fit, the first counts."""

_COMPILED: Final = tuple((compile_path(path)[0], path) for path in PERMISSIONS)


def find(path: str) -> Mapping[str, Role | None] | None:
    """What there is at a path, by method; None if there is nothing."""
    template = template_of(path)
    return None if template is None else PERMISSIONS[template]


def template_of(path: str) -> str | None:
    """The route that a path is of; None if there is nothing."""
    return next((template for pattern, template in _COMPILED if pattern.match(path)), None)
