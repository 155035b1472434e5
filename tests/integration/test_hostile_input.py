"""What is hostile, at every door: refused with nothing stored, a clear error of the task with everything reverted,
or stored and read back equal. The same on both databases, and the conductor runs the next job.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from taskflow.patterns import linear_flow
from taskflow.task import FunctorTask

from flows.errors import InvalidArguments
from flows.registry import flow
from jobboard import history
from jobboard.database import open_database
from jobboard.errors import SettingError
from jobboard.owner import new_owner
from jobboard.schema import jobs
from jobboard.states import State
from poster import Client, PostRequest
from poster.errors import InvalidRequest
from tests.integration.commands import PosterHere
from tests.integration.house import House, Step, settings_for

S = State
NUL, SURROGATE = "a\0b", "\ud800"
MEGABYTES = "x" * 20_000_000


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class Unreadable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


LOOP: list[Any] = []
LOOP.append(LOOP)

REFUSED: dict[str, tuple[Any, str]] = {
    "nan": (math.nan, "nan"),
    "inf inside": ({"a": [-math.inf]}, "inf"),
    "deep": (nested(101), "deeper than 100 (COUNTERMAND_MAX_DEPTH)|depth exceeded"),
    "very deep": (nested(100_000), "deep|depth"),
    "in itself": (LOOP, "deep|depth|Circular"),
    "large": (MEGABYTES, "more than the 1,000,000 bytes that are allowed (COUNTERMAND_MAX_"),
    "many": ([0] * 1_000_001, "more than the 1,000,000 bytes that are allowed (COUNTERMAND_MAX_"),
    "NUL": (NUL, "NUL"),
    "NUL in a key": ({NUL: 1}, "NUL"),
    "surrogate": (["é", SURROGATE], "surrogate"),
    "surrogate in a key": ({SURROGATE: 1}, "surrogate"),
    "huge number": (10**5000, "thousands of digits"),
    "key that is no text": ({1: 2}, "text"),
    "set": ({1, 2}, "set"),
    "bytes": (b"\xff", "bytes|utf-8"),
    "object": (Unreadable(), "Unreadable"),
}
KEPT: dict[str, Any] = {
    "null": None,
    "false": False,
    "empty": {"": "", "a": [], "b": {}},
    "depth": nested(100),
    "large": "x" * 999_000,
    "large number": 2**64,
    "long number": -(10**2000),
    "float": 1e308,
    "small": 5e-324,
    "minus zero": -0.0,
    "words": "ß漢字🎉\"\\'\n\r\t\x01\x7f\u2028",
    "names": {"__proto__": 1, "constructor": {"$ref": "x"}, "'; DROP TABLE jobs; --": "'; DROP TABLE jobs; --"},
    "JSON in JSON": '{"a": "\\u0000", "b": NaN}',
}
# pydantic knows how to write these as JSON.
WRITTEN_BY_PYDANTIC = {"set", "key that is no text"}


def says(said: str, message: str) -> bool:
    return any(word in message for word in said.split("|"))


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    @flow("take", registry=house.registry)
    def take(value: Any = None, other: Any = None) -> Any:
        got = house.step("got", lambda _: value)
        return linear_flow.Flow("take").add(house.step("first"), got)

    with Client.open(house.settings) as client:
        client._registry = house.registry
        yield client


def the_next_one_runs(house: House) -> None:
    house.flow(lambda: [house.step("a")], "next")
    assert house.run(flow_name="next").state is S.COMPLETED


# Arguments, from Python


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in WRITTEN_BY_PYDANTIC])
def test_an_argument_is_refused_and_nothing_is_stored(house, client, name):
    value, said = REFUSED[name]
    with pytest.raises(InvalidArguments) as caught:
        client.post(PostRequest("take", {"value": value}))
    assert [problem.parameter for problem in caught.value.problems] == ["value"]
    assert says(said, str(caught.value)), str(caught.value)
    assert len(str(caught.value)) < 1000
    assert house.rows(jobs) == []


@pytest.mark.parametrize("name", KEPT)
def test_an_argument_is_read_back_equal_and_reaches_the_task(house, client, name):
    value = KEPT[name]
    job = client.post(PostRequest("take", {"value": value}))
    assert client.get(job).arguments == {"value": value, "other": None}
    house.drain()
    found = client.get(job)
    assert (found.state, found.results["got"]) == (S.COMPLETED, value)
    assert repr(found.results["got"]) == repr(value)


def test_arguments_that_are_too_large_together(house, client):
    with pytest.raises(InvalidArguments, match="with the others it takes more than the 1,000,000 bytes"):
        client.post(PostRequest("take", {"value": "x" * 600_000, "other": "x" * 500_000}))
    assert house.rows(jobs) == []


def test_the_limits_of_arguments_are_settings(house, client):
    limits = {"max_arguments_bytes": "100", "max_depth": "3"}
    with Client.open(settings_for(house.settings.database_url, **limits)) as strict:
        strict._registry = house.registry
        with pytest.raises(
            InvalidArguments, match=r"100 bytes that are allowed \(COUNTERMAND_MAX_ARGUMENTS_BYTES"
        ):
            strict.post(PostRequest("take", {"value": "x" * 101}))
        with pytest.raises(InvalidArguments, match=r"deeper than 3 \(COUNTERMAND_MAX_DEPTH"):
            strict.post(PostRequest("take", {"value": nested(4)}))
        job = strict.post(PostRequest("take", {"value": nested(3)}))
        strict.cancel(job)
        with pytest.raises(InvalidArguments, match="100 bytes"):
            strict.retry(job, {"value": "x" * 101})
        assert strict.retry(job, {"value": (1, 2)}).arguments["value"] == [1, 2]


# Requests, from Python


@pytest.mark.parametrize(
    "wrong",
    [
        {"flow": None},
        {"arguments": [1]},
        {"priority": "urgent"},
        {"priority": ["high"]},
        *({"key": key} for key in ("", NUL, SURROGATE, "a\nb", "x" * 256, 7, MEGABYTES)),
        *(
            {name: value}
            for name in ("delay_s", "timeout_s", "retry_interval_s")
            for value in (math.nan, math.inf, -1, 1e300, "soon", 10**400, True)
        ),
        *({"max_retries": value} for value in (-1, 1.5, True, 10**9, math.nan)),
    ],
    ids=lambda wrong: repr(wrong)[:40].encode("ascii", "backslashreplace").decode().replace("\0", ""),
)
def test_a_request_that_fits_no_job(wrong):
    (name,) = wrong
    with pytest.raises(InvalidRequest) as caught:
        PostRequest(**{"flow": "take", **wrong})
    assert [field for field, _ in caught.value.problems] == [name.removesuffix("_s")]


@pytest.mark.parametrize(
    "reason", [NUL, SURROGATE, "x" * 10_001, MEGABYTES], ids=["NUL", "surrogate", "long", "large"]
)
def test_a_reason_that_is_refused_changes_nothing(house, client, reason):
    job = client.post(PostRequest("take"))
    before = house.rows(jobs)
    for ask in (client.cancel, client.delete, client.force_retry, lambda one, why: client.cancel_many([one], why)):
        with pytest.raises(InvalidRequest, match="reason: wants no more than 10,000 characters"):
            ask(job, reason)
    assert house.rows(jobs) == before


def test_a_reason_is_read_back_equal(house, client):
    reason = f"{KEPT['words']} {'x' * 9_900}"
    assert client.cancel(client.post(PostRequest("take")), reason).cancel.reason == reason


@pytest.mark.parametrize("name", [NUL, SURROGATE, "x" * 256, "a\nb"], ids=["NUL", "surrogate", "long", "lines"])
def test_names_that_no_table_takes(house, name):
    with pytest.raises(InvalidRequest, match="by: wants no more than 255 printable characters"):
        Client(house.settings, by=name)
    with Client.open(house.settings) as client:
        for ask in (client.list, client.matching):
            with pytest.raises(InvalidRequest, match="flow: wants"):
                ask(flow=name)
    with pytest.raises(SettingError, match="wants 1 to 255 printable characters"):
        new_owner(name)


@pytest.mark.parametrize("name", [NUL, SURROGATE, "x" * 256, ""], ids=["NUL", "surrogate", "long", "empty"])
def test_a_task_whose_name_no_table_takes(house, name):
    house.flow(lambda: [house.step("a"), house.step(name, provides="x")])
    found = house.run()
    assert (found.state, found.error.type) == (S.FAILED, "InvalidFlow")
    assert "give it 1 to 255 printable characters" in found.error.message
    the_next_one_runs(house)


# Words and files, on the command line


def in_a_file(value: bytes) -> bytes:
    return b'{"name": "a", "times": 1, "tags": ' + value + b"}"


WORDS: dict[str, bytes] = {
    "a name twice": b'[], "name": "b"',
    "a name twice, inside": b'[{"a": 1, "a": 2}]',
    "NaN": b"[NaN]",
    "Infinity": b"-Infinity",
    "1e999": b"[1e999]",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "large": b'["' + MEGABYTES.encode() + b'"]',
    "NUL": b'["\\u0000"]',
    "raw NUL": b'["\0"]',
    "surrogate": b'["\\ud800"]',
    "no UTF-8": b'["\xff"]',
    "huge number": b"9" * 5000,
    "two documents": b"[]} {",
    "nothing": b"",
}


@pytest.fixture
def poster(database_url: str) -> PosterHere:
    return PosterHere(database_url)


def assert_refused(poster: PosterHere, ran: Any) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err) < 2000
    with closing(open_database(poster.url)) as database:
        assert House(database, settings_for(poster.url)).rows(jobs) == []


@pytest.mark.parametrize("name", WORDS)
def test_a_file_that_is_refused(poster, tmp_path, name):
    file = tmp_path / "given.json"
    file.write_bytes(in_a_file(WORDS[name]))
    assert_refused(poster, poster("post", "greet", "--args", str(file)))
    good = b'{"flow": "greet", "arguments": {"name": "ann"}}\n'
    file.write_bytes(good + b'{"flow": "greet", "arguments": ' + in_a_file(WORDS[name]) + b"}\n" + good)
    assert_refused(poster, poster("post", "--from", str(file)))


@pytest.mark.parametrize(
    "name", ["a name twice, inside", "NaN", "1e999", "deep", "large", "NUL", "surrogate", "huge number"]
)
def test_a_word_that_is_refused(poster, name):
    assert_refused(poster, poster("post", "greet", "name=a", f"tags={WORDS[name].decode()}"))


def test_bytes_on_the_command_line_that_are_no_text(poster):
    odd = b"x\xff".decode(errors="surrogateescape")
    assert_refused(poster, poster("post", "greet", f"name={odd}"))
    assert_refused(poster, poster("post", "greet", f"{odd}=x", "name=a"))
    assert_refused(poster, poster("post", "greet", "name=a", "--key", odd))
    job = poster.post()
    for words in (["cancel", job, "--reason", odd], ["list", "--flow", odd], ["cancel", "--all", "--flow", odd]):
        ran = poster(*words)
        assert (ran.code, ran.out) == (2, "")
        assert len(ran.err.splitlines()) == 1
    assert poster("show", odd).code == 3
    assert poster("show", job, "--json").json["state"] == "pending"


def test_the_doctor_shows_the_limits(poster):
    settings = {
        line["name"]: line for line in poster("doctor", "--json", COUNTERMAND_MAX_DEPTH="7").json["settings"]
    }
    assert settings["max_arguments_bytes"]["value"] == settings["max_result_bytes"]["value"] == "1000000"
    assert settings["max_depth"] == {"name": "max_depth", "value": "7", "origin": "COUNTERMAND_MAX_DEPTH"}


# Results


@pytest.mark.parametrize("engine", ["serial", "parallel"])
@pytest.mark.parametrize("name", [*REFUSED, "moment", "path"])
def test_a_result_is_an_error_of_its_task_and_the_job_can_be_retried(house, name, engine):
    value, said = {
        "moment": (datetime.now(UTC), "datetime"),
        "path": (Path("/x"), "Path"),
        **REFUSED,
    }[name]
    results = [value, "good"]
    house.flow(lambda: [house.step("a"), house.step("b", lambda _: results.pop(0))], engine=engine)
    found = house.run()
    assert (found.state, found.error.task, found.error.type) == (S.FAILED, "b", "flows.errors.Unstorable")
    assert says(said, found.error.message), found.error.message
    assert len(found.error.message) < 1000
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    house.records.retry(found.id, by="ann")
    house.drain()
    assert (house.get(found.id).state, house.get(found.id).results["b"]) == (S.COMPLETED, "good")


@pytest.mark.parametrize("name", KEPT)
def test_a_result_is_read_back_equal_and_reaches_the_next_task(house, name):
    value = KEPT[name]
    got: list[Any] = []

    def after(b: Any) -> None:
        got.append(b)

    house.flow(lambda: [house.step("b", lambda _: value), FunctorTask(after, name="after")])
    found = house.run()
    assert (found.state, repr(found.results["b"])) == (S.COMPLETED, repr(value))
    assert repr(got) == repr([value])


def test_the_limits_of_results_are_settings(house):
    house.settings = settings_for(house.settings.database_url, max_result_bytes="100", max_depth="3")
    results = ["x" * 101, nested(4), nested(3)]
    house.flow(lambda: [house.step("a", lambda _: results.pop(0))])
    said = [house.run().error for _ in range(2)]
    assert "100 bytes that are allowed (COUNTERMAND_MAX_RESULT_BYTES)" in said[0].message
    assert "deeper than 3 (COUNTERMAND_MAX_DEPTH)" in said[1].message
    assert house.run().state is S.COMPLETED


# Errors


class SaysNothing(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class NoPickle(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not me")


class NoText(Exception):
    def __str__(self) -> Any:
        return 7  # noqa: PLE0307 - wrong on purpose


ERRORS: dict[str, Callable[[], BaseException]] = {
    "a str that raises": SaysNothing,
    "a str that is none": NoText,
    "no pickle": lambda: NoPickle("x"),
    "large": lambda: ValueError(MEGABYTES),
    "NUL": lambda: ValueError(NUL),
    "surrogate": lambda: ValueError(SURROGATE),
    "arguments": lambda: ValueError({1: object()}, math.nan, Unreadable()),
    "deep": lambda: ValueError(nested(5000)),
    "in itself": lambda: ValueError(LOOP),
    "group": lambda: ExceptionGroup("many", [ValueError(NUL)] * 100),
    "exit": lambda: SystemExit(SURROGATE),
}


@pytest.mark.parametrize("phase", ["execute", "revert"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_told_and_everything_is_reverted(house, name, phase):
    def fail(_task: Step) -> None:
        error = ERRORS[name]()
        raise error

    def plainly(_task: Step) -> None:
        raise ValueError("plainly")

    acts = {"execute": fail} if phase == "execute" else {"execute": plainly, "revert": fail}
    house.flow(lambda: [house.step("a"), house.step("b", **acts)])
    found = house.run()
    assert found.state is (S.FAILED if phase == "execute" else S.REVERT_FAILED)
    told = next(task for task in found.tasks if task.name == "b").error
    assert told.type
    assert len(told.message) <= 10_100
    assert json.loads(json.dumps(found.error.message)) == found.error.message
    the_next_one_runs(house)


# What tasks tell


TOLD: dict[str, Any] = {name: value for name, (value, _) in REFUSED.items()}


@pytest.mark.parametrize("name", TOLD)
def test_progress_tells_what_it_can(house, name):
    def tell(task: Step) -> None:
        task.update_progress(0.5, value=TOLD[name], **{NUL: 1, SURROGATE: 2, "x" * 1000: 3})

    house.flow(lambda: [house.step("a", tell)])
    found = house.run()
    assert found.state is S.COMPLETED
    assert len(json.dumps(found.tasks[0].detail)) < 10_000
    the_next_one_runs(house)


def test_progress_with_a_great_many_names_tells_some(house):
    house.flow(
        lambda: [house.step("a", lambda task: task.update_progress(1, **{f"n{n}": n for n in range(10_000)}))]
    )
    assert len(house.run().tasks[0].detail) == 50


@pytest.mark.parametrize("progress", [math.nan, math.inf, -math.inf, -1, 2, 10**400])
def test_progress_is_from_0_to_1(house, progress):
    house.flow(lambda: [house.step("a", lambda task: task.update_progress(progress))])
    found = house.run()
    assert (found.state, found.progress) == (S.COMPLETED, 1.0)


@pytest.mark.parametrize(
    "text", [MEGABYTES, NUL, SURROGATE, KEPT["words"]], ids=["large", "NUL", "surrogate", "words"]
)
def test_a_line_that_a_task_logs(house, text):
    def log(_task: Step) -> None:
        logging.getLogger("mine").warning("%s", text)

    house.flow(lambda: [house.step("a", log)])
    found = house.run()
    assert found.state is S.COMPLETED
    (line,) = house.lines(found.id, history.LOG)
    assert len(line.message) < 11_000
    if text is MEGABYTES:
        assert line.message.endswith("x… (20,000,000 characters in all)")
    elif text is KEPT["words"]:
        assert line.message == text
    the_next_one_runs(house)
