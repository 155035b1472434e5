"""`/static/…`: styles, scripts and pictures of the pages."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

from fastapi import APIRouter, Request, Response

from poster.web.gate.refusal import refusal

router: Final = APIRouter(include_in_schema=False)

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOLDER: Final = resources.files("poster.web.page").joinpath("static")
_FILES: Final = {file.name: file for file in _FOLDER.iterdir() if file.name[file.name.rfind(".") :] in _TYPES}


@router.get("/static/{file}")
def static(request: Request, file: str) -> Response:
    """One file. A browser keeps it, and asks each time whether it is the same: no page mixes versions."""
    if file not in _FILES:
        raise refusal(404, f"there is nothing at /static/{file}")
    content = _FILES[file].read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[file[file.rfind(".") :]], headers=headers)
