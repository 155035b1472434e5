"""What people are told of what is malformed: by `poster doctor`, and by each command that leaves it out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
import sqlalchemy as sa

from conductor.service import Conductor
from jobboard.conductors import Registration
from jobboard.database import Database, open_database
from jobboard.dispatch.opening import open_dispatch
from jobboard.owner import Owner
from jobboard.schema import attempts, conductors, jobs, postings
from poster import Client
from tests.integration.commands import FLOWS, PosterHere
from tests.integration.house import settings_for


@pytest.fixture
def poster(database_url: str) -> PosterHere:
    return PosterHere(database_url)


@pytest.fixture
def database(poster: PosterHere) -> Iterator[Database]:
    with closing(open_database(poster.url)) as database:
        yield database


def write(database: Database, statement: sa.Executable) -> None:
    with database.write() as connection:
        connection.execute(statement)


def spoil(database: Database, job: str, **columns: str) -> None:
    broken = {name: sa.literal_column(text) for name, text in columns.items()}
    write(database, sa.update(jobs).where(jobs.c.id == job).values(broken))


@pytest.fixture
def three(poster: PosterHere, database: Database) -> list[str]:
    """Three jobs; the second one's record is malformed."""
    made = [poster.post(name) for name in ("ann", "bob", "cid")]
    spoil(database, made[1], arguments="'[1]'", priority="77")
    return made


def test_a_list_shows_the_others_and_says_that_one_is_left_out(poster, three):
    first, bad, last = three
    ran = poster("list", "-q")
    assert (ran.code, ran.lines) == (0, [last, first])
    assert (
        f"job {bad} is left out: its record is malformed: arguments: [1] is no JSON object; priority: 77"
        in ran.err
    )
    ran = poster("list", "--json")
    assert [job["id"] for job in ran.json] == [last, first]
    assert len(ran.err.splitlines()) == 1


def test_a_count_counts_the_others(poster, database, three):
    spoil(database, three[1], state="'bogus'")
    ran = poster("stats", "--json")
    assert (ran.code, ran.json["total"]) == (0, 2)
    assert "1 of flow greet is left out: state: 'bogus' is no state" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        "show",
        "history",
        "wait",
        "watch",
        "cancel",
        "retry",
        "pause",
        "resume",
        "delete",
        "result",
        "cancel --dry-run",
    ],
)
def test_a_command_on_it_says_in_a_line_what_is_wrong_and_what_to_do(poster, three, words):
    bad = three[1]
    ran = poster(*words.split(), bad)
    if words == "history":
        assert ran.code == 0
        return
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith(f"poster: job {bad}: its record is malformed: arguments: [1] is no JSON object")
    assert ran.err.endswith(
        f"mend it in the database, or remove it with `poster delete {bad} --force --reason T`\n"
    )
    assert len(ran.err.splitlines()) == 1


def test_a_cancel_of_all_cancels_the_others(poster, three):
    ran = poster("cancel", "--all", "--yes", "--json")
    assert ran.code == 5
    assert [(one["id"], one["ok"], one["state"]) for one in ran.json] == [
        (three[0], True, "cancelled"),
        (three[1], False, "pending"),
        (three[2], True, "cancelled"),
    ]


def test_it_can_be_removed(poster, three):
    assert poster("delete", three[1], "--force", "--reason", "malformed").code == 0
    assert poster("list", "-q").lines == [three[2], three[0]]
    assert poster("doctor", "--json").json["findings"] == []


def test_the_doctor_names_everything_that_is_set_aside(poster, database, three):
    job, bad, other = three
    spoil(database, other, attempt="7")
    stray = {"uuid": str(uuid4()), "board": "countermand", "name": "x", "priority": 2, "details": {}}
    moments = {"created_at": database.now(), "modified_at": database.now()}
    write(database, sa.insert(postings).values(stray | moments))
    gone = {"uuid": str(uuid4()), "job": "0" * 26}
    write(database, sa.insert(postings).values(stray | moments | gone))
    write(database, sa.update(postings).where(postings.c.job == job).values(name="share"))
    write(database, sa.update(attempts).where(attempts.c.job == job).values(flow_detail="no-such"))
    Registration(database, Owner("odd", "host:1:x"), 1, [], 15.0).enter()
    write(database, sa.update(conductors).values(flows={}))
    ran = poster("doctor", "--json")
    assert ran.code == 0
    assert {check["name"]: check["status"] for check in ran.json["checks"]}["malformed"] == "warning"
    found = {(one["thing"], one["id"]): one for one in ran.json["findings"]}
    posting = next(key for key in found if key[0] == "posting" and key[1] not in (stray["uuid"], gone["uuid"]))
    assert {key: one["wrong"] for key, one in found.items()} == {
        ("record", bad): "arguments: [1] is no JSON object; priority: 77 is no priority",
        ("attempt", f"{job}/1"): "TaskFlow's flow detail no-such is gone",
        ("attempt", f"{other}/7"): "nothing is stored of it",
        ("conductor", "host:1:x"): "flows: {} is no JSON list",
        ("posting", stray["uuid"]): "it belongs to no job of ours",
        ("posting", gone["uuid"]): f"job {'0' * 26} is not there, or has another posting",
        posting: f"it is of flow share, and job {job} is of flow greet",
    }
    assert all(one["advice"] for one in ran.json["findings"])
    said = poster("doctor").out
    assert f"record {bad}: arguments: [1] is no JSON object" in said
    assert f"`poster delete {bad} --force --reason T`" in said


def test_the_doctor_names_what_stands_on_a_board_and_is_no_posting(sqlite_url, zookeeper):
    poster = PosterHere(sqlite_url)
    place = f"/malformed-{uuid4()}"
    address = f"zookeeper://{zookeeper.hosts}{place}"
    dispatch = open_dispatch(database := open_database(sqlite_url), settings_for(sqlite_url, jobboard_url=address))
    with closing(database):
        dispatch.open()
        try:
            foreign = dispatch.board.post("greet", details={"x": 1})
            path = f"{dispatch.board.path}/job777"
            dispatch.board._client.create(path, b"no json")
            ran = poster("doctor", "--json", "--jobboard-url", address)
            found = {one["id"]: one for one in ran.json["findings"]}
            assert set(found) == {path, foreign.uuid}
            assert found[foreign.uuid]["wrong"] == "greet: it belongs to no job of ours"
            # A conductor runs ours, and leaves these alone.
            job = poster.post()
            with Client.open(settings_for(sqlite_url, jobboard_url=address, flows=FLOWS)) as client:
                conductor = Conductor(database, dispatch, client.registry, client.settings, name="one")
                conductor.run(max_dispatches=1)
                assert client.get(job).state == "completed"
            dispatch.open()
            assert {posting.uuid for posting in dispatch.board.iterjobs(ensure_fresh=True)} == {foreign.uuid}
            assert set(dispatch.board._client.get_children(dispatch.board.path)) >= {"job777"}
        finally:
            dispatch.close()
