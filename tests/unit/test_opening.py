"""Which board the settings open, and what is said when its client is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobboard.boards.etcd import EtcdBoard, EtcdOptions
from jobboard.boards.redis import RedisBoard, RedisOptions
from jobboard.boards.zookeeper import ZookeeperBoard, ZookeeperOptions
from jobboard.dispatch.opening import open_dispatch
from jobboard.settings import read_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("url", "kind", "options"),
    [
        ("zookeeper://one/a", ZookeeperBoard, ZookeeperOptions("one:2181", "/a", 7.0)),
        ("redis://one", RedisBoard, RedisOptions("one", lease_s=7.0)),
        ("rediss://:secret@one", RedisBoard, RedisOptions("one", lease_s=7.0, password="secret", use_ssl=True)),
        ("etcd://one/a", EtcdBoard, EtcdOptions("one", path="/a", lease_s=7.0)),
    ],
)
def test_a_board_is_opened_by_its_address_with_the_lease_of_the_settings(url: str, kind: type, options: Any):
    database: Any = None  # it is not asked yet
    board = open_dispatch(database, read_settings({}, jobboard_url=url, lease="7")).board
    assert isinstance(board, kind)
    assert (board.name, board.options) == ("countermand", options)


@pytest.mark.parametrize(("kind", "module"), [("redis", "redis"), ("etcd", "etcd3gw")])
def test_a_client_that_is_not_installed_is_named_with_what_to_install(kind: str, module: str):
    program = f"""
import sys
sys.modules["{module}"] = None
from jobboard.dispatch.opening import open_dispatch
from jobboard.errors import SettingError
from jobboard.settings import read_settings
try:
    open_dispatch(None, read_settings({{}}, jobboard_url="{kind}://one"))
except SettingError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.startswith(f"jobboard {kind}: its client is not installed")
    assert said.stdout.endswith(f'pip install "countermand[{kind}]"\n')
