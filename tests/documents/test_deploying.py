"""What docs/how-to/deploy.md and operate.md show and no reader of `tests/documents` can run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from contextlib import closing
from itertools import chain
from pathlib import Path

import click
import pytest
from prometheus_client import CollectorRegistry

from conductor.cli import main as conductor
from conductor.meter import Vitals
from conductor.metrics import JobMeter, of_vitals
from jobboard.boards.etcd_options import parse_etcd_url
from jobboard.boards.redis_options import parse_redis_url
from jobboard.boards.zookeeper_options import parse_zookeeper_url
from jobboard.database import open_database
from jobboard.settings import read_settings
from poster import Client
from poster.cli import poster
from poster.web.app import create_app
from tests.documents.given import ROOT, read, titled

PAGE = "docs/how-to/deploy.md"
UNITS = ("countermand-conductor@.service", "countermand-poster.service")
PROGRAMS = {"conductor": conductor, "poster": poster}
BOARDS = {"zookeeper": parse_zookeeper_url, "rediss": parse_redis_url, "etcd": parse_etcd_url}


def options_of(unit: str) -> RawConfigParser:
    parser = RawConfigParser(strict=True)
    parser.optionxform = str
    parser.read_string(titled(PAGE, unit))
    return parser


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_units(unit: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        assert options_of(unit).sections() == ["Unit", "Service", "Install"]
        return
    file = tmp_path / unit.replace("@.", "@1.")
    file.write_text(re.sub(r"/opt/countermand/bin/\w+", sys.executable, titled(PAGE, unit)))
    verified = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, timeout=60)
    assert not [line for line in verified.stderr.splitlines() if file.name in line]


@pytest.mark.parametrize("unit", UNITS)
def test_the_programs_take_what_the_units_say(unit: str) -> None:
    started = options_of(unit)["Service"]["ExecStart"].replace("%i", "1")
    program, name, *words = shlex.split(started)
    commands = PROGRAMS[Path(program).name]
    with click.Context(commands) as context:
        command = commands.get_command(context, name)
        command.make_context(name, words, parent=context)  # raises


def test_a_conductor_may_take_its_grace_time() -> None:
    service = options_of(UNITS[0])["Service"]
    assert "--grace 5m " in service["ExecStart"]
    assert service["TimeoutStopSec"] == "5min 30s"
    assert service["KillMode"] == "mixed"


def test_what_is_installed_is_what_the_units_name() -> None:
    [installs] = [block.text for block in read(PAGE) if block.text.startswith("useradd")]
    for unit in UNITS:
        service = options_of(unit)["Service"]
        assert unit in installs
        assert f" {service['EnvironmentFile']} " in installs
        assert f"useradd --system --home-dir {service['WorkingDirectory']} {service['User']}\n" in installs
        assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    work, _temporary = options_of(UNITS[0])["Service"]["ReadWritePaths"].split()
    assert f"install -d -o countermand -g countermand {work}\n" in installs


def test_addresses_with_tls_are_taken() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    addresses = re.findall(r"`((\w+)://\S*\?\S*)`", text)
    assert {scheme for _, scheme in addresses} == {"postgresql", *BOARDS}
    for address, scheme in addresses:
        if scheme in BOARDS:
            options = BOARDS[scheme](address)
            assert options.use_ssl
            assert options.verify_certs
            assert options.ca == "/etc/countermand/ca.pem"


def test_metrics_that_are_named_are_there(sqlite_url: str) -> None:
    pages = [
        (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8") for page in ("operate.md", "scheduler.md")
    ]
    named = set(re.findall(r"\bcountermand_(?!conductors_)\w+", " ".join(pages)))
    assert len(named) > 7
    ours = CollectorRegistry()
    with (
        closing(open_database(sqlite_url)) as database,
        Client.open(read_settings({}, database_url=sqlite_url)) as client,
    ):
        JobMeter(ours, database, ["hello"])
        served = create_app(client, token_needed=False, hosts=()).state.registry
        families = [*chain(served.collect(), ours.collect()), *of_vitals(Vitals("one", 1, 0, 0.0, 0))]
        there = {f"{family.name}{end}" for family in families for end in ("", "_total", "_bucket")}
    assert named <= there
