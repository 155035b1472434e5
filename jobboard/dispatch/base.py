"""What a conductor needs of a board, beyond TaskFlow's interface: many claims at once, told to the record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from taskflow import exceptions

from jobboard.claims import Claim
from jobboard.errors import Unreachable
from jobboard.owner import Owner
from jobboard.statements import Script


@contextmanager
def reached(board: Any) -> Iterator[None]:
    """TaskFlow's words for a board that does not answer, or where a claim was lost just now, as ours."""
    try:
        yield
    except (exceptions.JobFailure, exceptions.NotFound) as error:
        raise Unreachable(f"jobboard {board.name}: {error}") from error


@dataclass(frozen=True)
class Ahead:
    """What a conductor that rests sees."""

    ready: bool  # something may be there to be claimed
    dead: bool  # claims of the dead are to be freed
    due_s: float | None  # in how many seconds the next job is due that waits for its time


class Dispatch(ABC):
    """One conductor's access to one board. Used by the conductor's threads; `claim` by one of them only."""

    board: Any
    """The TaskFlow `JobBoard` beneath."""

    @abstractmethod
    def open(self) -> None:
        """Connect, with a lease of one's own. Raises `Unreachable`."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect. What is still claimed is free for others. Raises `Unreachable`: it is after the lease."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the claims still hold. Once False it stays so, until `open` is called again."""

    @abstractmethod
    def claim(self, owner: Owner, flows: Sequence[str], limit: int, *, busy: Collection[str] = ()) -> list[Claim]:
        """Put on the board what is due, and claim up to `limit` jobs of these flows, first served first.

        There may be more: only when it finds none, there is none.

        `busy` are jobs that must not be claimed: this conductor is not done with them yet, also if it has lost its
        claim. Raises `Unreachable`.
        """

    @abstractmethod
    def look(self, flows: Sequence[str]) -> Ahead:
        """Whether there may be work for who knows these flows, or will be: one request to each server.

        Raises `Unreachable`.
        """

    @abstractmethod
    def free_dead_claims(self) -> int:
        """Free what dead conductors held; how many claims that were. Raises `Unreachable`."""

    @abstractmethod
    def mend(self, owner: Owner, running: Collection[str]) -> int:
        """Mend a batch of what crashes, lost replies and other hands left behind; how much there was to mend.

        Due records whose posting is not on the board, postings that no record wants, claims of this conductor's
        own on jobs that are not `running`, rows of conductors long dead. To be called by the thread that claims,
        which knows all that runs. Raises `Unreachable`.
        """

    @abstractmethod
    def put_down(self, claim: Claim, *, keep_posting: bool) -> Script:
        """For the transaction of the record that ends the claim: what frees the posting, or removes it."""

    @abstractmethod
    def was_put_down(self, claim: Claim, *, keep_posting: bool) -> None:
        """The same, after that transaction, for a board that is not in the database."""
