"""Names that tasks get from their classes."""

from __future__ import annotations

import pytest

from flows import CancelableTask
from flows.cancelable import snake_case


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Pack", "pack"),
        ("PackFiles", "pack_files"),
        ("HTTPServer", "http_server"),
        ("GetHTTP", "get_http"),
        ("Get2Files", "get2_files"),
        ("MD5Sum", "md5_sum"),
        ("A", "a"),
        ("AB", "ab"),
        ("ABc", "a_bc"),
        ("already_snake", "already_snake"),
        ("Pack_Files", "pack_files"),
        ("_Private", "_private"),
        ("pack", "pack"),
        ("ÜberTask", "über_task"),
        ("", ""),
    ],
)
def test_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake
    assert snake_case(snake) == snake


class PackFiles(CancelableTask):
    def execute(self) -> None:
        pass


class Named(CancelableTask):
    def __init__(self, name: str | None = None, **kwargs: object) -> None:
        super().__init__(name, **kwargs)

    def execute(self) -> None:
        pass


def test_a_task_without_a_name_is_named_for_its_class() -> None:
    assert PackFiles().name == "pack_files"
    assert PackFiles(name=None).name == "pack_files"
    assert PackFiles(None).name == "pack_files"
    assert Named().name == "named"


def test_a_given_name_stays() -> None:
    assert PackFiles("mine").name == "mine"
    assert PackFiles(name="mine").name == "mine"
    assert Named("mine").name == "mine"
    assert Named(name="mine").name == "mine"
