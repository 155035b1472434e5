"""Where flows are found: in modules, in files, in the entry points of what is installed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import ModuleType

import pytest

from flows.discovery import load_flows
from flows.errors import FlowsNotFound, InvalidFlow

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def install(folder: Path, module: str) -> None:
    """Make `module` an entry point of something that is installed in `folder`."""
    write(folder / "demo-1.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1\n")
    write(folder / "demo-1.dist-info" / "entry_points.txt", f"[countermand.flows]\ndemo = {module}\n")
    sys.path.append(str(folder))


def test_a_module_of_the_current_folder_is_found(here: Path) -> None:
    write(here / "found_by_name.py", "LOADED = __name__")
    load_flows(["found_by_name"])
    assert sys.modules["found_by_name"].LOADED == "found_by_name"


def test_the_current_folder_comes_last_and_once(here: Path) -> None:
    write(here / "json.py", "raise AssertionError('not this one')")
    load_flows([])
    load_flows([])
    assert sys.path[-1] == str(here)
    assert sys.path.count(str(here)) == 1


def test_a_module_in_a_package_is_found(here: Path) -> None:
    write(here / "found_package" / "__init__.py")
    write(here / "found_package" / "inner.py", "LOADED = True")
    load_flows(["found_package.inner"])
    assert sys.modules["found_package.inner"].LOADED


def test_a_file_is_found_by_its_path_and_loaded_once(here: Path) -> None:
    file = write(here / "deep" / "found-by-path.py", "LOADED = []")
    load_flows(["deep/found-by-path.py"])
    loaded = sys.modules["found-by-path"].LOADED
    load_flows([str(file), "deep/../deep/found-by-path.py"])
    assert sys.modules["found-by-path"].LOADED is loaded


def test_a_file_that_was_imported_by_name_is_not_loaded_again(here: Path) -> None:
    write(here / "found_both_ways.py", "LOADED = []")
    load_flows(["found_both_ways"])
    loaded = sys.modules["found_both_ways"].LOADED
    load_flows(["found_both_ways.py"])
    assert sys.modules["found_both_ways"].LOADED is loaded


def test_entry_points_are_loaded(tmp_path: Path) -> None:
    write(tmp_path / "site" / "found_installed.py", "LOADED = True")
    install(tmp_path / "site", "found_installed")
    load_flows([])
    assert sys.modules["found_installed"].LOADED


def test_an_entry_point_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    install(tmp_path / "site", "not_there_at_all:something")
    with pytest.raises(FlowsNotFound, match="flows in not_there_at_all: ModuleNotFoundError"):
        load_flows([])


@pytest.mark.parametrize("name", ["flows", "flows.py", "deep/flows.py", "/abs/flows.py"])
def test_a_module_named_flows_is_refused(here: Path, name: str) -> None:
    write(here / "flows.py")
    write(here / "deep" / "flows.py")
    with pytest.raises(FlowsNotFound, match=r"a module named flows cannot be loaded: .*rename"):
        load_flows([name])


def test_a_package_named_flows_is_hinted_at(here: Path) -> None:
    write(here / "flows" / "mine.py")
    with pytest.raises(FlowsNotFound, match=r"flows in flows\.mine: .*is yours named so too\? Rename it"):
        load_flows(["flows.mine"])


def test_flows_that_come_along_can_be_named() -> None:
    load_flows(["flows.library.process_files"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError: "),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("'\\udcff'.encode()", "UnicodeEncodeError: "),
    ],
)
@pytest.mark.parametrize("entry", ["broken_flows", "broken_flows.py"])
def test_a_module_that_cannot_be_imported_is_named_with_its_error(
    here: Path, entry: str, text: str, said: str
) -> None:
    write(here / "broken_flows.py", text)
    for _ in range(2):
        with pytest.raises(FlowsNotFound) as caught:
            load_flows([entry])
        assert str(caught.value).startswith(f"flows in {entry}: {said}")
        assert caught.value.__cause__ is not None
        assert "broken_flows" not in sys.modules


def test_what_another_thread_is_importing_is_waited_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = ModuleType("gate")
    gate.begun, gate.may_end = threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "gate", gate)
    write(here / "slow_flows.py", "import gate\ngate.begun.set()\nassert gate.may_end.wait(60)\nLOADED = True\n")

    def load() -> bool:
        load_flows(["slow_flows.py"])
        return hasattr(sys.modules["slow_flows"], "LOADED")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(load)
        assert gate.begun.wait(60)
        second = pool.submit(load)
        wait([second], 0.1)  # long enough for one that does not wait
        gate.may_end.set()
        assert [first.result(60), second.result(60)] == [True, True]


def test_ctrl_c_while_importing_is_let_through(here: Path) -> None:
    write(here / "interrupted_flows.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_flows(["interrupted_flows.py"])
    assert "interrupted_flows" not in sys.modules


def test_a_wrong_flow_keeps_its_own_error(here: Path) -> None:
    write(here / "wrong_flow.py", "from flows import flow\nflow('x', timeout='soon')(lambda: None)")
    with pytest.raises(InvalidFlow, match="flow x: timeout='soon'"):
        load_flows(["wrong_flow"])


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(FlowsNotFound, match=r"nowhere/x\.py: no such file"):
        load_flows(["nowhere/x.py"])
    with pytest.raises(FlowsNotFound, match="flows in nowhere_at_all: ModuleNotFoundError"):
        load_flows(["nowhere_at_all"])


@pytest.mark.parametrize("entry", ["", ".", "..", "a..b", ".relative", "a b", "folder.py"])
def test_what_is_no_module_is_named(here: Path, entry: str) -> None:
    (here / "folder.py").mkdir()
    with pytest.raises(FlowsNotFound):
        load_flows([entry])


def test_a_file_named_like_a_module_that_is_loaded_is_refused(here: Path) -> None:
    write(here / "json.py")
    with pytest.raises(FlowsNotFound, match=r"json\.py: a module named json is loaded already: rename the file"):
        load_flows(["json.py"])


def test_flows_register_in_a_process_of_their_own(here: Path) -> None:
    write(
        here / "my_flows.py",
        "from flows import flow\n"
        "from taskflow.patterns import linear_flow\n"
        "@flow('mine')\n"
        "def mine(level: int = 1):\n"
        "    return linear_flow.Flow('mine')\n",
    )
    program = (
        "from flows.discovery import load_flows\n"
        "from flows.registry import REGISTRY\n"
        "load_flows(['my_flows.py', 'my_flows'])\n"
        "print([spec.name for spec in REGISTRY])\n"
        "print(REGISTRY.get('mine').as_json({}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=here, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "{'level': 1}"
    assert "'mine'" in done.stdout
