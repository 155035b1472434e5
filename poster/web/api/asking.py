"""What the routes have at hand: the client of who asks, and the parts of requests that several have."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Depends, Path, Query, Request
from pydantic import BeforeValidator

from jobboard.errors import NoSuchJob
from jobboard.ids import ALPHABET, ID_LENGTH
from jobboard.states import State
from poster.client import Client
from poster.web.gate.gate import WHO


def _client(request: Request) -> Client:
    client: Client = request.app.state.client
    return client.acting_as(getattr(request.state, WHO).name)


Asking = Annotated[Client, Depends(_client)]
"""The client, in the name of who asks."""


def is_id(text: str) -> bool:
    """Whether a job could have this id."""
    return len(text) == ID_LENGTH and set(text) <= set(ALPHABET)


def _job(job: Annotated[str, Path(description="A job's id.", examples=["01hx5c4v7e8q9r0s1t2v3w4x5y"])]) -> str:
    if not is_id(job):
        raise NoSuchJob(job)
    return job


JobId = Annotated[str, Depends(_job)]
"""A job's id, from the path. Raises `NoSuchJob` for what can be none."""


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _without_empty(value: object) -> object:
    return [one for one in value if one != ""] if isinstance(value, list) else value


NoneIfEmpty: Final = BeforeValidator(_none_if_empty)
"""A field of a form that was left empty says nothing."""

WithoutEmpty: Final = BeforeValidator(
    _without_empty, json_schema_input_type=list[State | Literal[""]] | Literal[""] | None
)
"""The same, for states, of which there may be several."""

Limit = Annotated[int, Query(ge=1, le=1000, description="How many, at most.")]
