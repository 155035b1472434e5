"""Looking at where threads are, whatever the garbage collector does meanwhile."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

from flows.frames import frames

ROOT = Path(__file__).parents[2]


def test_it_finds_where_each_thread_is() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        found = frames()
        assert found[threading.get_ident()].f_code.co_name == "frames"
        assert found[thread.ident].f_code.co_filename == threading.__file__
    finally:
        stop.set()
        thread.join()


def test_it_leaves_the_collector_as_it_was() -> None:
    frames()
    assert gc.isenabled()
    gc.disable()
    try:
        frames()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_collection_at_the_wrong_moment_does_not_stop_the_process() -> None:
    """With `sys._current_frames` alone this stands still for ever; so it is done in a process of its own."""
    code = """
import gc, threading
from flows.frames import frames

class Node: pass

def leave_garbage():
    node = Node()
    node.me = node
    node.local = threading.local()
    node.local.x = 1

gc.set_threshold(1)
for _ in range(20_000):
    leave_garbage()
    frames()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
