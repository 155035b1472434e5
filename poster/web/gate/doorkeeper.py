"""The doorkeeper: knows who asks by the token that is shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from anyio import to_thread

from jobboard.errors import JobboardError
from jobboard.tokens import Role
from poster.web.gate.refusal import Refusal, refusal
from poster.web.gate.who import Credentials, Who
from poster.web.problems import problem_of

if TYPE_CHECKING:
    from poster.client import Client


class Doorkeeper:
    """Asks the database for each request: a token that was revoked opens nothing any more."""

    def __init__(self, client: Client, *, token_needed: bool) -> None:
        """`token_needed`: else who shows none may do everything, since only this machine can reach us."""
        self._client = client
        self._token_needed = token_needed

    async def who(self, credentials: Credentials | None) -> Who:
        """Who asks. Raises `Refusal`."""
        if credentials is None:
            if self._token_needed:
                raise refusal(401, "wants a token: `poster token create` makes one")
            return Who(self._client.by, Role.ADMIN)
        try:
            token = await to_thread.run_sync(partial(self._client.find_token, credentials.token))
        except JobboardError as error:
            if (told := problem_of(error)) is None:
                raise
            raise Refusal(told) from error
        if token is None:
            raise refusal(401, "this token is not known, or not valid any more")
        return Who.of(token)
