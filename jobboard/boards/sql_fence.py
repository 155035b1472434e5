"""A fence for storage beside the `sql` board: what is written for a job counts only while its claim holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from jobboard.errors import Fenced
from jobboard.schema import postings


@dataclass(frozen=True)
class ClaimFence:
    """One claim of one posting. Call it first in each transaction that writes for the job.

    The claim is known by its session and its moment, so not even the same process, when it claims the job again,
    lets an engine go on that worked under an earlier claim.
    """

    uuid: str  # the posting's
    session: str
    claimed_at: datetime

    def __call__(self, connection: sa.Connection) -> None:
        """Raise `Fenced` unless the claim holds. If it does, nobody gets the job before the transaction ends."""
        mine = sa.and_(
            postings.c.uuid == self.uuid,
            postings.c.session == self.session,
            postings.c.modified_at == self.claimed_at,
        )
        if connection.execute(sa.select(postings.c.seq).where(mine).with_for_update()).first() is None:
            raise Fenced(self.uuid)
