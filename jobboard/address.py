"""Addresses of servers, fit to be shown."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "********"
_PASSWORD: Final = re.compile(r"(//[^:/@]*:).*@")
_PASSWORD_OPTION: Final = re.compile(r"(password=)[^&]*")


def without_password(address: str) -> str:
    """`address` with the password of its user, and those among its options, replaced."""
    return _PASSWORD_OPTION.sub(rf"\1{MASK}", _PASSWORD.sub(rf"\1{MASK}@", address))
