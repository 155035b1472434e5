"""The rules that are seen in what is stored: records, attempts, histories, postings. See `checker`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby, pairwise

from jobboard.models import HistoryLine
from jobboard.states import AT_REST, ENDED, TRANSITIONS, State
from tests.rules.story import Known, Story, begins_attempt, goes_on, is_claim, is_freed, is_request

_EDGES = {(str(edge.source), str(edge.target)) for edge in TRANSITIONS}
_NEXT_OF_TASK = {
    None: {"running"},
    "pending": {"running"},
    "running": {"running", "success", "failure", "reverting", "pending"},
    "success": {"reverting", "pending"},
    "failure": {"reverting", "pending", "running"},
    "reverting": {"reverting", "reverted", "revert_failure"},
    "reverted": {"pending", "running"},
    "revert_failure": {"reverting"},
}


def posts_give_one_record(known: Known) -> Iterator[str]:
    """I1: an accepted post gives exactly one record."""
    deletes = [asked for asked in known.requests or () if asked.kind == "delete"]
    deleted = {asked.job for asked in deletes if asked.accepted is not False}
    for asked in known.requests or ():
        there = asked.job in known.stories or asked.job in deleted
        if asked.kind == "post" and asked.accepted and not there:
            yield f"job {asked.job} was posted, and has no record"
    if known.requests is None:
        return
    unanswered = sum(asked.kind == "post" and asked.accepted is None for asked in known.requests)
    unasked = [job for job, story in known.stories.items() if not story.asked("post")]
    if len(unasked) > unanswered:
        yield f"{len(unasked)} jobs no one was told of, after {unanswered} posts without an answer: {unasked}"


def a_key_gives_one_job(known: Known) -> Iterator[str]:
    """I2: one key posted k times gives one job, until it has ended."""
    keyed = [story for story in known.stories.values() if story.record["key"] is not None]
    for key, stories in groupby(sorted(keyed, key=lambda story: story.record["key"]), lambda s: s.record["key"]):
        live: set[str] = set()
        for line in sorted((line for story in stories for line in story.path), key=lambda line: line.seq):
            (live.discard if line.state in ENDED else live.add)(line.job)
            if len(live) > 1:
                yield f"key {key} has jobs {sorted(live)} at once"
                break
    for asked in known.requests or ():
        story = known.stories.get(asked.job or "")
        if asked.kind == "post" and asked.key and story and story.record["key"] != asked.key:
            yield f"key {asked.key} was answered with job {asked.job}, whose key is {story.record['key']}"


def comes_to_rest(known: Known, story: Story) -> Iterator[str]:
    """I1, I4: it comes to rest once faults stop; none stays running or cancelling."""
    waits = story.state is State.PENDING and story.record["due_at"] > known.now
    if not known.still_faulty and story.state not in AT_REST and not waits:
        yield f"is {story.state}"
    if story.state in AT_REST and story.record["owner"] is not None:
        yield f"is {story.state}, and still has an owner"
    if (story.state in ENDED) != (story.record["finished_at"] is not None):
        yield f"is {story.state}, and finished at {story.record['finished_at']}"


def cancels_end_in_cancelled(known: Known, story: Story) -> Iterator[str]:
    """I3: an accepted cancel ends in cancelled, or in revert_failed only if a revert raised.

    Or if conductors died under the revert too often to try it again.
    """
    cancelled = {asked.attempt or line_of_cancel(story) for asked in story.asked("cancel")}
    for attempt in sorted(number for number in cancelled if number):
        ends = [line.state for line in story.path if line.attempt == attempt and line.state in ENDED]
        if not ends:
            if not known.still_faulty:
                yield f"attempt {attempt} was cancelled, and has not ended"
        elif ends[-1] == State.REVERT_FAILED:
            if not has_failed_revert(story, attempt) and story.record["claims"] <= known.max_claims + 1:
                yield f"attempt {attempt} was cancelled and is revert_failed, though no revert failed"
        elif ends[-1] != State.CANCELLED:
            yield f"attempt {attempt} was cancelled, and ended {ends[-1]}"


def line_of_cancel(story: Story) -> int | None:
    """The attempt of the newest cancel that the history tells of."""
    return max((line.attempt for line in story.path if is_cancel(line)), default=None)


def is_cancel(line: HistoryLine) -> bool:
    """Whether a cancel was accepted here."""
    return line.state in (State.CANCELLING, State.CANCELLED) and is_request(line)


def has_failed_revert(story: Story, attempt: int) -> bool:
    """Whether the history tells of a revert that failed."""
    return any(line.state == "revert_failure" and line.attempt == attempt for line in story.lines)


def history_is_a_path(_known: Known, story: Story) -> Iterator[str]:
    """I5: the history is a path in the state table, and ends where the record stands."""
    if not story.path or story.path[0].state != State.PENDING:
        yield "does not begin pending"
    for before, after in story.moves:
        same = before.state == after.state
        marked = same and (after.message or "").startswith("deleted by ")
        taken_over = same and is_claim(after)
        if not (marked or taken_over or (same and is_freed(after)) or (before.state, after.state) in _EDGES):
            yield f"went from {before.state} to {after.state} (line {after.seq})"
    if story.path and story.path[-1].state != story.state:
        yield f"is {story.state}, and its history ends {story.path[-1].state}"


def attempts_end_once(_known: Known, story: Story) -> Iterator[str]:
    """I5: each attempt ends once."""
    numbers = [row["number"] for row in story.attempts]
    if numbers != list(range(1, story.record["attempt"] + 1)):
        yield f"is in attempt {story.record['attempt']}, and has attempts {numbers}"
    for row in story.attempts:
        current = row["number"] == story.record["attempt"]
        expected = {str(story.state)} if current else {str(state) for state in ENDED - {State.COMPLETED}}
        if (not current or story.state in ENDED) and (row["outcome"] not in expected or row["ended_at"] is None):
            yield f"attempt {row['number']} ended {row['outcome']} at {row['ended_at']}, not {sorted(expected)}"
    ended = Counter(line.attempt for line in story.path if line.state in ENDED)
    for before, after in story.moves:
        if before.state in ENDED and after.state not in ENDED and after.attempt == before.attempt:
            ended[after.attempt] -= 1  # asked to go on with what it kept, or to undo it, or to clean up
    if worst := {attempt: times for attempt, times in ended.items() if times > 1}:
        yield f"attempts ended more than once: {worst}"


def epochs_rise(_known: Known, story: Story) -> Iterator[str]:
    """I6: each claim and each new attempt raises the epoch by one, and the record's is the newest."""
    epoch, previous = 0, None
    for line in story.path:
        epoch += previous is not None and begins_attempt(previous, line)
        if is_claim(line):
            epoch += 1
            if (line.data or {})["epoch"] != epoch:
                yield f"was claimed with epoch {(line.data or {})['epoch']}, not {epoch} (line {line.seq})"
        previous = line
    if story.record["epoch"] != epoch:
        yield f"has epoch {story.record['epoch']}, not {epoch}"


def lines_of_tasks_are_paths(_known: Known, story: Story) -> Iterator[str]:
    """I6: nothing is written under a stale epoch: the lines of each task make sense one after the other."""
    states: dict[tuple[int, str], str | None] = defaultdict(lambda: None)
    for line in story.task_lines:
        before = states[line.attempt, line.task]
        if line.state not in _NEXT_OF_TASK[before]:
            yield f"task {line.task} went from {before} to {line.state} (line {line.seq})"
        states[line.attempt, line.task] = line.state


def at_rest_means_off_the_board(known: Known, story: Story) -> Iterator[str]:
    """I7: at rest means not on the board; due means on it, once."""
    at_rest = story.state in AT_REST
    if at_rest and (story.record["posting"] is not None or story.postings):
        yield f"is {story.state}, and on the board ({story.postings} times)"
    may_wait = story.record["max_running"] is not None or story.record["due_at"] > known.now
    if not at_rest and not known.still_faulty and not may_wait and story.postings != 1:
        yield f"is {story.state}, and on the board {story.postings} times"


def claims_are_bounded(known: Known, story: Story) -> Iterator[str]:
    """I9: claims are bounded, crashes count.

    `max_claims` conductors may run it, one more may revert it, one more gives it up. Of those that come after the
    first `max_claims`, who wrote nothing does not count: he could not even store that it is to be reverted.
    """
    claims = story.record["claims"]
    since = max((line.seq for before, line in story.moves if _counts_anew(before, line)), default=0)
    told = [line for line in story.claims if line.seq > since]
    by_conductors = [line for line in story.path if not is_request(line)]
    written = sorted([*by_conductors, *story.task_lines], key=lambda line: line.seq)
    in_vain = {before.seq for before, after in pairwise(written) if is_claim(before) and is_claim(after)}
    if claims > known.max_claims + 2 + sum(line.seq in in_vain for line in told[known.max_claims :]):
        yield f"was claimed {claims} times, of {known.max_claims} and two"
    crashed = [
        line
        for before, line in story.moves
        if line.seq > since
        and is_claim(line)
        and not is_freed(before)
        and before.state == line.state
        and line.state in (State.RUNNING, State.PAUSING)
    ]
    if not len(crashed) <= claims <= len(told):
        yield f"counts {claims} claims, of {len(told)}, {len(crashed)} of which took it over running"
    if known.crashes is not None and len(crashed) > known.crashes:
        yield f"was taken over running {len(crashed)} times, after {known.crashes} crashes"


def _counts_anew(before: HistoryLine, line: HistoryLine) -> bool:
    cleanup = before.state == State.REVERT_FAILED and line.state in (State.CANCELLING, State.REVERTING)
    return cleanup or begins_attempt(before, line) or goes_on(before, line)


def a_retry_gives_one_attempt(known: Known, story: Story) -> Iterator[str]:
    """I11: two retries make one attempt: there are as many as accepted retries, the automatic ones, and one."""
    begun = [after for before, after in story.moves if begins_attempt(before, after)]
    if story.record["attempt"] != 1 + len(begun):
        yield f"is in attempt {story.record['attempt']}, and {len(begun)} were begun after the first"
    if known.requests is None:
        return
    again = [after for before, after in story.moves if begins_attempt(before, after) or goes_on(before, after)]
    by_hand = sum(line.by is not None for line in again)
    sure, unsure = len(story.asked("retry", "force")), len(story.maybe_asked("retry", "force"))
    if not sure <= by_hand <= sure + unsure:
        yield f"was retried {by_hand} times, of {sure} requests (and {unsure} without an answer)"


def old_signals_cancel_nothing(known: Known, story: Story) -> Iterator[str]:
    """I12: an old signal cannot cancel a new attempt: one that ends cancelled was asked to after it began."""
    for attempt in sorted({line.attempt for line in story.path if line.state == State.CANCELLED}):
        if not any(line.attempt == attempt and is_cancel(line) for line in story.path):
            yield f"attempt {attempt} was cancelled, and no one had asked for it"
        requests = story.asked("cancel", "delete") + story.maybe_asked("cancel", "delete")
        if known.requests is not None and not any(asked.attempt in (attempt, None) for asked in requests):
            yield f"attempt {attempt} was cancelled, and no cancel of it was accepted"
