"""Finds flows: in the modules that a setting names, and in installed packages' entry points."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Final

from flows.errors import FlowsError, FlowsNotFound

ENTRY_POINTS: Final = "countermand.flows"

_LOADING: Final = threading.RLock()
"""One thread at a time: a file that another has only begun to import is found in `sys.modules` already."""


def load_flows(modules: Iterable[str]) -> None:
    """Import `modules` (names, or paths of .py files) and every entry point, so that their flows register.

    The current folder is put at the end of `sys.path` first. Raises `FlowsNotFound`, `InvalidFlow`. Blocks while
    another thread loads flows, too.
    """
    with _LOADING:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)
        for point in metadata.entry_points(group=ENTRY_POINTS):
            _import(point.module)
        for module in modules:
            _import(module)


def _import(module: str) -> None:
    if module == "flows":
        raise FlowsNotFound("a module named flows cannot be loaded: that name is Countermand's own, rename it")
    try:
        if module.endswith(".py"):
            _import_file(Path(module))
        else:
            importlib.import_module(module)
    except FlowsError:
        raise
    except (Exception, SystemExit) as error:
        raise FlowsNotFound(f"flows in {module}: {type(error).__name__}: {error}{_hint(module)}") from error


def _hint(module: str) -> str:
    ours = module.startswith("flows.") and not module.endswith(".py")
    return " (the package flows is Countermand's own: is yours named so too? Rename it)" if ours else ""


def _import_file(path: Path) -> None:
    name = path.stem
    if name == "flows":
        raise FlowsNotFound(f"{path}: a module named flows cannot be loaded: rename the file")
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None or not path.exists():
        raise FlowsNotFound(f"{path}: no such file")
    if known is not None:
        raise FlowsNotFound(f"{path}: a module named {name} is loaded already: rename the file")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
