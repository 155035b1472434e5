"""`/login` and `/logout`: a token, put into a cookie that no script can read."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from poster.web.answer import Json
from poster.web.gate.doorkeeper import Doorkeeper
from poster.web.gate.who import COOKIE, Credentials

router: Final = APIRouter(include_in_schema=False)

_KEPT_S: Final = 30 * 24 * 3600


class Login(BaseModel):
    """What one logs in with."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=200)]


@router.post("/login")
async def login(request: Request, given: Login) -> Response:
    """Log in. 401 for a token that opens nothing."""
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    who = await doorkeeper.who(Credentials(given.token.strip(), by_cookie=False))
    response = Json({"name": who.name, "role": str(who.role)})
    response.set_cookie(
        COOKIE,
        given.token.strip(),
        max_age=_KEPT_S,
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", "").startswith("https:"),  # also behind a proxy
    )
    return response


@router.post("/logout")
async def logout() -> Response:
    """Log out of this browser; the token stays valid."""
    response = Json({})
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
