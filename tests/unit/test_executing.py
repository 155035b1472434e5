"""Where a task's thread is, seen from another thread."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from flows import CancelableTask, RunContext
from flows.executing import Executing
from flows.stack import Stack, frames_from, stack_of
from tests.waiting import until


class Works(CancelableTask):
    """Does what its test says, and can be stopped where it waits."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__("works")
        self.work = work
        self.there = threading.Event()
        self.go_on = threading.Event()

    def execute(self) -> Any:
        return self.work()

    def revert(self, **_: Any) -> None:
        self.stay()

    def stay(self) -> None:
        self.there.set()
        assert self.go_on.wait(30)


@contextlib.contextmanager
def in_a_thread(task: Works, call: Callable[[], Any]) -> Iterator[Executing]:
    """The block runs while the task is where it stays."""
    executing = Executing()
    task.bind(RunContext(executing=executing))
    thread = threading.Thread(target=call)
    thread.start()
    try:
        assert task.there.wait(30)
        yield executing
    finally:
        task.go_on.set()
        thread.join()
    assert executing.stacks() == {}


def the_stack(executing: Executing, waits_in: str = "") -> Stack:
    """The stack of the one task, once it is there."""
    return until(lambda: (found := executing.stacks()["works"]) and waits_in in found.text and found)


def test_the_stack_begins_at_the_tasks_own_code_and_names_its_innermost_line():
    task = Works(lambda: Works.stay(task))
    with in_a_thread(task, task.execute) as executing:
        stack = the_stack(executing, "in wait")
    lines = stack.text.splitlines()
    assert lines[0].startswith('File "')
    assert lines[0].endswith("in execute")
    assert lines[1] == "  return self.work()"
    assert any(line.endswith("in stay") for line in lines)
    assert 'threading.py", line ' in lines[-2]
    line = Works.stay.__code__.co_firstlineno + 2
    assert stack.where == f"test_executing.py:{line} in stay"


def test_only_execute_counts():
    task = Works(lambda: None)
    with in_a_thread(task, lambda: task.revert(result=None)) as executing:
        assert executing.stacks() == {}


def test_a_revert_that_execute_calls_is_part_of_it():
    task = Works(lambda: task.revert(result=None))
    with in_a_thread(task, task.execute) as executing:
        assert "in revert" in the_stack(executing).text


def test_a_task_that_another_one_calls_does_not_hide_it():
    inner = Works(lambda: None)  # of the same name
    executing = Executing()
    inner.bind(RunContext(executing=executing))
    with executing.inside("works"):
        inner.execute()
        assert list(executing.stacks()) == ["works"]


def test_a_coroutine_is_shown_where_it_waits_and_not_its_loop():
    async def outer() -> None:
        await inner()

    async def inner() -> None:
        task.there.set()
        while not task.go_on.is_set():
            await asyncio.sleep(0.01)

    task = Works(outer)
    with in_a_thread(task, task.execute) as executing:
        stack = the_stack(executing, "asyncio.sleep")
    assert stack.text.splitlines()[1] == "  await inner()"
    assert stack.where.endswith(" in inner")


def test_a_coroutine_that_blocks_its_loop_is_shown_where_it_blocks():
    async def blocks() -> None:
        task.stay()

    task = Works(blocks)
    with in_a_thread(task, task.execute) as executing:
        stack = the_stack(executing, "in wait")
    assert stack.text.splitlines()[0].endswith("in blocks")
    assert stack.where.endswith(" in stay")


def test_a_deep_stack_is_cut_at_its_outside():
    def deeper(left: int) -> None:
        if left:
            return deeper(left - 1)
        return task.stay()

    def even_deeper(left: int) -> None:
        return deeper(30) if not left else even_deeper(left - 1)

    task = Works(lambda: even_deeper(30))
    with in_a_thread(task, task.execute) as executing:
        stack = the_stack(executing, "in wait")
    assert "in execute" not in stack.text
    assert "even_deeper" not in stack.text
    assert "in stay" in stack.text
    assert len(stack.text) <= 4000


def test_long_lines_are_cut_too():
    code = compile("def long_one(call):\n    return call()\n", "/long/" + "x" * 3900 + ".py", "exec")
    exec(code, names := {"__name__": "long"})
    task = Works(lambda: names["long_one"](lambda: names["long_one"](task.stay)))
    with in_a_thread(task, task.execute) as executing:
        stack = the_stack(executing, "in stay")
    assert len(stack.text) <= 4000


def test_a_file_of_any_name_can_be_stored():
    code = compile("def odd(call):\n    return call()\n", "/odd\udc80.py", "exec")
    exec(code, names := {"__name__": "odd"})
    task = Works(lambda: names["odd"](task.stay))
    with in_a_thread(task, task.execute) as executing:
        text = the_stack(executing, "in stay").text
    assert "odd\\udc80.py" in text
    text.encode()


def test_code_without_any_of_ours_is_shown_whole():
    stack = stack_of(frames_from(sys._getframe()))
    assert stack is not None
    assert stack.where.endswith("in test_code_without_any_of_ours_is_shown_whole")
    assert stack_of(frames_from(None)) is None
