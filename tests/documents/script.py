"""A page's steps as one shell script, and the programs that it finds. Pure, but for free ports."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from tests.documents.page import Step
from tests.documents.stand_ins import StandIns

ROOT = Path(__file__).parents[2]

# A program that goes on, and that the page puts into a terminal of its own.
_GOES_ON = re.compile(
    r"^((?:\w+=\S+ )*(?:conductor run|poster serve)\b(?!.*--(?:burst|help))[^&|>#\n]*?)([ \t]*(?:#.*)?)$",
    re.MULTILINE,
)
_CONDUCTS = re.compile(r"^conductor run\b(?!.*--(?:burst|help))", re.MULTILINE)
_SERVES = re.compile(r"\bposter serve\b(?!.*--help)(?:.*?--port[ =](\d+))?")
_LISTENS = re.compile(r"--metrics-port[ =](\d+)")

# What those that go on say would stand between the lines of the others, so it has a file of its own.
_PROGRAM = """\
#!/bin/bash
export PYTHONPATH={root}
case "$1" in
    run) shift; set -- run --grace 2s "$@"; echo $$ >> "$READER/conductors" ;;
    serve) shift; set -- serve --port {port} "$@" ;;
    *) exec {python} -m {name} "$@" ;;
esac
[ /dev/stdout -ef "$READER/terminal" ] && exec >> "$READER/log"
[ /dev/stderr -ef "$READER/terminal" ] && exec 2>> "$READER/log"
exec {python} -m {name} "$@"
"""
_PYTHON = '#!/bin/bash\nPYTHONPATH={root} exec {python} "$@"\n'
_BEGIN = """\
set -euo pipefail
leave() {
    code=$?
    running=$(jobs -p)
    [ -z "$running" ] || kill $running 2> "$READER/none" || true
    wait
    exit $code
}
trap leave EXIT
listens() {
    until (: < "/dev/tcp/127.0.0.1/$1") 2> "$READER/none"; do
        [ -n "$(jobs -pr)" ] || { echo "nobody listens on port $1"; return 1; }
        sleep 0.05
    done
}
conduct() {
    until [ "$(wc -l < "$READER/conductors")" -ge "$1" ]; do sleep 0.05; done
    for pid in $(cat "$READER/conductors"); do
        while kill -0 "$pid" 2> "$READER/none"; do
            if poster conductors --json | grep '"pid": '"$pid," > "$READER/none"; then break; fi
        done
    done
}
"""


def programs(stand_ins: StandIns) -> dict[str, str]:
    """`poster`, `conductor` and `python`, as a page calls them."""
    given = {"root": quote(str(ROOT)), "python": quote(sys.executable), "port": stand_ins.port("8080")}
    ours = {name: _PROGRAM.format(name=name, **given) for name in ("poster", "conductor")}
    return ours | {name: _PYTHON.format(**given) for name in ("python", "python3")}


class Script:
    """`text` does all steps, and notes after each how much the terminal shows. `files` are what it reads, by name.

    It wants `READER` in its environment: the folder with the files, `terminal`, `log` and `ends`.
    """

    def __init__(self, steps: Sequence[Step], stand_ins: StandIns, before: str = "") -> None:
        self.files: dict[str, str] = {"conductors": ""}
        self._stand_ins = stand_ins
        self._conductors = 0  # so many were begun
        self.text = _BEGIN + before + "".join(self._told(*step) for step in enumerate(steps))

    def _told(self, number: int, step: Step) -> str:
        name, code = f"step-{number}", self._stand_ins.into(step.block.text)
        is_shell = step.block.language == "sh" and not step.saves
        self.files[name] = _GOES_ON.sub(r"\1 &\2", code) if is_shell and not step.exits else code
        lines = self._commands(name, code, step) if is_shell else _program(name, step)
        return "\n".join([*lines, 'wc -c < "$READER/terminal" >> "$READER/ends"', ""])

    def _commands(self, name: str, code: str, step: Step) -> list[str]:
        run = _ending(f'. "$READER/{name}"', step.exits)
        return run if step.exits else run + self._awaited(code)

    def _awaited(self, code: str) -> list[str]:
        """What goes on from here answers before the reader goes on."""
        ports = [port or self._stand_ins.port("8080") for port in _SERVES.findall(code)] + _LISTENS.findall(code)
        begun = len(_CONDUCTS.findall(code))
        self._conductors += begun
        return [f"listens {port}" for port in ports] + [f"conduct {self._conductors}"] * bool(begun)


def _program(name: str, step: Step) -> list[str]:
    """Saved, and run if it is to be. It tells on standard output; what it logs is no part of that."""
    file = quote(step.saves or f".line-{step.block.line}.py")
    saved = [f'mkdir -p "$(dirname {file})"', f'cp "$READER/{name}" {file}']
    return saved + (_ending(f'python {file} 2>> "$READER/log"', step.exits) if step.is_run else [])


def _ending(command: str, code: int) -> list[str]:
    """The command, which must end with this code."""
    if not code:
        return [command]
    check = f'[ $code = {code} ] || {{ echo "ended with $code, not {code}"; exit 1; }}'
    return ["set +e", command, "code=$?", "set -e", check]
