"""The conductor of a test: a process that runs one job until it rests, or until it is killed.

`python -m conductor.testing.child PLAN`, where PLAN is JSON: `{"job", "moments"}`. It prints what is left when the job
rests: `{"left", "looks"}`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from contextlib import closing
from typing import Final

from conductor.service import Conductor
from conductor.testing.injection import Injection
from conductor.testing.moments import Moment, as_dicts
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
CANCELLED_BY: Final = "cancel_at"


def main() -> None:
    """Run the job."""
    plan = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    settings = read_settings()
    load_flows(settings.flows)
    with closing(open_database(settings.database_url)) as database:
        records = open_records(database, settings)
        job = plan["job"]

        def cancel(moment: Moment) -> None:
            records.cancel(job, by=CANCELLED_BY)
            # Not by a look of the token's own: it is the task that is to look.
            if not CancelToken.wait(injection.token, _PATIENCE_S):
                raise AssertionError(f"{moment}: the cancel was not delivered within {_PATIENCE_S:g} s")

        injection = Injection(list(map(Moment.of, plan["moments"])), {"cancel": cancel, "crash": _crash})
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
    json.dump({"left": as_dicts(injection.left), "looks": injection.looks}, sys.stdout)


def _crash(moment: Moment) -> None:
    sys.stderr.write(f"{moment}\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
