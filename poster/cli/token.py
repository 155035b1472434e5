"""`poster token create`, `list` and `revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from poster.cli import session, words
from poster.cli.exit_codes import DONE
from poster.cli.options import DURATION
from poster.cli.output import Part, Styled, dim, say

if TYPE_CHECKING:
    from datetime import datetime

    from jobboard.tokens import Token

_ROLES: Final = ("read", "post", "admin")  # a test holds them against the jobboard's


@click.option(
    "--role", type=click.Choice(_ROLES), required=True, help="What it allows: each more than the one before."
)
@click.option(
    "--name", metavar="TEXT", help="What it is for; the history tells who did a thing by it.  [role and id]"
)
@click.option("--expires", type=DURATION, metavar="D", help="Valid so long, as 12h or 90d.  [for ever]")
def create(role: str, name: str | None, expires: float | None) -> int:
    """Make an access token and print it, this once.

    Only its SHA-256 is stored: who loses it makes another. `read` sees jobs, flows and conductors; `post` also
    posts, cancels, retries, pauses and resumes jobs; `admin` also removes them.

    \b
    Examples:
      poster token create --role read --name "the screen in the hall"
      poster token create --role post --name nightly --expires 90d
    """
    from jobboard.tokens import Role
    from poster.job_json import token_document

    out = session.output()
    with session.open_client() as client:
        token, text = client.create_token(name, Role[role.upper()], expires)
    if out.json:
        out.document({**token_document(token), "token": text})
    else:
        say(f"token {token.id}, which is shown this once:")
        out.line(text)
    return DONE


def list_all() -> int:
    """List the access tokens, newest first.

    Also those that have expired or were revoked. Their secrets are nowhere stored.

    \b
    Examples:
      poster token list
    """
    from poster.job_json import token_document

    out = session.output()
    with session.open_client() as client:
        tokens = client.tokens()
    if out.json:
        out.document([token_document(token) for token in tokens])
    elif tokens:
        now = words.utc_now()
        out.table(("ID", "ROLE", "VALID", "MADE", "BY", "NAME"), [_row(token, now) for token in tokens])
    else:
        say("there is none: make one with `poster token create`")
    return DONE


@click.argument("tokens", metavar="TOKEN...", nargs=-1, required=True)
def revoke(tokens: tuple[str, ...]) -> int:
    """Let access tokens open nothing any more.

    TOKEN is the id that `poster token list` shows. What was done with it stays in the history.

    \b
    Examples:
      poster token revoke 7h2k9m4qx1
    """
    from poster.job_json import token_document

    out = session.output()
    with session.open_client() as client:
        revoked = [client.revoke_token(token) for token in tokens]
    if out.json:
        out.document([token_document(token) for token in revoked])
    else:
        for token in revoked:
            say(f"token {token.id} ({token.name}) opens nothing any more")
    return DONE


def _row(token: Token, now: datetime) -> tuple[Part, ...]:
    return (
        token.id,
        str(token.role),
        _validity(token, now),
        f"{words.age(token.created_at, now)} ago",
        token.created_by,
        dim(token.name),
    )


def _validity(token: Token, now: datetime) -> Styled:
    if token.revoked_at is not None:
        return Styled("revoked", "red")
    if token.expires_at is None:
        return Styled("for ever", "green")
    if token.is_valid(now):
        return Styled(f"{words.age(now, token.expires_at)} more", "green")
    return Styled("expired", "red")
