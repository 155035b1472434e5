#!/usr/bin/env python3
"""Make the development environment, then run in it. Needs nothing but Python's standard library.

The syntax is Python 3.8's, so that an older Python can still say that it is too old.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST = (3, 11)
PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
MAX_WORKERS = 4
TAIL_LINES = 15
MEMORY = "/dev/shm"
MEMORY_BYTES = 6 << 30  # the tests keep some 4 GB of files at once

EXIT_FAILED = 1
EXIT_USAGE = 2  # something is missing that only the user can install
EXIT_INTERRUPTED = 130

ABOUT = """\
Make the development environment, then run in it. The first run makes .venv
(elsewhere: COUNTERMAND_VENV), the next ones find it ready. Benchmarks have an
environment of their own, .venv-bench (elsewhere: COUNTERMAND_BENCH_VENV).
"""
EXAMPLES = """\
examples:
  python3 dev.py demo                          see it work
  python3 dev.py check --fix                   format, lint, types, import rules
  python3 dev.py test                          every test but the long ones
  python3 dev.py test tests/unit -k cancel -x  what follows goes to pytest
  python3 dev.py test --chaos 30m              half an hour of faults
  python3 dev.py bench --quick                 ours and others side by side, small
  python3 dev.py docs --serve                  the documents, as one reads them
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment of the packages of a lock."""

    folder: Path
    lock: Path
    variable: str  # names another folder

    @property
    def stamp(self) -> Path:
        return self.folder / "countermand.stamp"

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)


def environment(name: str, lock: Path, variable: str) -> Environment:
    return Environment(Path(os.environ.get(variable) or ROOT / name).absolute(), lock, variable)


DEV = environment(".venv", ROOT / "requirements.lock", "COUNTERMAND_VENV")
BENCH = environment(".venv-bench", ROOT / "benchmarks" / "requirements.lock", "COUNTERMAND_BENCH_VENV")


@dataclass(frozen=True)
class Tool:
    """A program of the system that tests and benchmarks use."""

    name: str
    found_as: tuple  # a name without a slash is looked up on PATH, the others are patterns of files
    apt: str
    brew: str

    @property
    def installed(self) -> bool:
        return any(is_there(place) for place in self.found_as)


def is_there(place: str) -> bool:
    if "/" not in place:
        return shutil.which(place) is not None
    return any(Path("/").glob(str(Path(place).expanduser())[1:]))


TOOLS = (
    Tool(
        "PostgreSQL",
        (
            "/usr/lib/postgresql/*/bin/postgres",
            "/opt/homebrew/opt/postgresql*/bin/postgres",
            "/usr/local/opt/postgresql*/bin/postgres",
            "postgres",
        ),
        apt="postgresql",
        brew="postgresql@16",
    ),
    Tool(
        "ZooKeeper",
        (
            "/usr/share/java/zookeeper.jar",
            "/opt/homebrew/opt/zookeeper/libexec/lib/zookeeper-*.jar",
            "/usr/local/opt/zookeeper/libexec/lib/zookeeper-*.jar",
        ),
        apt="libzookeeper-java",  # the server's classes alone: no service, no desktop Java
        brew="zookeeper",
    ),
    Tool("Java", ("java",), apt="default-jre-headless", brew="openjdk"),
    Tool("Redis", ("redis-server",), apt="redis-server", brew="redis"),
    Tool("etcd", ("etcd",), apt="etcd-server", brew="etcd"),
    Tool("curl", ("curl",), apt="curl", brew="curl"),
    Tool("jq", ("jq",), apt="jq", brew="jq"),
    Tool("ffmpeg", ("ffmpeg",), apt="ffmpeg", brew="ffmpeg"),
    Tool("nginx", ("nginx", "/usr/sbin/nginx"), apt="nginx", brew="nginx"),
    Tool(
        "Chromium",
        (
            "chromium",
            "chromium-browser",
            "google-chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            "~/.cache/ms-playwright/chromium-*/chrome-linux*/chrome",  # on Ubuntu, whose package is a snap
        ),
        apt="chromium",
        brew="--cask chromium",
    ),
)
BENCH_TOOLS = tuple(
    tool for tool in TOOLS if tool.name not in ("etcd", "curl", "jq", "ffmpeg", "nginx", "Chromium")
)


class SetupError(Exception):
    """What could not be done, and what to do about it."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(argv: list) -> int:
    try:
        if sys.version_info < OLDEST:
            use_newer_python(argv)
        options, rest = parse(argv)
        return options.command(options, rest)
    except SetupError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        return EXIT_INTERRUPTED


def parse(argv: list) -> tuple:
    """The options, and what is left over for the program that is run."""
    parser = argparse.ArgumentParser(
        prog="dev.py",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="show Countermand at work", add_help=False, allow_abbrev=False)
    demo.set_defaults(command=run_demo)

    test = commands.add_parser(
        "test",
        help="run the tests; other arguments go to pytest",
        usage="dev.py test [--chaos DURATION] [PYTEST ARGUMENT ...]",
        allow_abbrev=False,
    )
    test.add_argument(
        "--chaos", type=duration, metavar="DURATION", help="only the long runs with faults: 90s, 30m"
    )
    test.set_defaults(command=run_tests)

    check = commands.add_parser("check", help="lint, format, types, import rules", allow_abbrev=False)
    check.add_argument("--fix", action="store_true", help="mend what ruff can mend, and format")
    check.set_defaults(command=run_checks)

    bench = commands.add_parser("bench", help="measure ours and others", add_help=False, allow_abbrev=False)
    bench.set_defaults(command=run_benchmarks)

    docs = commands.add_parser("docs", help="build the documents into site/", allow_abbrev=False)
    instead = docs.add_mutually_exclusive_group()
    instead.add_argument("--serve", action="store_true", help="show them on this machine, and follow changes")
    instead.add_argument(
        "--write", action="store_true", help="write anew what is made from the code: docs/reference"
    )
    docs.set_defaults(command=run_docs)

    options, rest = parser.parse_known_args(argv)
    strict = {run_checks: check, run_docs: docs}.get(options.command)
    if rest and strict:
        strict.error("unknown argument: {}".format(" ".join(rest)))
    return options, rest


def duration(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*[smh]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: use 90s, 30m or 2h")
    return text


# Commands


def run_demo(_options: argparse.Namespace, rest: list) -> int:
    ensure_environment(DEV)
    return become([DEV.program("python"), "-m", "poster.demo", *rest])


def run_tests(options: argparse.Namespace, rest: list) -> int:
    ensure_environment(DEV)
    ensure_tools(TOOLS, "their tests {}".format("fail" if os.environ.get("CI") == "true" else "are skipped"))
    if options.chaos:
        os.environ["COUNTERMAND_CHAOS"] = options.chaos
        # It lasts as long as was asked.
        rest = ["-o", "session_timeout=", "-o", "faulthandler_timeout=0", *rest]
    if has_room(MEMORY):
        # Thousands of small databases wait for the disk longer than for anything else.
        os.environ.setdefault("TMPDIR", MEMORY)
    workers = min((os.cpu_count() or 1) + 1, MAX_WORKERS)  # with one a core, a quarter of the time was left
    # A worker that crashed is not replaced: pytest-xdist may then wait for ever for tests that nobody has.
    spread = ["-n", str(workers), "--dist", "loadgroup", "--max-worker-restart", "0"]
    argv = [DEV.program("python"), "-m", "pytest", *spread]
    os.chdir(ROOT)
    return become([*argv, "-m", "chaos" if options.chaos else "not chaos", *rest])


def has_room(folder: str) -> bool:
    """For the files of the tests. Some are programs, which a container may not let run there."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize >= MEMORY_BYTES and not found.f_flag & os.ST_NOEXEC


def run_checks(options: argparse.Namespace, _rest: list) -> int:
    ensure_environment(DEV)
    passed = [run_check(argv) for argv in checks(options.fix)]
    return 0 if all(passed) else EXIT_FAILED


def checks(fix: bool) -> list:
    return [
        ["ruff", "check", *(["--fix"] if fix else []), "."],
        ["ruff", "format", *([] if fix else ["--check"]), "."],
        ["mypy"],
        ["lint-imports"],
    ]


def run_check(argv: list) -> bool:
    """Run one tool; show what it says only when it objects."""
    started = time.monotonic()
    done = captured([DEV.program(argv[0]), *argv[1:]])
    if done.returncode:
        print(done.stdout, end="")
    verdict = "FAILED" if done.returncode else "ok"
    print(f"{verdict:6} {' '.join(argv)} ({time.monotonic() - started:.1f} s)", flush=True)
    return done.returncode == 0


def run_benchmarks(_options: argparse.Namespace, rest: list) -> int:
    ensure_environment(BENCH)
    ensure_tools(BENCH_TOOLS, "what needs them is left out")
    os.chdir(ROOT)
    return become([BENCH.program("python"), "-m", "benchmarks", *rest])


def run_docs(options: argparse.Namespace, _rest: list) -> int:
    ensure_environment(DEV)
    os.chdir(ROOT)
    if options.write:
        return become([DEV.program("python"), "-m", "docs.generate"])
    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    mkdocs = [DEV.program("python"), "-m", "mkdocs"]
    return become([*mkdocs, *(["serve", "-a", "127.0.0.1:8000"] if options.serve else ["build"])])


# The environment


def ensure_environment(made: Environment) -> None:
    """The locked packages and the project itself, editable."""
    wanted = fingerprint(made)
    if is_ready(made, wanted):
        return
    import fcntl

    with made.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two at once would build over each other
        if not is_ready(made, wanted):
            build_environment(made, wanted)


def fingerprint(made: Environment) -> str:
    """Everything the environment depends on. The folder too: the scripts in it hold absolute paths."""
    python = "{}.{}".format(*sys.version_info[:2])
    parts = [(ROOT / "pyproject.toml").read_bytes(), made.lock.read_bytes(), python.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_ready(made: Environment, wanted: str) -> bool:
    return made.stamp.is_file() and made.stamp.read_text() == wanted and Path(made.program("python")).exists()


def build_environment(made: Environment, wanted: str) -> None:
    started = time.monotonic()
    clear_environment(made)
    if shutil.which("uv"):
        build_with_uv(made)
    else:
        build_with_pip(made)
    made.stamp.write_text(wanted)
    say(f"{made.folder} is ready ({time.monotonic() - started:.0f} s)")


def clear_environment(made: Environment) -> None:
    """An empty folder with the mark that says it is ours: nobody else's is ever deleted."""
    if made.stamp.exists():
        shutil.rmtree(made.folder)
    elif made.folder.exists() and any(made.folder.iterdir()):
        raise SetupError(
            f"{made.folder} was not made by dev.py: move it away, or name another folder in {made.variable}",
            EXIT_USAGE,
        )
    made.folder.mkdir(parents=True, exist_ok=True)
    made.stamp.write_text("unfinished")


def build_with_uv(made: Environment) -> None:
    uv_pip = ["uv", "pip", "install", "--quiet", "--python", made.program("python")]
    run(
        ["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(made.folder)],
        f"making {made.folder} with uv",
    )
    install_packages(made, uv_pip)


def build_with_pip(made: Environment) -> None:
    ensure_venv_module()
    run([sys.executable, "-m", "venv", str(made.folder)], f"making {made.folder}")
    # Python compiles what it imports by itself; to compile everything first takes as long as all the rest.
    quiet = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    install_packages(made, [made.program("python"), "-m", "pip", "install", *quiet])


def install_packages(made: Environment, installer: list) -> None:
    run(
        [*installer, "-r", str(made.lock)],
        f"installing the packages of {made.lock.relative_to(ROOT)}",
        hint="Is the network there? Run it again to start anew.",
    )
    # What builds the project stands in the lock too, so nothing is fetched unasked.
    run([*installer, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], "installing the project")


def ensure_venv_module() -> None:
    """Debian and Ubuntu ship Python without ensurepip, and so without working virtual environments."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    # The package of this very Python: on Ubuntu `python3-venv` may belong to an older one.
    package = f"python3.{sys.version_info[1]}-venv"
    if not may_install():
        raise SetupError(f"Python's venv is missing. Run: {sudo_apt([package])}", EXIT_USAGE)
    apt_install([package])


# Programs of the system


def ensure_tools(tools: tuple, fate: str) -> None:
    """Install the missing ones where we may; else say in one line what is missing, and what comes of it."""
    missing = [tool for tool in tools if not tool.installed]
    if missing and may_install():
        try:
            with no_services():
                apt_install([tool.apt for tool in missing])
        except SetupError as error:
            say(str(error))
        missing = [tool for tool in missing if not tool.installed]
    if missing:
        names = ", ".join(tool.name for tool in missing)
        say(f"not installed: {names}; {fate}. To install: {install_command(missing)}")


def install_command(missing: list) -> str:
    if sys.platform == "darwin":
        return "brew install " + " ".join(tool.brew for tool in missing)
    if shutil.which("apt-get"):
        return sudo_apt([tool.apt for tool in missing])
    return "use this system's package manager"


def may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def sudo_apt(packages: list) -> str:
    return "sudo apt-get update && sudo apt-get install -y --no-install-recommends " + " ".join(packages)


def apt_install(packages: list) -> None:
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*apt, "update"], "apt-get update", env=env)
    # One that this release does not have (Ubuntu: Chromium) must not keep the others from being installed.
    there = [package for package in packages if captured(["apt-cache", "show", package]).returncode == 0]
    if there:
        run(
            [*apt, "install", "-y", "--no-install-recommends", *there],
            "apt-get install {}".format(" ".join(there)),
            env=env,
        )


@contextlib.contextmanager
def no_services():
    """Keep Debian's packages from starting servers on their usual ports, and from making a PostgreSQL cluster."""
    policy = file_for_now("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    cluster = "/etc/postgresql-common/createcluster.d/countermand.conf"
    with policy, file_for_now(cluster, "create_main_cluster = false\n"):
        yield


@contextlib.contextmanager
def file_for_now(name: str, text: str):
    """A program or a setting that is there meanwhile; one that is there already stays as it is."""
    file = Path(name)
    if file.exists():
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    try:
        yield
    finally:
        file.unlink()


# Running


def run(argv: list, doing: str, hint: str = "", env: dict | None = None) -> None:
    """Run a tool silently; when it fails, show the last lines of what it said."""
    say(doing)
    done = captured(argv, env)
    if done.returncode:
        tail = "\n".join(done.stdout.rstrip().splitlines()[-TAIL_LINES:])
        raise SetupError(f"{tail}\nfailed ({done.returncode}): {shlex.join(argv)}\n{hint}".rstrip())


def captured(argv: list, env: dict | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        argv,
        cwd=str(ROOT),
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def become(argv: list) -> int:
    """Go on as that program: signals and exit code are its own."""
    sys.stdout.flush()
    os.execv(argv[0], argv)


def use_newer_python(argv: list) -> None:
    this = "Python {}.{} ({})".format(*sys.version_info[:2], sys.executable)
    for name in PYTHONS:
        python = shutil.which(name)
        if python and is_new_enough(python):
            say(f"{this} is too old: going on with {python}")
            become([python, str(Path(__file__).resolve()), *argv])
    raise SetupError(
        f"Countermand needs Python 3.11 or newer; this is {this}. "
        "Install one (Debian, Ubuntu: python3.11 and python3.11-venv; macOS: brew install python@3.13) "
        "and run this again.",
        EXIT_USAGE,
    )


def is_new_enough(python: str) -> bool:
    # A name on PATH may be a shim for a version that is not there.
    return captured([python, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})"]).returncode == 0


def say(text: str) -> None:
    print(f"dev.py: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
