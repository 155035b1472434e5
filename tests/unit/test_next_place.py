"""After the login one is led to a page of ours, whatever the address says."""

from __future__ import annotations

import pytest

from poster.web.page.next_place import HOME, next_place


@pytest.mark.parametrize("asked", ["/", "/jobs/01h", "/?state=failed&q=a%20b", "/post/process_files"])
def test_ours(asked: str) -> None:
    assert next_place(asked) == asked


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "jobs",
        "//evil",
        "/\\evil",
        "\\\\evil",
        "https://evil",
        "javascript:alert(1)",
        "/\t/evil",
        "/\n/evil",
        "///evil",
    ],
)
def test_not_ours(asked: str) -> None:
    assert next_place(asked) == HOME
