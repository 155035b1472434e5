"""Known secrets are found in whatever a task gives away, in the forms in which others write them down."""

from __future__ import annotations

import gc
import json
import subprocess
import traceback
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr
from taskflow import retry
from taskflow.patterns import linear_flow
from taskflow.types.failure import Failure

from flows import CancelableTask, RunContext
from flows.cancelable import bind
from flows.errors import InvalidArguments, TaskError, Unstorable
from flows.registry import FlowSpec, Registry, flow
from flows.retry_guard import guard_retry
from flows.secrets import MASK, NONE, Secrets, without_secrets
from flows.storable import storable

CANARY = 'ca"na\\ry/ü 5+3'
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nabc\n-----END KEY-----\n"
SECRETS = Secrets([CANARY, PEM, 123456, b"by\xfftes", {"user": "ann", "token": "tok-en-1"}])


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        repr(CANARY),
        json.dumps({"a": [CANARY]}),
        json.dumps(CANARY, ensure_ascii=False),
        urlencode({"q": CANARY}),
        f"before {CANARY} after",
        PEM,
        "MIIEvQIBADANBgkq",
        repr(PEM),
        "port 123456",
        str(b"by\xfftes"),
        "tok-en-1",
    ],
)
def test_a_secret_is_found(text: str):
    masked = SECRETS.text(text)
    assert MASK in masked
    for part in (CANARY, "MIIEvQ", "123456", "tok-en", "xff", "na\\ry"):
        assert part not in masked


@pytest.mark.parametrize("text", ["", "abc", "ann", "nothing", MASK])
def test_what_is_no_secret_stays(text: str):
    assert SECRETS.text(text) == text


@pytest.mark.parametrize("values", [(), ("",), ("abc",), (None,), (True,), ([],)])
def test_what_is_too_short_to_be_told_from_other_words_is_none(values: tuple[object, ...]):
    assert not Secrets(values)
    assert Secrets(values).text("abc True None") == "abc True None"


def test_plain_data_are_looked_through():
    data = {"a": [CANARY, 1, 123456, None, True, 1.5], CANARY: {"b": f"x{CANARY}"}}
    assert SECRETS.plain(data) == {"a": [MASK, 1, MASK, None, True, 1.5], MASK: {"b": f"x{MASK}"}}
    assert NONE.plain(data) is data


def test_a_secret_does_not_show_itself():
    assert CANARY not in repr(SECRETS) + str(RunContext(secrets=SECRETS))


# Errors


def told(error: BaseException) -> str:
    stored = json.dumps(Failure.from_exception(error).to_dict())
    return stored + repr(error) + "".join(traceback.format_exception(error))


def raised(make) -> Exception:
    """An error with a cause, notes and a context, all of them with the secret."""
    try:
        try:
            try:
                raise KeyError(CANARY)
            except KeyError:
                raise OSError(2, "not there", f"/{CANARY}")  # noqa: B904 - its context
        except OSError as cause:
            cause.add_note(f"note {CANARY}")
            raise make() from cause
    except Exception as error:
        error.add_note(f"note {CANARY}")
        return error


@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueError(CANARY),
        lambda: ValueError({"token": CANARY}, [CANARY]),
        lambda: KeyError(CANARY),
        lambda: FileNotFoundError(2, "no", f"/tmp/{CANARY}"),
        lambda: subprocess.CalledProcessError(1, ["curl", CANARY], output=CANARY),
        lambda: ExceptionGroup(CANARY, [ValueError("x")]),
        lambda: TaskError(f"x {CANARY}"),
    ],
)
def test_an_error_gives_none_away(make):
    kept = SECRETS.error(storable(raised(make)))
    said = told(kept)
    assert MASK in said
    for form in (CANARY, json.dumps(CANARY)[1:-1], repr(CANARY)[1:-1]):
        assert form not in said


def test_an_error_without_a_secret_stays_what_it_is():
    error = ValueError("boom", 5)
    assert SECRETS.error(error) is error
    assert error.args == ("boom", 5)


def test_an_error_whose_arguments_are_its_message_keeps_its_type():
    assert type(SECRETS.error(ValueError(CANARY))) is ValueError


# At a task's border


class Tell(CancelableTask):
    def __init__(self, what):
        super().__init__()
        self._what = what

    def execute(self):
        return self._what()

    def revert(self, **_):
        return self._what()


def fail():
    raise ValueError(f"wrong: {CANARY}")


def test_results_and_errors_of_a_task_pass_without_it():
    task = Tell(lambda: {"got": (CANARY,)})
    bind(task, RunContext(secrets=SECRETS))
    assert task.execute() == {"got": [MASK]}
    assert task.revert(result=None, flow_failures={}) == {"got": [MASK]}
    task = Tell(fail)
    bind(task, RunContext(secrets=SECRETS))
    with pytest.raises(ValueError, match=r"wrong: \*{8}$"):
        task.execute()
    with pytest.raises(ValueError, match=r"wrong: \*{8}$"):
        task.revert(result=None, flow_failures={})


def test_progress_passes_without_it():
    reports = []
    task = Tell(lambda: task.update_progress(0.5, at=CANARY))
    bind(task, RunContext(secrets=SECRETS, report=reports.append))
    task.execute()
    assert [report.detail for report in reports] == [{"at": MASK}]


def test_a_retry_controller_cannot_have_it_stored():
    controller = retry.ForEach([CANARY], "each")
    guard_retry(controller, RunContext(secrets=SECRETS))
    with pytest.raises(Unstorable, match="provides a secret"):
        controller.execute(history=retry.History([]))


# Where they come from


def spec(function, **options) -> FlowSpec:
    registry = Registry()
    flow("f", registry=registry, **options)(function)
    return registry.get("f")


def test_those_of_a_job_are_known_in_the_process_as_long_as_it_has_them(monkeypatch):
    def login(token: SecretStr, plain: str = "plain text"):
        return linear_flow.Flow("f")

    monkeypatch.setenv("TOKEN", "correct horse")
    built = spec(login).build({"token": "env:TOKEN"})
    assert built.secrets.text("plain text: correct horse") == f"plain text: {MASK}"
    assert without_secrets("correct horse") == MASK
    del built
    gc.collect()
    assert without_secrets("correct horse") == "correct horse"


def test_the_flows_own_function_does_not_tell_it(monkeypatch):
    def login(token: SecretStr):
        raise ValueError(f"no server for {token.get_secret_value()}")

    monkeypatch.setenv("TOKEN", "correct horse")
    with pytest.raises(ValueError, match=r"no server for \*{8}$"):
        spec(login).build({"token": "env:TOKEN"})


# By value


def by_value(token: SecretStr, pin: SecretStr | None = None):
    return linear_flow.Flow("f")


@pytest.mark.parametrize("given", ["correct horse", SecretStr("correct horse"), "env:TOKEN"])
def test_a_flow_may_allow_a_secret_itself(monkeypatch, given):
    monkeypatch.setenv("TOKEN", "correct horse")
    login = spec(by_value, secrets_by_value=True)
    stored = login.as_json({"token": given})
    assert stored == {"token": "env:TOKEN" if given == "env:TOKEN" else "correct horse", "pin": None}
    built = login.build(stored)
    assert built.values["token"].get_secret_value() == "correct horse"
    assert built.secrets.text("correct horse") == MASK
    assert login.secrets == ("token", "pin")


def test_without_that_it_is_refused():
    with pytest.raises(InvalidArguments, match="env:NAME or file:PATH") as refused:
        spec(by_value).as_json({"token": "correct horse"})
    assert "horse" not in str(refused.value)


@pytest.mark.parametrize("wrong", [5, ["correct horse"], {"a": "correct horse"}])
def test_a_secret_itself_has_to_fit_its_type(wrong):
    with pytest.raises(InvalidArguments, match="token: ") as refused:
        spec(by_value, secrets_by_value=True).as_json({"token": wrong})
    assert "horse" not in str(refused.value)
