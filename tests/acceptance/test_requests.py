"""Pause, delete, and the cleanup of a failed revert, with real programs on every board."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from jobboard.errors import NoSuchJob
from jobboard.schema import events, postings
from jobboard.states import State
from jobboard.taskflow_rows import LOGBOOKS
from tests.waiting import until

S = State


def test_a_paused_job_survives_everything_stopping(place):
    first = place.start("one")
    (job,) = place.post(1, seconds=1, stubborn=True)
    until(lambda: (job, "began", "work") in place.done(), timeout=60, what="the work")
    with place.records() as records:
        assert records.pause(job, by="bob").state is S.PAUSING
        (paused,) = place.await_states([job], S.PAUSED, S.COMPLETED)
        assert paused.state is S.PAUSED
        first.kill()
        second = place.start("two")
        # Another job is done meanwhile: the new conductor is at work, and leaves the paused one alone.
        place.await_states(place.post(1), S.COMPLETED)
        assert records.get(job).state is S.PAUSED
        assert records.resume(job, by="bob").state is S.PENDING
        (done,) = place.await_states([job], S.COMPLETED)
    assert (done.conductor, done.attempt) == (second.name, 1)
    assert [step for other, _what, step in place.done("did") if other == job] == ["first", "work", "last"]


def test_a_running_job_that_is_deleted_is_undone_and_gone(place):
    place.start("one")
    (job,) = place.post(1, seconds=30)
    until(lambda: (job, "began", "work") in place.done(), timeout=60, what="the work")
    with place.records() as records, place.database() as database:
        assert records.delete(job, by="bob").state is S.CANCELLING

        def is_gone() -> bool:
            with pytest.raises(NoSuchJob):
                records.get(job)
            return True

        until(lambda: job not in records.matching(), timeout=60, what="the job to go")
        assert is_gone()
        with database.read() as connection:
            for table in (events, postings, LOGBOOKS):
                assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
        place.await_states(place.post(1), S.COMPLETED)  # nothing of it is in the way of others
    assert [step for _job, _what, step in place.done("undid")] == ["work", "first"]


def test_a_failed_revert_is_cleaned_up(place):
    block = place.folder / "block"
    block.touch()
    place.tells_errors = True
    place.start("one")
    (job,) = place.post(1, flow="blocked", block=str(block))
    until(lambda: (job, "began", "work") in place.done(), timeout=60, what="the work")
    cancelled = place.poster("cancel", job, "--reason", "wrong folder", "--wait")
    assert cancelled.code == 1
    assert "could not be undone while" in cancelled.out + cancelled.err
    assert place.poster("retry", job).code == 5
    assert "OSError: middle could not be undone" in place.poster("logs", job).out
    block.unlink()
    cleaned = place.poster("retry", job, "--cleanup", "--wait")
    assert cleaned.code == 6, cleaned.err  # the awaited job was cancelled
    assert [step for _job, _what, step in place.done("undid")] == ["work", "middle", "first"]
    assert place.poster("retry", job, "--wait").code == 0


def test_a_job_is_posted_cancelled_and_told_of_by_commands(embedded):
    embedded.start("one")
    (job,) = embedded.post(1, seconds=30)
    until(lambda: (job, "began", "work") in embedded.done(), timeout=60, what="the work")
    plan = embedded.poster("cancel", job, "--dry-run", "--json").json
    assert plan[0]["reverted"] == ["work", "first"]
    assert plan[0]["not_started"] == ["last"]
    ended = embedded.poster("cancel", job, "--reason", "wrong", "--wait")
    assert ended.code == 0
    told = [line.split(": ", 2)[2] for line in ended.err.splitlines()]
    assert told[0].startswith("requested by")
    assert told[1].startswith("delivered after")
    assert told[2].startswith("stopped after")
    assert told[-1].startswith("cancelled, 2 of 2 reverted after")
