"""`StandIn`: takes the place of an argument that is not known, and lets no one decide anything by it."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from flows.errors import ArgumentNeeded


class StandIn:
    """An argument that can be handed on, and tells nothing of itself: whoever asks gets `ArgumentNeeded`.

    So a flow's function that only passes its arguments to its tasks makes the same flow with it as with any
    value, and one that looks at them makes none that would be wrong. `x is None` cannot be caught: it is False.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattribute__(self, _attribute: str) -> NoReturn:
        _refuse(self)  # also of `__class__`, which `isinstance` asks for

    def __repr__(self) -> str:
        return f"<{object.__getattribute__(self, '_name')}>"


def _refuse(self: StandIn, *_given: Any) -> NoReturn:
    # Not an AttributeError or TypeError: `getattr(x, y, None)` and `iter(x)` would take it for an answer.
    raise ArgumentNeeded(object.__getattribute__(self, "_name"))


_ASKED: Final = (
    *("bool", "str", "format", "bytes", "int", "float", "complex", "index", "fspath", "hash", "round", "trunc"),
    *("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "divmod", "rdivmod"),
    *("len", "iter", "next", "reversed", "contains", "getitem", "setitem", "delitem", "setattr", "delattr"),
    *("call", "enter", "exit", "await", "aiter", "anext", "aenter", "aexit"),
    *(
        f"{side}{operation}"
        for side in ("", "r", "i")
        for operation in (
            *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow"),
            *("and", "or", "xor", "lshift", "rshift"),
        )
    ),
)
"""What Python looks up in the class, past `__getattribute__`."""

for _name in _ASKED:
    setattr(StandIn, f"__{_name}__", _refuse)
