"""What docs/http.md shows is run, line by line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.place import ROOT, Place
from tests.acceptance.test_documents import block as readme_block
from tests.acceptance.test_serving import Serving
from tests.servers.required import require_program

TEXT = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def shown(embedded: Place, tmp_path: Path):
    """The server, with the first flow of the README, and a shell where `poster` is."""
    flows = tmp_path / "hello.py"
    flows.write_text(readme_block("python"))
    embedded.environment |= {"COUNTERMAND_FLOWS": str(flows)}
    server = Serving(embedded)
    programs = tmp_path / "bin"
    programs.mkdir()
    poster = programs / "poster"
    poster.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m poster "$@"\n')
    poster.chmod(0o755)
    path = f"{programs}:{embedded.environment['PATH']}"

    def shell(text: str) -> str:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            env=embedded.environment | {"URL": server.url, "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    yield server, shell
    server.process.kill()
    server.process.communicate()


@pytest.fixture
def tools() -> None:
    """What the commands use."""
    for name in ("curl", "jq"):
        require_program(name)


def test_post_watch_cancel_retry(tools, shown):
    _, shell = shown
    said = shell(blocks("sh")[1]).splitlines()
    assert said[0] == "pending"
    assert said[1:4] == ["0", "[]", "cancelled"]
    assert said[-1] == "204"


def test_tokens(tools, shown):
    _, shell = shown
    text = blocks("sh")[3].replace("revoke ID", "revoke $(poster token list --json | jq -r '.[0].id')")
    assert "nightly" in shell(text)


def test_the_reader_of_events(shown):
    server, _ = shown
    posted = json.dumps({"flow": "hello", "arguments": {"folder": "/tmp"}})
    names: dict = {}
    exec(compile(blocks("python")[0], "docs/http.md", "exec"), names)
    import httpx

    job = httpx.post(f"{server.url}/api/jobs", content=posted, headers={"content-type": "application/json"}).json()
    place, told = next(names["states"](server.url))
    assert (json.loads(told)["job"], json.loads(told)["state"]) == (job["id"], "pending")
    assert place == "1"


def test_the_table_of_events_is_whole():
    from poster.web.live import event

    told = set(re.findall(r"^\| `(\w+)` \| [^|]+ \| (?:yes)? *\|$", TEXT, re.MULTILINE))
    assert told == {*event.KINDS, event.BEGIN, event.HEARTBEAT}
