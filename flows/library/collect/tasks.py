"""The three tasks of `collect`."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

from flows import CancelableTask
from flows.library.collect.errors import BadRows, NothingCollected
from flows.library.collect.query import Query
from flows.library.collect.tally import Tally
from flows.library.collect.target import Target
from flows.library.remote.errors import RemoteError

if TYPE_CHECKING:
    from flows.library.collect.feed import Feed
    from flows.library.collect.journal import Journal
    from flows.library.collect.price import Price

LOG = logging.getLogger(__name__)

_MOST_PROBLEMS: Final = 100
_PATIENCE_S: Final = 60.0  # of a revert, with a database that is away

# Who only posts a job loads this module too, and needs no HTTP and no database: the tasks import what they need.


class Prepare(CancelableTask):
    """Make the tables, or check them. There is nothing to revert: tables that were made stay, empty.

    It names the run, by which all that the run writes is marked: an attempt that was given up by force leaves its
    marks, and the next one must not take them for its own.
    """

    default_provides = "run"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def execute(self) -> str:
        from flows.library.collect.database import Database
        from flows.library.collect.journal import forget_finished

        with Database(self.target) as database:
            database.prepare()
            forget_finished(database)
        return f"{self.job or 'local'}.{secrets.token_hex(4)}"


class Collect(CancelableTask):
    """Fetch one symbol after the other, and store it. After a crash it goes on with what is not stored."""

    def __init__(self, query: Query, target: Target) -> None:
        super().__init__()
        self.query = query
        self.target = target

    async def execute(self, run: str, symbols: list[str], on_error: str, batch: int) -> None:
        from flows.library.collect.database import Database
        from flows.library.collect.feed import Feed
        from flows.library.collect.journal import Journal
        from flows.library.remote.asking import new_client

        with Database(self.target) as database:
            async with new_client() as client:
                feed, journal = Feed(client, self.query), Journal(database, run)
                await self._collect(feed, journal, symbols, skips=on_error == "skip", batch=batch)

    async def _collect(self, feed: Feed, journal: Journal, symbols: list[str], *, skips: bool, batch: int) -> None:
        to_do = journal.begin(symbols)
        tally = journal.tally()
        for symbol in to_do:
            self._report(tally)
            try:
                prices = await feed.prices_of(symbol)
            except (BadRows, RemoteError) as error:
                if not skips:
                    raise
                LOG.warning("skipped %s: %s", symbol, error)
                journal.finish(symbol, problem=str(error))
                tally = tally.skipped()
            else:
                self._store(journal, symbol, prices, batch)
                tally = tally.stored(len(prices))
        self._report(tally)

    def _store(self, journal: Journal, symbol: str, prices: list[Price], batch: int) -> None:
        for start in range(0, len(prices), batch):
            self.checkpoint()
            some = prices[start : start + batch]
            journal.write(symbol, some, rows=start + len(some))
        journal.finish(symbol)

    def _report(self, tally: Tally) -> None:
        self.update_progress(
            tally.share, done=tally.done, total=tally.total, rows=tally.rows, failures=tally.failures
        )

    def revert(self, run: str, symbols: list[str], **_: Any) -> None:
        from flows.library.collect.database import Database
        from flows.library.collect.journal import Journal

        with Database(self.target, patience_s=_PATIENCE_S) as database:
            journal = Journal(database, run)
            for symbol in self.track(journal.begin_undo()):
                journal.undo(symbol)
            journal.check_undone(symbols)


class Report(CancelableTask):
    """Say what became of it."""

    default_provides = ("rows", "stored", "skipped")

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def execute(self, run: str) -> tuple[int, int, dict[str, str]]:
        from flows.library.collect.database import Database
        from flows.library.collect.journal import Journal

        with Database(self.target) as database:
            journal = Journal(database, run)
            tally, problems = journal.tally(), journal.problems(_MOST_PROBLEMS)
        stored = tally.done - tally.failures
        if not stored:
            raise NothingCollected(f"not one of {tally.total} symbols: {next(iter(problems.values()))}")
        return tally.rows, stored, problems
