"""The files of the pages: nothing inline, nothing from elsewhere, nothing that reads text as HTML."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from poster.web.gate import permissions

_PAGE = resources.files("poster.web.page")
_STATIC = {file.name: file.read_text() for file in (_PAGE / "static").iterdir()}
_TEMPLATES = {file.name: file.read_text() for file in (_PAGE / "templates").iterdir()}
_SCRIPTS = sorted(name for name in _STATIC if name.endswith(".js"))


@pytest.mark.parametrize("name", _SCRIPTS)
def test_a_script_makes_no_html_of_text(name: str) -> None:
    """What users write is only ever shown as text."""
    unsafe = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|\"text/html\""
    assert not re.search(unsafe, _STATIC[name])


@pytest.mark.parametrize("name", _SCRIPTS)
def test_a_script_imports_what_is_there(name: str) -> None:
    imported = re.findall(r"""(?:from|import) "\./([^"]+)";""", _STATIC[name])
    assert not [one for one in imported if one not in _STATIC]


@pytest.mark.parametrize("name", sorted(_TEMPLATES))
def test_a_template_has_nothing_inline(name: str) -> None:
    """The policy of the pages would block it."""
    text = _TEMPLATES[name]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert all(tag.endswith("></script>") for tag in re.findall(r"<script[^>]*>[^{]*?</script>", text))
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    assert "|safe" not in text


@pytest.mark.parametrize("name", sorted(_TEMPLATES))
def test_a_template_uses_files_that_are_there(name: str) -> None:
    used = re.findall(r"/static/([\w.]+)", _TEMPLATES[name])
    assert not [one for one in used if one not in _STATIC]


def test_every_file_is_used() -> None:
    used = set(re.findall(r"/static/([\w.]+)", "".join(_TEMPLATES.values())))
    used |= {one for text in _STATIC.values() for one in re.findall(r"""(?:from|import) "\./([^"]+)";""", text)}
    assert set(_STATIC) == used


@pytest.mark.parametrize(
    "path", ["/", "/jobs/01h", "/jobs/01h/picture", "/post/greet", "/static/base.css", "/login"]
)
def test_the_gate_knows_the_pages(path: str) -> None:
    assert "GET" in (permissions.find(path) or {})
