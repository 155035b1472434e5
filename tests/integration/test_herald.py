"""What completes jobs tells of it without being in the way of others."""

from __future__ import annotations

import threading
from contextlib import closing

from conductor.herald import Herald
from jobboard.database import open_database
from jobboard.signals import Channel, Listener
from jobboard.states import State
from tests.integration.house import House, settings_for
from tests.requests_seen import on_statements

LONG_S = 30.0


def test_a_completion_is_heard_at_once(house: House):
    house.flow(lambda: [house.step("a")])
    with Listener(house.database, [Channel.CHANGE]) as listener, house.running():
        job = house.post()
        while house.get(job).state is not State.COMPLETED:
            assert listener.wait(LONG_S), "nobody told of it"


def test_what_is_told_just_before_the_end_is_told(postgresql_url: str):
    with closing(open_database(postgresql_url)) as database:
        for _ in range(20):
            herald = Herald(database)
            herald.start()
            with Listener(database, [Channel.CHANGE]) as listener:
                herald.tell()
                herald.stop()
                assert listener.wait(LONG_S) == {Channel.CHANGE}


def test_no_transaction_that_completes_a_job_notifies(postgresql_url: str):
    sent: list[str] = []

    def note(statement: str) -> None:
        if threading.current_thread().name.startswith("slot"):
            sent.append(statement)

    with closing(open_database(postgresql_url)) as database:
        house = House(database, settings_for(postgresql_url))
        house.flow(lambda: [house.step("a")])
        job = house.post()
        on_statements(database, note)
        house.drain()
        assert house.get(job).state is State.COMPLETED
    assert [statement for statement in sent if "pg_notify" in statement] == []
    assert any("UPDATE jobs" in statement for statement in sent)
