"""The settings, from their one dataclass: a comment beside each field says what it means."""

from __future__ import annotations

import re
from inspect import getsource
from typing import Any

from conductor.cli import run
from docs.generate.markdown import page, prose, table
from jobboard.settings import PREFIX, Settings, names, read_settings, shown_duration
from poster.cli.options import SETTINGS

_COMMENT = re.compile(r"^    (\w+): [^#\n]*#\s*(.*)$", re.MULTILINE)
_DURATIONS = {"lease", "timeout", "retry_interval", "unresponsive_after", "retention"}
_COMES = {"home": "`countermand` in your state folder", "database_url": "`countermand.db` in `home`"}


_INTRO = """\
A setting comes from a flag, else from the environment, else it is as it comes. Posters and conductors read the
same ones. `poster doctor` shows each value, and where it came from."""
_VALUES = """\
Durations are `90` (seconds), `30s`, `5m`, `1h30m`, `2d`. A value that cannot be used is refused at the start, with
its name and what is wanted (exit code 2)."""


def settings() -> str:
    """Every setting, where it comes from, and what it is by default."""
    meanings = dict(_COMMENT.findall(getsource(Settings)))
    defaults = read_settings({})
    rows = [
        (f"`{PREFIX}{name.upper()}`", _flags(name), _default(name, getattr(defaults, name)), prose(meanings[name]))
        for name in names()
    ]
    return page(
        "Settings",
        _INTRO,
        table(("variable", "flag of", "default", "meaning"), rows),
        _VALUES,
        "## Jobboards",
        table(
            ("address", "where claims are made"),
            (
                ("`sql`", "in the database of the records: no other server"),
                ("`zookeeper://host1:2181,host2:2181/path`", "ZooKeeper"),
                ("`redis://host:6379`, `rediss://host:6379`", "Redis, without and with TLS; the extra `redis`"),
                ("`etcd://host:2379/path`", "etcd; the extra `etcd`"),
            ),
        ),
    )


def _flags(name: str) -> str:
    both = {"poster": SETTINGS, "conductor": run.params}
    return ", ".join(f"`{program}`" for program, params in both.items() if name in {one.name for one in params})


def _default(name: str, value: Any) -> str:
    if name in _COMES:
        return _COMES[name]
    if value is None or value == ():
        return "none"
    return f"`{shown_duration(value) if name in _DURATIONS else value}`"
