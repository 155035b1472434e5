"""Building the site of the documents."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from tests.documents.given import ROOT
from tests.servers.required import go_without

# No connection is opened and no name is looked up, or MkDocs ends with an error.
BUILD = """\
import sys


def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise SystemExit(f"building the site asks the network: {event} {arguments}")


sys.addaudithook(refuse)
from mkdocs.__main__ import cli

cli()
"""


def build_site(folder: Path) -> None:
    """Into this folder. Skips the test where MkDocs is not installed; in CI, where it must be, fails."""
    if importlib.util.find_spec("mkdocs") is None:
        go_without("MkDocs is not installed: it is in the extra `docs`")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
