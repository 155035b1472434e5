"""What holds a guarantee up, taken out of a copy of the code, and the tests of which each must then fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One mechanism taken out."""

    name: str
    file: str
    old: str  # stands once in the file
    new: str
    tests: tuple[str, ...]  # each of which must fail without it, as pytest is told


_RECORDS = "tests/contract/test_records.py"
_TAKE_OVER = "tests/integration/test_take_over.py"
_LOST_LEASE = "tests/integration/test_lost_lease.py"
_PERSISTENCE = "tests/contract/test_persistence.py"
_WRAPPER = "tests/unit/test_flows_wrapper.py"
_RECONCILER = "tests/contract/test_reconciler.py"
HISTORIES = "tests/histories/test_random_histories.py::test_random_histories[sqlite]"
_DEATHS = "tests/dying/test_every_commit.py::test_a_sample_of_deaths"
_STORM = "tests/chaos/test_chaos.py::test_a_short_storm[sqlite+sql]"

MUTATIONS = [
    # Once at a time
    Mutation(
        "the fence",
        "jobboard/journal.py",
        'return {"id": self.job, "epoch": self.epoch}',
        'return {"id": self.job}',
        (f"{_RECORDS}::test_what_a_stale_claim_writes_is_refused[sqlite]", HISTORIES),
    ),
    Mutation(
        "the look at the fence before what was in flight goes on",
        "conductor/engine.py",
        "if self._goes_on:",
        "if False:",
        (f"{_TAKE_OVER}::test_a_claim_that_has_passed_on_before_the_task_in_flight_goes_on_runs_nothing[sqlite]",),
    ),
    Mutation(
        "the transaction before anything begins",
        "jobboard/job_persistence.py",
        "if self._begin_next:",
        "if False:",
        (f"{_PERSISTENCE}::test_that_a_task_runs_is_stored_before_it_runs_each_time[sqlite]",),
    ),
    Mutation(
        "the epoch that a claim raises",
        "jobboard/claims.py",
        '"epoch": jobs.c.epoch + 1,',
        '"epoch": jobs.c.epoch,',
        (
            f"{_TAKE_OVER}::test_a_running_job_goes_on_with_the_task_in_flight[sqlite]",
            f"{_DEATHS}[sqlite-succeeds]",
            _STORM,
        ),
    ),
    Mutation(
        "the condition in the claim",
        "jobboard/boards/sql.py",
        "self._here(), postings.c.session.is_(None), session.holds())",
        "self._here(), session.holds())",
        ("tests/contract/test_board_contract.py::test_one_board_wins_each_job[sqlite]",),
    ),
    Mutation(
        "the guard of the lease",
        "conductor/lease_guard.py",
        "if not self._dispatch.alive:",
        "if False:",
        (f"{_LOST_LEASE}::test_what_runs_is_interrupted_before_the_lease_ends_though_no_server_answers",),
    ),
    Mutation(
        "what gives up before a new lease",
        "conductor/service.py",
        "        give_up(self._running())\n",
        "",
        (f"{_LOST_LEASE}::test_what_runs_is_interrupted_before_a_new_lease_is_begun[sqlite]",),
    ),
    Mutation(
        "the new name after a lost lease",
        "conductor/service.py",
        "self._registration.enter(new_owner(self._owner.name))",
        "self._registration.enter()",
        (f"{_TAKE_OVER}::test_a_conductor_whose_lease_was_lost_begins_anew_and_never_has_a_job_twice[sqlite]",),
    ),
    # A cancel and the end
    Mutation(
        "the condition in the UPDATE",
        "jobboard/records.py",
        'unchanged = sa.and_(jobs.c.id == row["id"], jobs.c.state == row["state"], jobs.c.epoch == row["epoch"])',
        'unchanged = jobs.c.id == row["id"]',
        (
            f"{_RECORDS}::test_retries_at_once_make_one_attempt[postgresql]",
            "tests/integration/test_races.py::test_retries_against_each_other[postgresql-a sample]",
        ),
    ),
    Mutation(
        "the seal's condition",
        "jobboard/journal.py",
        'where = self._own | {"state": str(edge.source)}',
        "where = self._own",
        ("tests/integration/test_conductor.py::test_a_cancel_just_before_the_seal_wins[sqlite]", HISTORIES),
    ),
    # Cancelling and reverting
    Mutation(
        "the wrapper",
        "flows/cancelable.py",
        "    setattr(method, _MARK, method)\n    setattr(cls, name, method)",
        "    setattr(raw, _MARK, raw)",
        (f"{_WRAPPER}::test_it_stops_before_it_began_and_is_not_reverted[plain]", f"{_DEATHS}[sqlite-exits]"),
    ),
    Mutation(
        "the check before execute",
        "flows/border.py",
        "    if context.token.is_set:\n        raise _not_started(task, context) from None\n",
        "",
        (f"{_WRAPPER}::test_it_stops_before_it_began_and_is_not_reverted[plain]",),
    ),
    Mutation(
        "the revert that is spared what never began",
        "flows/border.py",
        "if isinstance(result, Failure) and result.check(NotStarted):",
        "if False:",
        (f"{_WRAPPER}::test_it_stops_before_it_began_and_is_not_reverted[revert_requires]",),
    ),
    Mutation(
        "the guard of retry controllers",
        "flows/retry_guard.py",
        "        if context.token.is_set:\n            return retry.REVERT_ALL\n",
        "",
        ("tests/integration/test_conductor.py::test_retry_controllers_do_not_swallow_a_cancel[sqlite-times]",),
    ),
    Mutation(
        "the look whether all is undone",
        "conductor/engine.py",
        "return self.state == states.REVERTED and states.REVERT_FAILURE not in self.atom_states.values()",
        "return False",
        (f"{_TAKE_OVER}::test_what_was_reverted_when_the_crash_came_is_not_done_again[sqlite]",),
    ),
    Mutation(
        "the result that outlives a failed revert",
        "jobboard/taskflow_rows.py",
        'others = [atom for atom in self.atoms.values() if atom["state"] != states.REVERT_FAILURE]',
        "others = list(self.atoms.values())",
        (f"{_PERSISTENCE}::test_a_failed_revert_keeps_the_result_for_the_next_try[sqlite-True]",),
    ),
    # Never poisonous, never hidden
    Mutation(
        "the limit of claims",
        "conductor/run.py",
        "if self.claim.claims <= self._tools.settings.max_claims:",
        "if True:",
        (f"{_TAKE_OVER}::test_a_job_whose_conductors_die_again_and_again_is_given_up[sqlite]",),
    ),
    Mutation(
        "the fingerprint",
        "conductor/run.py",
        "if stored is not None and stored != engine.structure.fingerprint:",
        "if False:",
        ("tests/integration/test_cleanup.py::test_a_flow_that_changed_cannot_be_cleaned_up[sqlite]",),
    ),
    Mutation(
        "the check of results",
        "flows/border.py",
        "_outcome(lambda: _checked(task, context, run(code)))",
        "_outcome(lambda: run(code))",
        (f"{_WRAPPER}::test_a_result_that_is_not_json_is_an_error_of_the_task",),
    ),
    Mutation(
        "the cut in a chain of errors",
        "flows/border.py",
        "    kept = secrets.error(storable(error))\n",
        "    kept = error\n",
        (f"{_WRAPPER}::test_a_base_exception_of_the_users_own_is_an_error_of_the_task",),
    ),
    # Always claimable
    Mutation(
        "the sweep of what the dead held",
        "jobboard/boards/session.py",
        "    connection.execute(_delete_expired(database))\n",
        "",
        ("tests/integration/test_session.py::test_a_sweep_frees_the_claims_of_the_dead_and_no_others[sqlite]",),
    ),
    Mutation(
        "the reconciler's look for claims that nobody runs",
        "jobboard/reconciler.py",
        "return not set(connection.execute(held).scalars()).issubset(running)",
        "return False",
        (f"{_RECONCILER}::test_a_claim_whose_reply_was_lost_is_freed_and_does_not_count[sql-sqlite]",),
    ),
    Mutation(
        "the look for a job that is on the board twice",
        "jobboard/dispatch/taskflow.py",
        "had = {*busy, *(claim.job for claim in found)}",
        "had = busy",
        (f"{_RECONCILER}::test_a_job_that_is_on_the_board_twice_is_had_once[outside-sqlite]",),
    ),
    Mutation(
        "the room on the board that is left to what is more urgent",
        "jobboard/feeder.py",
        "limit - sum(other <= priority for other in there)",
        "limit - len(there)",
        (f"{_RECORDS}::test_what_is_less_urgent_takes_no_room_from_what_is_more[sqlite]",),
    ),
    Mutation(
        "the way back into the line of what is missing on the board",
        "jobboard/reconciler.py",
        'None if row["waits"] else str(uuid4())',
        "str(uuid4())",
        (f"{_RECONCILER}::test_jobs_that_another_board_was_fed_with_wait_for_room_on_this_one[outside-sqlite]",),
    ),
]
