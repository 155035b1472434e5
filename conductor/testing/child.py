"""The conductor of a test: a process that runs one job until it rests, or until it is killed.

It prints each moment as it comes, and in the end how often each task has looked whether it is to stop: a JSON
document a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from conductor.job_log import set_up_logging
from conductor.service import Conductor
from conductor.testing.injection import Injection
from conductor.testing.moments import Moment
from flows.cancel_token import CancelToken
from flows.discovery import load_flows
from flows.registry import REGISTRY
from jobboard.database import open_database
from jobboard.dispatch.opening import open_dispatch, open_records
from jobboard.settings import read_settings
from jobboard.signals import Channel, Listener
from jobboard.states import AT_REST

_LOOK_S: Final = 0.5
_PATIENCE_S: Final = 30.0
_BY: Final = "cancel_at"


def run(plan: dict[str, Any]) -> None:
    """Run the job. The plan is `{"job": its id, "moments": what is to befall it}`. For a process of its own."""
    job, moments = plan["job"], [Moment.of(one) for one in plan["moments"]]
    set_up_logging("INFO")
    settings = read_settings()
    load_flows(settings.flows)
    with closing(open_database(settings.database_url)) as database:
        records = open_records(database, settings)

        def cancel(moment: Moment) -> None:
            records.cancel(job, by=_BY)
            # Not by a look of the token's own: it is the task that is to look.
            if not CancelToken.wait(injection.token, _PATIENCE_S):
                raise AssertionError(f"{moment}: the cancel was not delivered within {_PATIENCE_S:g} s")

        injection = Injection(moments, {"cancel": _told(cancel), "crash": _told(_crash)})
        injection.install()
        dispatch = open_dispatch(database, settings)
        conductor = Conductor(database, dispatch, REGISTRY, settings, slots=1, name="test", grace_s=5.0)
        thread = threading.Thread(target=conductor.run)
        thread.start()
        with Listener(database, [Channel.CHANGE]) as listener:
            while records.get(job).state not in AT_REST:
                listener.wait(_LOOK_S)
        conductor.stop()
        thread.join()
    _tell({"looks": injection.looks})


def _told(act: Callable[[Moment], None]) -> Callable[[Moment], None]:
    def told(moment: Moment) -> None:
        _tell({"reached": str(moment)})
        act(moment)

    return told


def _tell(document: dict[str, Any]) -> None:
    assert sys.__stdout__ is not None, "it is a pipe"  # noqa: S101
    sys.__stdout__.write(f"{json.dumps(document)}\n")
    sys.__stdout__.flush()


def _crash(_moment: Moment) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
