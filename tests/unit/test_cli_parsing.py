"""Words in, words out: what the command line understands, and how it writes."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime, timedelta

import click
import pytest
from click.testing import CliRunner

from jobboard.errors import (
    AmbiguousJob,
    DatabaseTooNew,
    InvalidPost,
    KeyInUse,
    NoSuchJob,
    Refused,
    SettingError,
    Unreachable,
)
from jobboard.models import PRIORITIES, Cancel, NotResponding, Task, TaskError
from jobboard.states import ENDED, State
from poster.cli import exit_codes, words
from poster.cli import poster as group
from poster.cli.changes import changes
from poster.cli.commands import COMMANDS, LazyGroup
from poster.cli.ends import of_cancelled, of_ended
from poster.cli.failures import code_of
from poster.cli.options import Since, name_values
from poster.cli.output import Output, Styled
from poster.durations import LONGEST_S, duration
from poster.errors import InvalidJobs, InvalidJson, InvalidRequest, Malformed, WaitTimedOut
from poster.post_request import PostRequest, from_json, read_lines
from poster.strict_json import loads, loads_object
from tests.jobs import AT, a_job


class TestStrictJson:
    @pytest.mark.parametrize("text", ["{}", '{"a": [1, 2.5, null, true, "x"]}', ' {"a": {"a": 1}} \n'])
    def test_plain_json(self, text):
        assert loads(text) == json.loads(text)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"a": 1, "a": 2}', "given twice in one object: a"),
            ('{"x": {"b": 1, "b": 1, "c": 1, "c": 2}}', "given twice in one object: b, c"),
            ('{"a": NaN}', "NaN is not JSON"),
            ('{"a": -Infinity}', "-Infinity is not JSON"),
            ('{"a": 1e999}', "1e999 is too large"),
            ("{} {}", "not JSON: Extra data"),
            ("{'a': 1}", "not JSON"),
            ("", "not JSON"),
            ("[" * 200_000, "nested too deeply"),
            ("9" * 10_000, "not usable JSON"),
        ],
    )
    def test_what_is_refused(self, text, said):
        with pytest.raises(InvalidJson, match=said):
            loads(text)

    @pytest.mark.parametrize("text", ["[]", "1", '"x"', "null"])
    def test_an_object_is_wanted(self, text):
        with pytest.raises(InvalidJson, match="wants a JSON object"):
            loads_object(text)


class TestDurations:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("90", 90), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("0", 0), (1.5, 1.5), (90, 90)],
    )
    def test_what_is_understood(self, value, seconds):
        assert duration(value) == seconds

    @pytest.mark.parametrize(
        "value", ["", "x", "-1", "5 parsecs", "99999999999d", -1, LONGEST_S + 1, True, None, []]
    )
    def test_what_is_not(self, value):
        with pytest.raises(ValueError, match="wants a duration"):
            duration(value)


class TestSince:
    def test_a_duration_before_now(self):
        since = Since().convert("2h", None, None)
        assert abs(words.utc_now() - since - timedelta(hours=2)) < timedelta(minutes=1)

    @pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T12:00", "2026-01-31T12:00:00Z"])
    def test_a_date(self, text):
        since = Since().convert(text, None, None)
        assert since.tzinfo is not None
        assert since == datetime.fromisoformat(text).astimezone()

    @pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "-1h"])
    def test_what_is_not(self, text):
        with pytest.raises(click.UsageError, match="wants 30m, 2h, 7d, or a date"):
            Since().convert(text, None, None)


class TestArguments:
    def test_the_value_is_all_after_the_first_equals_sign(self):
        assert name_values(("a=1", "b=x=y", "c=")) == {"a": "1", "b": "x=y", "c": ""}

    @pytest.mark.parametrize("word", ["a", "=a", ""])
    def test_a_word_without_a_name_or_value(self, word):
        with pytest.raises(click.UsageError, match="wants NAME=VALUE"):
            name_values((word,))

    def test_a_name_twice(self):
        with pytest.raises(click.UsageError, match="a is given twice"):
            name_values(("a=1", "a=1"))


class TestPostRequest:
    def test_all_fields(self):
        request = from_json(
            {
                "flow": "greet",
                "arguments": {"name": "ann"},
                "priority": "high",
                "delay": "5m",
                "timeout": 90,
                "max_retries": 2,
                "retry_interval": "30s",
                "key": "k",
            },
            line=7,
        )
        assert request == PostRequest("greet", {"name": "ann"}, "high", 300.0, "k", 90.0, 2, 30.0, 7)

    def test_only_the_flow_is_needed(self):
        assert from_json({"flow": "greet"}) == PostRequest("greet")

    def test_null_is_as_if_it_were_not_there(self):
        document = {"flow": "greet", "key": None, "delay": None, "arguments": None, "priority": None}
        assert from_json(document) == PostRequest("greet")

    @pytest.mark.parametrize(
        ("document", "field"),
        [
            ({}, "flow"),
            ({"flow": 3}, "flow"),
            ({"flow": None}, "flow"),
            ({"flow": "f", "arguments": [1]}, "arguments"),
            ({"flow": "f", "priority": "urgent"}, "priority"),
            ({"flow": "f", "priority": ["high"]}, "priority"),
            ({"flow": "f", "delay": "soon"}, "delay"),
            ({"flow": "f", "timeout": 0}, "timeout"),
            ({"flow": "f", "max_retries": -1}, "max_retries"),
            ({"flow": "f", "max_retries": True}, "max_retries"),
            ({"flow": "f", "key": ""}, "key"),
            ({"flow": "f", "key": "x" * 256}, "key"),
            ({"flow": "f", "key": "a\0b"}, "key"),
            ({"flow": "f", "argument": {}}, "argument"),
        ],
    )
    def test_what_is_refused(self, document, field):
        with pytest.raises(InvalidRequest) as caught:
            from_json(document)
        assert [name for name, _ in caught.value.problems] == [field]

    def test_all_problems_at_once(self):
        with pytest.raises(InvalidRequest) as caught:
            from_json({"delay": "x", "timeout": "y", "more": 1})
        assert {name for name, _ in caught.value.problems} == {"flow", "delay", "timeout", "more"}

    @pytest.mark.parametrize("priority", PRIORITIES)
    def test_priorities(self, priority):
        assert PostRequest("f", priority=priority).priority == priority


class TestJsonLines:
    def test_lines_are_numbered_and_empty_ones_passed_over(self):
        requests, malformed = read_lines(['{"flow": "a"}\n', "\n", '{"flow": "b"}\n'])
        assert [(request.flow, request.line) for request in requests] == [("a", 1), ("b", 3)]
        assert malformed == []

    def test_defaults_are_for_lines_that_say_nothing(self):
        requests, _ = read_lines(['{"flow": "a", "priority": "low"}', '{"flow": "b"}'], {"priority": "high"})
        assert [request.priority for request in requests] == ["low", "high"]

    def test_what_is_wrong_is_named_by_its_line(self):
        requests, malformed = read_lines(['{"flow": "a"}', "nonsense", '{"flow": "a", "x": 1}', "[]"])
        assert len(requests) == 1
        assert [one.line for one in malformed] == [2, 3, 4]

    def test_the_message_names_lines_and_no_more_than_one_can_read(self):
        error = InvalidJobs([Malformed(line, NoSuchJob("x")) for line in range(100, 0, -1)])
        said = str(error).splitlines()
        assert said[0] == "100 job(s) cannot be posted, so none was:"
        assert said[1].startswith("line 1: ")
        assert said[-1] == "… and 80 more"


class TestExitCodes:
    def test_numbers(self):
        assert (exit_codes.DONE, exit_codes.JOB_FAILED, exit_codes.WRONG_USAGE, exit_codes.NOT_FOUND) == (
            0,
            1,
            2,
            3,
        )
        assert (exit_codes.UNREACHABLE, exit_codes.REFUSED, exit_codes.JOB_CANCELLED) == (4, 5, 6)
        assert (exit_codes.WAIT_TIMED_OUT, exit_codes.INTERRUPTED) == (124, 130)

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (NoSuchJob("x"), 3),
            (AmbiguousJob("x", ["xa", "xb"]), 2),
            (Refused("x", "completed", "too late"), 5),
            (KeyInUse("x", "running", "taken"), 5),
            (InvalidPost("x"), 2),
            (SettingError("x"), 2),
            (Unreachable("x"), 4),
            (DatabaseTooNew("x"), 4),
            (InvalidJson("x"), 2),
            (InvalidRequest([("x", "y")]), 2),
            (WaitTimedOut(["x"], 1), 124),
            (InvalidJobs([Malformed(1, InvalidJson("x")), Malformed(2, NoSuchJob("x"))]), 3),
            (ValueError("a bug"), None),
        ],
    )
    def test_of_errors(self, error, code):
        assert code_of(error) == code

    def test_of_errors_of_flows(self):
        from flows.errors import ArgumentProblem, FlowsNotFound, InvalidArguments, NoSuchFlow

        assert code_of(NoSuchFlow("x", [])) == 3
        assert code_of(InvalidArguments("x", [ArgumentProblem("a", "b")])) == 2
        assert code_of(FlowsNotFound("x")) == 2

    @pytest.mark.parametrize(
        ("state", "waited", "cancelled"),
        [("completed", 0, 5), ("failed", 1, 1), ("revert_failed", 1, 1), ("cancelled", 6, 0)],
    )
    def test_of_ended_jobs(self, state, waited, cancelled):
        assert of_ended(State(state)) == waited
        assert of_cancelled(State(state)) == cancelled

    def test_every_end_has_one(self):
        assert {of_ended(state) for state in ENDED} == {0, 1, 6}

    def test_the_worst_of_many(self):
        assert exit_codes.worst([0, 1, 6, 5]) == 6
        assert exit_codes.worst([]) == 0


def every_command(commands=COMMANDS, *before):
    """The words of each, and how it is loaded."""
    for name, command in commands.items():
        if isinstance(command, LazyGroup):
            yield from every_command(command.commands, *before, name)
        else:
            yield pytest.param((*before, name), command, id=" ".join((*before, name)))


def understood(words):
    """Read the words of a command, as far as that goes without running it."""
    context = click.Context(group)
    while isinstance(context.command, click.Group):
        name, command, words = context.command.resolve_command(context, words)
        context = click.Context(command, parent=context)
    command.make_context(name, words, parent=context.parent)


class TestHelp:
    @pytest.mark.parametrize(("words", "_command"), [*every_command()])
    def test_every_command_has_examples_and_takes_the_settings(self, words, _command):
        said = CliRunner().invoke(group, [*words, "--help"]).output
        assert "Examples:" in said
        for flag in ("--json", "--database-url", "--jobboard-url", "--flows", "--home"):
            assert flag in said

    @pytest.mark.parametrize(("_words", "command"), [*every_command()])
    def test_what_it_does_fits_into_the_list_of_commands(self, _words, command):
        assert len(command.told) <= 80 - len("  conductors    ")
        assert (command.load().__doc__ or "").splitlines()[0] == command.told

    @pytest.mark.parametrize(("words", "_command"), [*every_command()])
    def test_its_examples_are_understood(self, words, _command, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("job.json", "jobs.jsonl"):
            (tmp_path / name).touch()
        _told, examples = CliRunner().invoke(group, [*words, "--help"]).output.split("Examples:")
        said = re.findall(r'(xargs )?\bposter ((?:"[^"]*"|[^|)">\n])+)', examples.split("Options:")[0])
        assert said
        for given, example in said:
            understood([*shlex.split(example), *(["01hx5"] if given else [])])

    def test_a_command_of_commands_lists_them(self):
        _usage, listed = CliRunner().invoke(group, ["token", "--help"]).output.split("Commands:")
        assert listed.index("create") < listed.index("list") < listed.index("revoke")
        assert CliRunner().invoke(group, ["token", "nothing"]).exit_code == 2


class TestWords:
    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            (-1, "0 ms"),
            (0.0123, "12 ms"),
            (0.9999, "1.00 s"),
            (3.214, "3.21 s"),
            (12.34, "12.3 s"),
            (125, "2 m 05 s"),
            (3720, "1 h 02 m"),
            (90000, "1 d 01 h"),
        ],
    )
    def test_took(self, seconds, said):
        assert words.took(seconds) == said

    @pytest.mark.parametrize(
        ("seconds", "said"), [(-5, "0s"), (12, "12s"), (300, "5m"), (7300, "2h"), (200000, "2d")]
    )
    def test_age(self, seconds, said):
        assert words.age(AT, AT + timedelta(seconds=seconds)) == said

    @pytest.mark.parametrize(("progress", "said"), [(0, "0 %"), (0.29, "29 %"), (0.999, "99 %"), (1.0, "100 %")])
    def test_percent_is_100_only_at_the_end(self, progress, said):
        assert words.percent(progress) == said

    @pytest.mark.parametrize(
        ("detail", "said"),
        [
            (None, ""),
            ({"done": 1200, "total": 6000}, "1,200 / 6,000"),
            ({"done": 1200, "total": None}, "1,200"),
            ({"done": 45_524_288, "total": 18_000_000_000}, "45.5 M / 18.0 G"),
            ({"done": 1, "total": 2, "file": "x"}, "1 / 2, file x"),
            ({"speed": 1234.5678}, "speed 1,234.57"),
        ],
    )
    def test_detail(self, detail, said):
        assert words.detail(detail) == said

    def test_nothing_steers_the_terminal(self):
        assert words.clean("a\x1b[31mb\nc\td\u202ee") == "a\\x1b[31mb c d\\u202ee"

    def test_a_lone_surrogate_can_be_written(self):
        words.clean("a\udcff").encode()

    def test_every_state_has_an_icon(self):
        assert set(State) <= set(words.ICONS)


class TestTables:
    def output(self, capsys, *, terminal=False, width=40):
        return Output(json=False, terminal=terminal, colour=False, icons=False, width=width, height=20)

    def test_columns_are_aligned(self, capsys):
        self.output(capsys).table(("A", "LONG"), [("x", "1"), ("yyy", Styled("2", "red"))])
        assert capsys.readouterr().out == "A    LONG\nx    1\nyyy  2\n"

    def test_nothing_is_nothing(self, capsys):
        self.output(capsys).table(("A",), [])
        assert capsys.readouterr().out == ""

    def test_the_last_column_is_cut_on_a_terminal_only(self, capsys):
        row = ("x" * 10, "y" * 60)
        self.output(capsys, terminal=True).table((), [row])
        self.output(capsys).table((), [row])
        cut, whole = capsys.readouterr().out.splitlines()
        assert len(cut) == 40
        assert cut.endswith("…")
        assert whole.endswith("y" * 60)

    def test_text_stands_under_its_row(self, capsys):
        self.output(capsys).table(("A",), [("x",), ("y",)], indent=" ", under={0: "File\n  code"})
        assert capsys.readouterr().out == " A\n x\n     File\n       code\n y\n"

    def test_a_cell_stays_on_its_line(self, capsys):
        self.output(capsys).table((), [("a\nb", "c")])
        assert capsys.readouterr().out == "a b  c\n"


class TestChanges:
    def said(self, before, after):
        return [(one.what, one.state, one.said) for one in changes(before, after, AT + timedelta(seconds=60))]

    def task(self, name="pack", state="running", progress=0.0, **fields):
        return Task(name, state, progress, started_at=AT.isoformat(), **fields)

    def test_the_first_look(self):
        assert self.said(None, a_job(tasks=(Task("pack"),))) == [("job", "pending", "")]

    def test_nothing_changed(self):
        job = a_job(State.RUNNING, tasks=(self.task(),))
        assert self.said(job, job) == []

    def test_a_job_that_runs(self):
        after = a_job(State.RUNNING, conductor="c1", started_at=AT)
        assert self.said(a_job(), after) == [("job", "running", "on c1")]

    def test_a_cancel_says_who_and_why(self):
        cancel = Cancel(AT, "ann", "wrong", None, None, 0, 1)
        after = a_job(State.CANCELLING, cancel=cancel)
        assert self.said(a_job(State.RUNNING), after) == [("job", "cancelling", "cancel by ann: wrong")]

    def test_progress_is_told_in_tenths(self):
        def at(progress):
            return a_job(State.RUNNING, tasks=(self.task(progress=progress),))

        assert self.said(at(0.31), at(0.39)) == []
        assert self.said(at(0.39), at(0.4)) == [("pack", "running", "40 %")]

    def test_a_revert_is_told_by_what_it_counts(self):
        def at(done):
            return a_job(
                State.REVERTING, tasks=(self.task(state="reverting", detail={"done": done, "total": 20}),)
            )

        assert self.said(at(2), at(3)) == []
        assert self.said(at(3), at(4)) == [("pack", "reverting", "4 / 20")]

    def test_a_failure_says_why(self):
        failed = self.task(
            state="failure",
            finished_at=(AT + timedelta(seconds=2)).isoformat(),
            error=TaskError("pack", "E", "no"),
        )
        before, after = a_job(State.RUNNING, tasks=(self.task(),)), a_job(State.RUNNING, tasks=(failed,))
        assert self.said(before, after) == [("pack", "failure", "2.00 s, pack: E: no")]

    def test_a_task_that_does_not_respond_is_told_once(self):
        def job(stack=None):
            stuck = NotResponding((AT + timedelta(seconds=48)).isoformat(), stack) if stack else None
            return a_job(State.CANCELLING, tasks=(self.task(not_responding=stuck),))

        assert self.said(job(), job("here")) == [("pack", "running", "not responding for 12.0 s")]
        assert self.said(job("here"), job("there")) == []
        assert changes(job(), job("here"), AT + timedelta(seconds=60))[0].at == AT + timedelta(seconds=60)

    def test_in_the_order_of_time(self):
        def reverted(name, seconds):
            return self.task(name, "reverted", finished_at=(AT + timedelta(seconds=seconds)).isoformat())

        before = a_job(State.CANCELLING, tasks=(self.task("scan"), self.task("pack")))
        after = a_job(
            State.CANCELLED,
            tasks=(reverted("scan", 3), reverted("pack", 2)),
            finished_at=AT + timedelta(seconds=4),
            reason="cancelled by ann",
        )
        assert [what for what, _, _ in self.said(before, after)] == ["pack", "scan", "job"]

    def test_a_new_attempt_begins_anew(self):
        before = a_job(State.CANCELLED, tasks=(self.task(state="reverted"),))
        after = a_job(State.PENDING, attempt=2, tasks=(Task("pack"),))
        assert self.said(before, after) == [("job", "pending", "")]
