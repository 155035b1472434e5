"""Flows that give their secrets away in every way that a task has. Loaded by their path."""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from taskflow import task
from taskflow.patterns import linear_flow

from flows import CancelableTask, flow

LOG = logging.getLogger(__name__)


class Teller(CancelableTask):
    """Tells what it knows."""

    def tell(self, known: list[str]) -> None:
        for secret in known:
            print(f"printed: {secret}")
            print(json.dumps({"printed": secret}), file=sys.stderr)
            for level in (logging.DEBUG, logging.INFO, logging.ERROR):
                LOG.log(level, "logged: %s", secret)
            try:
                raise KeyError(secret)
            except KeyError:
                LOG.exception("logged with its error")
            self.update_progress(0.5, at=secret, nested={"secrets": [secret]})

    def tell_all(self, known: list[str]) -> None:
        self.tell(known)
        outside = threading.Thread(target=_tell_from_outside, args=[known])
        outside.start()
        outside.join()
        self.run(["sh", "-c", 'printf "%s\n" "$@"; printf "%s\n" "$@" >&2', "sh", *known])
        self.run(["cat"], stdin="\n".join(known))


def _tell_from_outside(known: list[str]) -> None:
    """In a thread that nobody knows to be the task's."""
    for secret in known:
        print(f"printed by a thread: {secret}", flush=True)
        LOG.error("logged by a thread: %s", secret)


def _fail(known: list[str]) -> None:
    """With the secrets in the message, the arguments, the notes, the cause, and the context of that."""
    try:
        try:
            raise FileNotFoundError(2, "no such file", f"/{known[0]}")
        except FileNotFoundError:
            raise KeyError(known[0])  # noqa: B904 - its context is wanted
    except KeyError as cause:
        cause.add_note(f"note: {known[-1]}")
        error = ValueError(f"failed: {' '.join(known)}", {"known": known})
        error.add_note(f"note: {known[0]}")
        raise error from cause


class Tell(Teller):
    default_provides = "told"

    def execute(self, by_env: SecretStr, by_file: SecretStr, by_value: SecretStr) -> dict[str, Any]:
        known = [secret.get_secret_value() for secret in (by_env, by_file, by_value)]
        self.tell_all(known)
        return {"got": known, known[0]: f"user:{known[1]}@host"}

    def revert(self, by_env: SecretStr, by_file: SecretStr, by_value: SecretStr, **_: Any) -> list[str]:
        known = [secret.get_secret_value() for secret in (by_env, by_file, by_value)]
        self.tell_all(known)
        return known


class TellInChild(Tell):
    """In a process of its own."""

    default_provides = "told_in_child"
    interrupt = "process"

    def execute(self, by_env: SecretStr, by_file: SecretStr, by_value: SecretStr, fails_in: str) -> dict[str, Any]:
        known = [secret.get_secret_value() for secret in (by_env, by_file, by_value)]
        self.tell(known)
        if fails_in == "child":
            _fail(known)
        return {"got": known}


class TellPlainly(task.Task):
    """One of TaskFlow's."""

    default_provides = "told_plainly"

    def execute(self, by_env: SecretStr, by_file: SecretStr) -> list[str]:
        print(by_env.get_secret_value())
        LOG.warning(by_file.get_secret_value())
        return [by_env.get_secret_value(), by_file.get_secret_value()]


class End(Teller):
    def execute(
        self, by_env: SecretStr, by_file: SecretStr, by_value: SecretStr, fails_in: str, began: Path
    ) -> None:
        known = [secret.get_secret_value() for secret in (by_env, by_file, by_value)]
        if fails_in in ("execute", "revert"):
            _fail(known)
        if fails_in == "cancel":
            began.touch()
            try:
                self.sleep(3600)
            finally:
                _fail(known)

    def revert(self, by_env: SecretStr, by_file: SecretStr, by_value: SecretStr, fails_in: str, **_: Any) -> None:
        known = [secret.get_secret_value() for secret in (by_env, by_file, by_value)]
        if fails_in == "revert":
            _fail(known)


@flow("tell", secrets_by_value=True)
def tell(
    by_env: SecretStr, by_file: SecretStr, by_value: SecretStr, began: Path, fails_in: str = "nothing"
) -> Any:
    """Tell everything."""
    if fails_in == "function":
        _fail([secret.get_secret_value() for secret in (by_env, by_file, by_value)])
    return linear_flow.Flow("tell").add(Tell(), TellInChild(), TellPlainly(), End())
