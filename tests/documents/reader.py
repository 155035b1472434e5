"""Does what a page says: one folder, one shell, the blocks in order; what was started ends with the page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from tests.documents.page import Step
from tests.documents.stand_ins import StandIns

ROOT = Path(__file__).parents[2]
_LIMIT_S = 240  # far more than it takes: a page that hangs says where
_TAIL = 3000

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
    for _ in {1..400}; do
        if (: < "/dev/tcp/127.0.0.1/$1") 2> "$READER/none"; then return; fi
        sleep 0.05
    done
    echo "nobody listens on port $1"
    return 1
}
conduct() {
    until [ "$(wc -l < "$READER/conductors")" -ge "$1" ]; do sleep 0.05; done
    for pid in $(cat "$READER/conductors"); do
        for _ in {1..20}; do
            kill -0 "$pid" 2> "$READER/none" || continue 2
            if poster conductors --json | grep '"pid": '"$pid," > "$READER/none"; then continue 2; fi
        done
        echo "the conductor does not say that it lives"
        return 1
    done
}
"""


@dataclass(frozen=True)
class Seen:
    """What a step printed: a program on standard output, commands on the terminal."""

    step: Step
    text: str


class Stuck(AssertionError):
    """A step that did not end as it should: where, and what was printed."""


class Reader:
    """Follows a page in `folder`, which is made. `before` is shell text for what the page takes for granted."""

    def __init__(self, folder: Path, stand_ins: StandIns, before: str = "") -> None:
        self._stand_ins = stand_ins
        self._before = before
        self._work, self._own = folder / "work", folder / "reader"
        self._home = folder / "home"
        for made in (self._work, self._own, self._home, self._own / "bin"):
            made.mkdir(parents=True)
        self._terminal, self._ends = self._own / "terminal", self._own / "ends"
        self._conductors = 0  # so many were begun
        (self._own / "conductors").touch()

    def follow(self, steps: Sequence[Step]) -> list[Seen]:
        """Do all of them. Raises `Stuck` at the first that does not end, or with another code than it should."""
        self._provide_programs()
        script = self._own / "script"
        script.write_text(_BEGIN + self._before + "".join(self._told(*step) for step in enumerate(steps)))
        code = self._run(script)
        printed = self._printed()
        if code is None or code or len(printed) < len(steps):
            self._give_up(steps, printed, code)
        return [Seen(step, self._stand_ins.back(text)) for step, text in zip(steps, printed, strict=True)]

    def _provide_programs(self) -> None:
        port = self._stand_ins.port("8080")
        given = {"root": quote(str(ROOT)), "python": quote(sys.executable), "port": port}
        for name in ("poster", "conductor"):
            self._provide(name, _PROGRAM.format(name=name, **given))
        for name in ("python", "python3"):
            self._provide(name, _PYTHON.format(**given))

    def _provide(self, name: str, text: str) -> None:
        program = self._own / "bin" / name
        program.write_text(text)
        program.chmod(0o755)

    def _told(self, number: int, step: Step) -> str:
        """A step as lines of the script."""
        text = self._own / f"step-{number}"
        code = self._stand_ins.into(step.block.text)
        lines = []
        if step.block.language == "sh" and not step.saves:
            text.write_text(code if step.exits else _GOES_ON.sub(r"\1 &\2", code))
            lines += _ending(f". {quote(str(text))}", step.exits)
            lines += [] if step.exits else self._awaited(code)
        else:
            text.write_text(code)
            name = quote(step.saves or f".line-{step.block.line}.py")
            lines += [f'mkdir -p "$(dirname {name})"', f"cp {quote(str(text))} {name}"]
            lines += _ending(f'python {name} 2>> "$READER/log"', step.exits) if step.is_run else []
        return "\n".join([*lines, 'wc -c < "$READER/terminal" >> "$READER/ends"', ""])

    def _awaited(self, code: str) -> list[str]:
        """What goes on from here answers before the reader goes on."""
        ports = [port or self._stand_ins.port("8080") for port in _SERVES.findall(code)] + _LISTENS.findall(code)
        begun = len(_CONDUCTS.findall(code))
        self._conductors += begun
        return [f"listens {port}" for port in ports] + [f"conduct {self._conductors}"] * bool(begun)

    def _run(self, script: Path) -> int | None:
        """The code that the shell ended with; None if it did not end by itself."""
        with self._terminal.open("ab") as terminal:
            shell = subprocess.Popen(
                ["bash", script],
                cwd=self._work,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )
            try:
                return shell.wait(_LIMIT_S)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)
                    shell.wait()

    def _environment(self) -> dict[str, str]:
        theirs = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMAND_")}
        return theirs | {
            "HOME": str(self._home),
            "PATH": f"{self._own / 'bin'}:{theirs['PATH']}",
            "READER": str(self._own),
            "COLUMNS": "110",
        }

    def _printed(self) -> list[str]:
        """What each step printed that ended."""
        everything = self._terminal.read_bytes()
        ends = [int(end) for end in self._ends.read_text().split()] if self._ends.exists() else []
        return [
            everything[begin:end].decode(errors="replace") for begin, end in zip([0, *ends], ends, strict=False)
        ]

    def _give_up(self, steps: Sequence[Step], printed: Sequence[str], code: int | None) -> None:
        end = f"ended with {code}" if code is not None else f"did not end in {_LIMIT_S} s"
        where = steps[len(printed)].block.place if len(printed) < len(steps) else "after the last block"
        log = self._own / "log"
        logged = log.read_text(errors="replace")[-_TAIL:] if log.exists() else ""
        terminal = self._terminal.read_text(errors="replace")[-_TAIL:]
        raise Stuck(f"{where}: {end}\n--- terminal\n{terminal}\n--- log\n{logged}")


def _ending(command: str, code: int) -> list[str]:
    """The command, which must end with this code."""
    if not code:
        return [command]
    check = f'[ $code = {code} ] || {{ echo "ended with $code, not {code}"; exit 1; }}'
    return ["set +e", command, "code=$?", "set -e", check]
