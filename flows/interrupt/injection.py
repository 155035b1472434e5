"""Raises the interruption inside Python code that never looks at the flag, from another thread.

CPython's `PyThreadState_SetAsyncExc` raises an exception in a thread between two of its byte codes. Alone it is
dangerous: the exception may come when the code has ended already, and hit whatever the thread does next; it may
get lost in a `__del__`. So here it is sent only through a window that is open exactly while the code runs, taken
back when the window closes, and sent again until it is seen to have arrived. It is not sent while the thread
takes or gives back a lock of logging, threading or the import system, which would stay locked for everyone, nor in
a weak reference's callback.

It cannot interrupt a C call that does not return, such as a long `time.sleep`: it waits for it.
"""

from __future__ import annotations

import _weakrefset
import contextlib
import ctypes
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from flows.cancel_token import CancelToken
from flows.errors import Interrupted
from flows.frames import frames

_RESEND_S: Final = 0.02
_AGAIN_S: Final = 3.0  # after it has arrived: a `finally` block may take its time
_send = ctypes.pythonapi.PyThreadState_SetAsyncExc
_send.argtypes = (ctypes.c_ulong, ctypes.py_object)
_send.restype = ctypes.c_int
_take_back = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)
_here = threading.local()

# Where the standard library takes a lock that no `finally` gives back yet, or is about to give it back.
_IMPORTING: Final = "<frozen importlib._bootstrap>"
_LOCKING_FILES: Final = frozenset({logging.__file__, threading.__file__})
_CALLBACK_FILES: Final = frozenset({_weakrefset.__file__, weakref.__file__})
_LOCKING: Final = frozenset(
    {"acquire", "release", "handle", "__enter__", "__exit__", "_acquire_restore", "_release_save"}
    | {"_acquireLock", "_releaseLock"}
)


class Injected(Interrupted):
    """The interruption as it is sent. Made by the interpreter in the thread it reaches, which acknowledges it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        window: _Window | None = getattr(_here, "window", None)
        if window is not None:
            window.arrived_s = time.monotonic()


class _Window:
    """Open while a thread runs code that may be interrupted.

    Invariant: an exception is pending for the thread only while the window is open, since sending and closing
    exclude each other, and closing takes back what has not arrived.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self.arrived_s: float | None = None
        self.closed = threading.Event()

    def open(self) -> None:
        with self._lock:
            self._thread = threading.get_ident()

    def pause(self) -> None:
        with self._lock:
            if self._thread is not None:
                _take_back(self._thread, None)
                self._thread = None

    def close(self) -> None:
        self.pause()
        self.closed.set()

    def send(self) -> None:
        with self._lock:
            if self._thread is None:
                return
            if _is_no_place(self._thread):
                return
            if self.arrived_s is None or time.monotonic() - self.arrived_s > _AGAIN_S:
                self.arrived_s = None
                _send(self._thread, Injected)


def run_injectable(code: Callable[[], Any], token: CancelToken, interrupting: Callable[[], None]) -> Any:
    """Run `code` in this thread, and raise inside of it when the token is set, again until it has arrived.

    `interrupting` is called before.
    Raises `Interrupted` if that ended the code. One window in a thread at a time: `RuntimeError` for a second.
    """
    if getattr(_here, "window", None) is not None:
        raise RuntimeError('a task with interrupt="thread" runs in this thread already')
    window = _Window()

    def interrupt() -> None:
        interrupting()
        threading.Thread(target=_keep_sending, args=(window,), name="interrupt", daemon=True).start()

    key = token.subscribe(interrupt)
    result: Any = None
    hit = False
    try:
        try:
            try:
                _here.window = window
                window.open()
                result = code()
            finally:
                window.close()
        except Injected:
            hit = True
    finally:
        hit |= _hit_on_the_way_out(window)
        _here.window = None
        token.unsubscribe(key)
    if hit:
        raise Interrupted(token.cause)
    return result


def _hit_on_the_way_out(window: _Window) -> bool:
    """Close the window for good. Whether an interruption landed before that was done."""
    hit = False
    while True:
        try:
            window.close()
        except Injected:
            hit = True
        else:
            return hit


class Window(Protocol):
    """Through which this thread is interrupted."""

    def pause(self) -> None: ...
    def open(self) -> None: ...


def interrupted_through(window: Window) -> None:
    """This thread is interrupted by something else: `sheltered` is to pause that."""
    _here.window = window


@contextlib.contextmanager
def sheltered() -> Iterator[None]:
    """Nothing is raised inside of the block: for work in this thread that stops in a way of its own."""
    window: Window | None = getattr(_here, "window", None)
    if window is None:
        yield
        return
    window.pause()
    try:
        yield
    finally:
        window.open()


def _is_no_place(thread: int) -> bool:
    frame = frames().get(thread)
    if frame is None:
        return False
    code = frame.f_code
    if code.co_filename in _CALLBACK_FILES:
        return True  # the interpreter would write the interruption to standard error, and go on
    return code.co_filename == _IMPORTING or (code.co_filename in _LOCKING_FILES and code.co_name in _LOCKING)


def _keep_sending(window: _Window) -> None:
    while not window.closed.is_set():
        window.send()
        window.closed.wait(_RESEND_S)
