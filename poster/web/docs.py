"""`/docs`: the OpenAPI document to read and to try, by Swagger UI; all files come from here."""

from __future__ import annotations

from importlib import resources
from typing import Final

from fastapi import APIRouter, Response

from poster.web.gate.refusal import refusal

router: Final = APIRouter(include_in_schema=False)

_ASSETS: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_OURS: Final = {"start.js": 'SwaggerUIBundle({url: "/api/openapi.json", dom_id: "#api", deepLinking: true})'}
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Countermand: HTTP API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# Swagger UI sets styles of elements, and shows small pictures that are in it.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
def page() -> Response:
    """The page."""
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/{file}")
def asset(file: str) -> Response:
    """One of its files."""
    headers = {"Cache-Control": "max-age=3600"}
    if file in _OURS:
        return Response(_OURS[file], media_type="text/javascript", headers=headers)
    if file not in _ASSETS:
        raise refusal(404, f"there is nothing at /docs/{file}")
    content = resources.files("fastapi_swagger").joinpath("resources", file).read_bytes()
    return Response(content, media_type=_ASSETS[file], headers=headers)
