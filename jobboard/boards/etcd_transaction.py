"""Transactions of etcd's, as its gateway wants them: conditions, what is done if all are met, and what if not."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etcd3gw.client import Etcd3Client


@dataclass(frozen=True)
class Entry:
    """A key, its value, and when they were made: etcd counts all that is ever written."""

    key: str
    value: bytes
    created: int
    modified: int


@dataclass(frozen=True)
class Outcome:
    """What became of a transaction."""

    done: bool  # the conditions were met
    revision: int  # etcd's count of writes
    found: list[Entry]  # what was read


def change(
    client: Etcd3Client,
    conditions: Sequence[dict[str, Any]],
    changes: Sequence[dict[str, Any]],
    otherwise: Sequence[dict[str, Any]] = (),
) -> Outcome:
    """Make all changes, or none and what is wanted `otherwise`. Raises `Etcd3Exception`, `RequestException`."""
    answer = client.transaction(
        {"compare": list(conditions), "success": list(changes), "failure": list(otherwise)}
    )
    ranges = [part["response_range"] for part in answer.get("responses", []) if "response_range" in part]
    found = [_entry_of(row) for part in ranges for row in part.get("kvs", [])]
    return Outcome(bool(answer.get("succeeded")), int(answer["header"]["revision"]), found)


def exists(key: str, *, there: bool = True) -> dict[str, Any]:
    """A condition: the key is there, or is not."""
    result = "GREATER" if there else "EQUAL"
    return {"key": _encoded(key), "target": "CREATE", "result": result, "create_revision": 0}


def has_value(key: str, value: str) -> dict[str, Any]:
    """A condition: the key is there with this value."""
    return {"key": _encoded(key), "target": "VALUE", "result": "EQUAL", "value": _encoded(value)}


def put(key: str, value: str | bytes, session: str | None = None) -> dict[str, Any]:
    """Store it; with a session, for as long as that lasts."""
    stored = {"key": _encoded(key), "value": _encoded(value)}
    return {"request_put": stored if session is None else {**stored, "lease": session}}


def fetch(key: str) -> dict[str, Any]:
    """Read it."""
    return {"request_range": {"key": _encoded(key)}}


def fetch_all(prefix: str) -> dict[str, Any]:
    """Read all whose keys begin so."""
    return {"request_range": _all(prefix)}


def delete(key: str) -> dict[str, Any]:
    """Delete it."""
    return {"request_delete_range": {"key": _encoded(key)}}


def delete_all(prefix: str) -> dict[str, Any]:
    """Delete all whose keys begin so."""
    return {"request_delete_range": _all(prefix)}


def _all(prefix: str) -> dict[str, str]:
    return {"key": _encoded(prefix), "range_end": _encoded(prefix[:-1] + chr(ord(prefix[-1]) + 1))}


def _entry_of(row: dict[str, Any]) -> Entry:
    key = base64.b64decode(row["key"]).decode(errors="backslashreplace")
    value = base64.b64decode(row.get("value", ""))
    return Entry(key, value, int(row["create_revision"]), int(row["mod_revision"]))


def _encoded(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()
