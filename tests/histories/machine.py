"""Random histories: any order of requests, steps of conductors, crashes, losses and hours that pass.

After each step the records are as the model says. In the end faults stop, a conductor does what is left, and the
rules hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from jobboard import removal
from jobboard.database import Database
from jobboard.errors import Fenced, KeyInUse, NoSuchJob, Refused, Unreachable
from jobboard.models import PRIORITIES, NewJob
from jobboard.records import Records
from jobboard.schema import attempts, jobs, metadata, postings
from tests.histories import model
from tests.histories.clock import pass_time
from tests.histories.conductor import BOARD, FLOWS, LAST_STEPS, MAX_CLAIMS, Conductor, Run, Todo
from tests.histories.lossy import Lost
from tests.histories.model import AT_REST, ENDED, GONE, LIVE, MARKED, REFUSED, TASKS, UNDOING
from tests.rules.checker import broken_rules

HOUR_S = 3600
MOST_LIVING = 3  # so that much happens to each
MOST_JOBS = 9
RETRY_S = 1000.0  # an automatic retry is due within the hour

NAMES = ("one", "two")


@dataclass(frozen=True)
class Post:
    """A job as it is asked for."""

    flow: str
    n: int
    key: str | None
    hours: int  # until it is due
    retries: int
    keeps: bool
    priority: str


posts = st.builds(
    Post,
    flow=st.sampled_from(FLOWS),
    n=st.integers(0, 1),
    key=st.sampled_from([None, None, "k", "l"]),
    hours=st.sampled_from([0, 0, 0, 1, 2]),
    retries=st.integers(0, 1),
    keeps=st.booleans(),
    priority=st.sampled_from(PRIORITIES),
)

names = st.sampled_from(NAMES)
lost = st.sampled_from([None, None, *Lost])
which = st.integers(0, 2)
deeds = st.lists(st.sampled_from(["well"] * 6 + ["badly", "hear", "hand back"]), max_size=6)
events = st.sampled_from(["crashes", "freezes", "begins anew", "sweeps", "mends", "purges", "sleeps"])
requests = st.sampled_from(
    ["cancel", "cancel", "cancel all", "retry", "retry with others", *sorted(model.ANSWERS)]
)


class Histories(RuleBasedStateMachine):
    """Histories of one database, which is empty at the beginning of each."""

    ids = Bundle("ids")

    def __init__(self, database: Database, *, patient: bool) -> None:
        """`patient`: the reply to a seal may be lost, which its conductor waits for."""
        super().__init__()
        self.database = database
        self.patient = patient
        self.records = Records(database, BOARD)
        self.jobs: dict[str, model.Job] = {}
        self.now_s = 0
        self.conductors: dict[str, Conductor] = {}
        self.crashed: list[Conductor] = []
        self.lost_leases: set[str] = set()  # owners whose jobs others may have
        self.undone: dict[tuple[str, int, str], bool] = {}  # by job, attempt and task: whether it was reverted

    @initialize(target=ids, first=st.lists(posts, min_size=1, max_size=MOST_LIVING))
    def begin(self, first: list[Post]) -> Any:
        """With something to do, since Hypothesis leaves out some of the rules in most histories."""
        with self.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(sa.delete(table))
        return multiple(*(job for post in first for job in self._post(post)))

    # What posters ask

    @precondition(lambda self: self._may_have_more())
    @rule(target=ids, post=posts)
    def post(self, post: Post) -> Any:
        return multiple(*self._post(post))

    def _post(self, post: Post) -> list[str]:
        """The id of the job, if it is a new one."""
        new = NewJob(
            post.flow,
            {"n": post.n},
            key=post.key,
            priority=post.priority,
            due_at=self.database.now() + timedelta(hours=post.hours) if post.hours else None,
            max_retries=post.retries,
            retry_interval_s=RETRY_S,
            max_running=1 if post.flow == "limited" else None,
            on_failure="keep" if post.keeps else "revert",
        )
        earlier = self._living(post.key)
        if earlier is not None and (earlier.flow, earlier.arguments) != (post.flow, new.arguments):
            self._is_refused(lambda: self.records.post([new], by="ann"), KeyInUse)
            return []
        (posted,) = self.records.post([new], by="ann")
        if earlier is not None:
            assert (posted.id, posted.existed) == (earlier.id, True)
            return []
        assert posted.id not in self.jobs
        assert not posted.existed
        due_s = self.now_s + post.hours * HOUR_S
        self.jobs[posted.id] = model.Job(
            posted.id, post.flow, {"n": post.n}, post.key, due_s, new.max_running, post.retries, keeps=post.keeps
        )
        return [posted.id]

    @rule(job=ids, request=requests)
    def ask(self, job: str, request: str) -> None:
        if request == "cancel all":
            self._cancel_many([*self.jobs, job])
        elif request == "retry with others":
            self._retry_with_others(job)
        else:
            self._compare(job, request, self._request(job, request))

    def _may_have_more(self) -> bool:
        living = [job for job in self.jobs.values() if job.state not in ENDED]
        return len(living) < MOST_LIVING and len(self.jobs) < MOST_JOBS

    def _retry_with_others(self, job: str) -> None:
        arguments = {"n": self.now_s}
        known = self.jobs.get(job)

        def request() -> Any:
            return self.records.retry(job, by="ann", arguments=arguments, changed=arguments)

        if known is not None and known.standing == "kept":
            self._is_refused(request, Refused)
        elif self._compare(job, "retry", request) == "pending":
            self.jobs[job].arguments = arguments

    def _cancel_many(self, ids: list[str]) -> None:
        answers = self.records.cancel_many(ids, by="eve", reason="enough")
        for job, answer in dict(zip(ids, answers, strict=True)).items():
            known = self.jobs.get(job)
            if known is None:
                assert isinstance(answer, NoSuchJob)
                continue
            wanted = self._ask(known, "cancel")
            assert isinstance(answer, Refused) == (wanted == REFUSED), answer
            assert isinstance(answer, Refused) or answer.state == known.state

    def _purge(self) -> None:
        removal.purge(self.database, HOUR_S)
        for job in [job.id for job in self.jobs.values() if self._is_old(job)]:
            del self.jobs[job]

    def _request(self, job: str, request: str) -> Callable[[], Any]:
        records = self.records
        return {
            "cancel": lambda: records.cancel(job, by="bob", reason="enough"),
            "retry": lambda: records.retry(job, by="bob"),
            "cleanup": lambda: records.cleanup(job, by="bob"),
            "force": lambda: records.force(job, by="bob", reason="looked at it"),
            "pause": lambda: records.pause(job, by="bob"),
            "resume": lambda: records.resume(job, by="bob"),
            "delete": lambda: records.delete(job, by="bob"),
            "delete!": lambda: records.delete(job, by="bob", reason="looked at it", force=True),
        }[request]

    def _compare(self, job: str, request: str, ask: Callable[[], Any]) -> str:
        """Ask, and hold the answer against the model's, which is returned."""
        known = self.jobs.get(job)
        if known is None:
            self._is_refused(ask, NoSuchJob)
            return REFUSED
        wanted = self._ask(known, request)
        if wanted == REFUSED:
            self._is_refused(ask, Refused)
            return wanted
        answer = ask()
        if wanted == GONE:
            assert answer is None
            del self.jobs[job]
        else:
            assert (answer.state, answer.deleting) == (known.state, known.deleting), wanted
            assert wanted in (model.UNCHANGED, MARKED, known.state)
        return wanted

    def _ask(self, known: model.Job, request: str) -> str:
        other = self._living(known.key)
        return known.ask(request, self.now_s, key_is_free=other is None or other is known)

    def _is_refused(self, ask: Callable[[], Any], error: type[Exception]) -> None:
        before = self._everything()
        try:
            answer = ask()
        except error:
            assert self._everything() == before
        else:
            raise AssertionError(f"this was to be refused: {answer}")

    def _living(self, key: str | None) -> model.Job | None:
        living = (job for job in self.jobs.values() if key and job.key == key and job.state not in ENDED)
        return next(living, None)

    def _is_old(self, job: model.Job) -> bool:
        ended = job.state in ENDED - {"revert_failed"} and not job.kept
        return ended and job.ended_s is not None and job.ended_s <= self.now_s - HOUR_S

    # What conductors do

    @rule(name=names, which=which, deeds=deeds, lose=lost)
    def work(self, name: str, which: int, deeds: list[str], lose: Lost | None) -> None:
        """A conductor claims jobs if it has none, and goes on with one. What is lost is the last step."""
        conductor = self._conductor(name)
        if not conductor.runs:
            self._begin_anew(conductor)
            self._claim(conductor, which + 1, None if deeds else lose)
        self._go_on(conductor, which, deeds, lose)

    @rule(name=names, which=which, request=requests)
    def overtake(self, name: str, which: int, request: str) -> None:
        """A conductor goes on with a job up to its last step; before it takes that, someone asks for something."""
        conductor = self._conductor(name)
        if not conductor.runs:
            self._begin_anew(conductor)
            self._claim(conductor, which + 1, None)
        run = self._chosen(conductor, which)
        while run in conductor.runs.values() and run.next()[0] not in LAST_STEPS:
            self._perform(conductor, run, well=True, lose=None)
        if run in conductor.runs.values():
            self.ask(run.claim.job, request)
            self._perform(conductor, run, well=True, lose=None)

    @precondition(lambda self: any(conductor.runs for conductor in self.conductors.values()))
    @rule(which=which, deeds=deeds, lose=lost)
    def rob(self, which: int, deeds: list[str], lose: Lost | None) -> None:
        """A conductor is frozen until another has its jobs, and then goes on with one of them: a zombie."""
        busy = [conductor for conductor in self.conductors.values() if conductor.runs]
        zombie = busy[which % len(busy)]
        self._end_lease(zombie)
        thief = next(self._conductor(name) for name in NAMES if name != zombie.name)
        self._sweep(thief)
        self._claim(thief, MOST_LIVING, None)
        self._go_on(zombie, which, deeds, lose)

    def _go_on(self, conductor: Conductor, which: int, deeds: list[str], lose: Lost | None) -> None:
        run = self._chosen(conductor, which)
        for number, deed in enumerate(deeds, 1):
            if run in conductor.runs.values():
                self._do(conductor, run, deed, lose if number == len(deeds) else None)

    @staticmethod
    def _chosen(conductor: Conductor, which: int) -> Run | None:
        runs = list(conductor.runs.values())
        return runs[which % len(runs)] if runs else None

    @rule(name=names, event=events)
    def event(self, name: str, event: str) -> None:
        """Something happens to a conductor, or to all of them."""
        conductor = self._conductor(name)
        happens: dict[str, Callable[[], None]] = {
            "crashes": lambda: self.crashed.append(self.conductors.pop(name)),
            "freezes": lambda: self._end_lease(conductor),
            "begins anew": lambda: self._begin_anew(conductor),
            "sweeps": lambda: self._sweep(conductor),
            "mends": lambda: self._mend(conductor),
            "purges": self._purge,
            "sleeps": self._sleep,
        }
        happens[event]()

    def _sweep(self, conductor: Conductor) -> None:
        for dead in self.crashed:
            self._end_lease(dead)
        conductor.sweep()

    def _claim(self, conductor: Conductor, limit: int, lose: Lost | None) -> None:
        claimable = [] if conductor.lease_ended else self._claimable(conductor)
        conductor.database.lose = lose
        try:
            claimed = {run.claim.job for run in conductor.claim(limit)}
        except Unreachable:
            claimed = None
        taken = {job for job, row in self._rows().items() if row["epoch"] != self.jobs[job].epoch}
        assert claimed is None or claimed == taken
        assert len(taken) <= limit
        assert lose is not None or len(taken) >= min(limit, len(claimable))
        for job in taken:
            known = self.jobs[job]
            assert known.state not in AT_REST
            assert known.due_s <= self.now_s
            assert known.owner is None or known.owner in self.lost_leases, "someone has it"
            known.claim(conductor.owner.id)

    def _do(self, conductor: Conductor, run: Run, deed: str, lose: Lost | None) -> None:
        if deed == "hear":
            conductor.hear(run)
        elif deed == "hand back":
            if run.in_flight is None and not run.broken:
                self._perform(conductor, run, well=True, lose=lose, todo=Todo.SUSPEND)
        else:
            self._perform(conductor, run, well=deed == "well", lose=lose)

    def _mend(self, conductor: Conductor) -> None:
        conductor.mend()
        for job in self.jobs.values():
            if job.owner == conductor.owner.id and job.id not in conductor.runs:
                job.owner = None
                job.claims -= 1

    def _sleep(self) -> None:
        """A little more than an hour, so that what is due by then is due. All who live renew their leases."""
        pass_time(self.database, HOUR_S + 60)
        self.now_s += HOUR_S + 60

    def _conductor(self, name: str) -> Conductor:
        if name not in self.conductors:
            self.conductors[name] = Conductor(self.database.engine, name)
        return self.conductors[name]

    @staticmethod
    def _begin_anew(conductor: Conductor) -> None:
        if conductor.lease_ended:
            conductor.begin_anew()

    def _end_lease(self, conductor: Conductor) -> None:
        if not conductor.lease_ended:
            conductor.end_lease()
            self.lost_leases.add(conductor.owner.id)

    def _claimable(self, conductor: Conductor) -> list[str]:
        """What must not be passed over."""
        with self.database.read() as connection:
            held = set(
                connection.execute(sa.select(postings.c.job).where(postings.c.session.is_not(None))).scalars()
            )
        return [
            job.id
            for job in self.jobs.values()
            if job.state not in AT_REST
            and job.due_s <= self.now_s
            and (job.max_running is None or job.state in UNDOING)
            and job.id not in held
            and job.id not in conductor.runs
        ]

    def _perform(
        self, conductor: Conductor, run: Run, *, well: bool, lose: Lost | None, todo: Todo | None = None
    ) -> None:
        """One step of a run, and what it must come to."""
        planned, task = run.next()
        todo = todo or planned
        if todo is Todo.SEAL and not self.patient:
            lose = None
        if todo in (Todo.FINISH, Todo.FINISH_REVERT):
            self._end(conductor, run, todo, task, well=well)
            return
        known = self.jobs.get(run.claim.job)
        stale = known is None or known.epoch != run.claim.epoch
        before = self._everything() if stale or lose is Lost.REQUEST else None
        conductor.database.lose = lose
        try:
            answer = conductor.act(run, todo, task, well=well)
        except Fenced:
            assert stale, "its claim stands"
            assert self._everything() == before
            del conductor.runs[run.claim.job]
            return
        except Unreachable:
            run.broken, run.in_flight = True, None
            if lose is Lost.REQUEST:
                assert self._everything() == before
                self._follow_lost(conductor, run, todo, task)
                return
            answer = None
        finally:
            conductor.database.lose = None
        assert not stale, f"{todo} of a claim that has passed on"
        assert known is not None
        known.tasks |= run.late
        run.late.clear()
        stays = self._follow(known, run, todo, task, well=well)
        expected = {Todo.FAIL: not stays, Todo.SEAL: known.state}
        assert run.broken or answer == expected.get(todo, answer)
        if known.is_gone:
            del self.jobs[known.id]
        if not stays and (not run.broken or todo is Todo.LET_GO):
            del conductor.runs[run.claim.job]
        elif run.broken and todo is Todo.START and conductor.forget(run, task):
            run.late[task] = "pending"

    def _end(self, conductor: Conductor, run: Run, todo: Todo, task: str, *, well: bool) -> None:
        """A task or its revert ends: nothing is stored yet."""
        conductor.act(run, todo, task, well=well)
        run.in_flight = None
        run.late[task] = run.tasks[task]
        if todo is Todo.FINISH_REVERT:  # it has happened, whatever becomes of the news
            self.undone[run.claim.job, run.claim.attempt, task] = well

    @staticmethod
    def _follow_lost(conductor: Conductor, run: Run, todo: Todo, task: str) -> None:
        """A step that could not be stored: what has gathered goes with the claim."""
        if todo is Todo.START:
            conductor.forget(run, task)
        elif todo is Todo.START_REVERT:
            run.late[task] = "reverting"
        elif todo is Todo.BEGIN and run.claim.kept and not run.undoing:
            run.late |= {name: state for name, state in run.tasks.items() if state == "running"}

    def _follow(self, known: model.Job, run: Run, todo: Todo, task: str, *, well: bool) -> bool:
        """What a step that was stored makes of the job and of the run. Whether the run goes on."""
        ends: dict[Todo, Callable[[model.Job, Run], None]] = {
            Todo.LET_GO: self._follow_let_go,
            Todo.SUSPEND: lambda job, _: job.hand_back(),
            Todo.GIVE_UP: lambda job, _: job.give_up(self.now_s),
            Todo.REVERTED: self._follow_reverted,
            Todo.REVERT_FAILED: lambda job, _: job.revert_failed(self.now_s),
        }
        turns: dict[Todo, Callable[[model.Job, Run], bool]] = {
            Todo.SEAL: self._follow_seal,
            Todo.FAIL: self._follow_failure,
            Todo.STOP_RUNNING: self._follow_stop,
        }
        if todo in ends:
            ends[todo](known, run)
            return False
        if todo in turns:
            run.undoing = turns[todo](known, run)
            return run.undoing
        self._follow_task(known, run, todo, task, well=well)
        return True

    @staticmethod
    def _follow_let_go(known: model.Job, run: Run) -> None:
        known.owner = None
        if known.attempt == run.claim.attempt:  # tasks that it could not store before go along
            known.tasks = known.tasks or run.tasks
            known.kept = known.kept and "running" not in run.tasks.values()

    def _follow_reverted(self, known: model.Job, run: Run) -> None:
        this = (known.id, known.attempt)
        left = [key for key, undone in self.undone.items() if key[:2] == this and not undone]
        assert not left, "called reverted, and it is not"
        known.reverted(run.claim.retries_left, self.now_s, self.now_s + HOUR_S)

    def _follow_seal(self, known: model.Job, _run: Run) -> bool:
        known.seal(self.now_s)
        return known.state != "completed"

    def _follow_failure(self, known: model.Job, run: Run) -> bool:
        if known.keeps and known.keep(run.claim.retries_left, self.now_s, self.now_s + HOUR_S):
            return False
        known.turn_back()
        return True

    @staticmethod
    def _follow_stop(known: model.Job, run: Run) -> bool:
        known.turn_back()
        run.given_up = True
        return True

    def _follow_task(self, known: model.Job, run: Run, todo: Todo, task: str, *, well: bool) -> None:
        if todo is Todo.BEGIN:
            run.begun = True
            known.tasks = known.tasks or dict.fromkeys(TASKS, "pending")
            if not run.undoing and run.claim.kept:
                known.kept = False
                known.tasks = {
                    name: "running" if state == "failure" else state for name, state in known.tasks.items()
                }
        elif todo is Todo.START:
            known.tasks[task] = "running"
            if not run.broken:
                run.in_flight = task
                self.undone[known.id, known.attempt, task] = False
        elif todo is Todo.START_REVERT:
            known.tasks[task] = "reverting"
            run.again.discard(task)
            run.in_flight = None if run.broken else task

    # What must hold after each step

    @invariant()
    def all_is_well(self) -> None:
        self._records_are_as_the_model_says()
        self._the_board_is_as_the_records_say()
        self._each_attempt_has_one_row_and_one_end()

    def _records_are_as_the_model_says(self) -> None:
        stored = self._rows()
        assert stored.keys() == self.jobs.keys()
        for job, row in stored.items():
            known = self.jobs[job].row()
            assert {name: row[name] for name in known} == known, job

    def _the_board_is_as_the_records_say(self) -> None:
        with self.database.read() as connection:
            posted = {row.uuid: row.job for row in connection.execute(sa.select(postings.c.uuid, postings.c.job))}
        known = {row["posting"]: job for job, row in self._rows().items() if row["posting"]}
        assert posted == known
        resting = {job.id for job in self.jobs.values() if job.state in AT_REST}
        assert not resting.intersection(posted.values()), "at rest and on the board"
        limited = [job for job in posted.values() if self._is_counted(self.jobs[job])]
        assert len(limited) <= 1, "more than may run"

    @staticmethod
    def _is_counted(job: model.Job) -> bool:
        return job.max_running is not None and job.state in {"pending"} | LIVE

    def _each_attempt_has_one_row_and_one_end(self) -> None:
        with self.database.read() as connection:
            rows = connection.execute(sa.select(attempts).order_by(attempts.c.job, attempts.c.number)).mappings()
            numbers: dict[str, list[int]] = {}
            for row in rows:
                numbers.setdefault(row["job"], []).append(row["number"])
                known = self.jobs[row["job"]]
                if row["number"] < known.attempt or known.state in ENDED:
                    assert row["outcome"] in ENDED, "its end is not written down"
                if row["number"] == known.attempt and known.state in ENDED:
                    assert row["outcome"] == known.state
        assert numbers == {job.id: list(range(1, job.attempt + 1)) for job in self.jobs.values()}

    def _rows(self) -> dict[str, dict[str, Any]]:
        with self.database.read() as connection:
            rows = connection.execute(sa.select(jobs)).mappings().all()
        return {
            row["id"]: dict(row)
            | {
                "cancelled": row["cancel_requested_at"] is not None,
                "ended": row["finished_at"] is not None,
                "tasks": {task["name"]: task["state"] for task in row["tasks"]},
            }
            for row in rows
        }

    def _everything(self) -> list[Any]:
        with self.database.read() as connection:
            return [
                list(connection.execute(sa.select(table).order_by(*table.primary_key)))
                for table in metadata.sorted_tables
            ]

    # The end

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is None:
                self._come_to_rest()
        finally:
            for conductor in (*self.crashed, *self.conductors.values()):
                conductor.close()

    def _come_to_rest(self) -> None:
        """Faults stop; then every job comes to rest."""
        self.crashed += self.conductors.values()
        self.conductors = {}
        last = self._conductor("last")
        for _ in range(20):
            self.event("last", "sweeps")
            self._claim(last, 100, None)
            while last.runs:
                for run in list(last.runs.values()):
                    last.hear(run)
                    if run in last.runs.values():
                        self._perform(last, run, well=True, lose=None)
                    self._records_are_as_the_model_says()
            if all(job.state in AT_REST for job in self.jobs.values()):
                break
            self._sleep()
        assert all(job.state in AT_REST for job in self.jobs.values()), "a job never comes to rest"
        self.all_is_well()
        broken = broken_rules(self.database, max_claims=MAX_CLAIMS)
        assert not broken, "\n".join(broken)
