"""Pages of the built site: where their links lead, and which files they load. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

_LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "srcset", "video": "src", "audio": "src"}
_LOADING = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest", "modulepreload"}
_CSS = re.compile(r"(?:url\(|@import\s)\s*[\"']?([^\"')\s;]+)")


@dataclass
class Built:
    """A page."""

    name: str  # relative to the site
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self, built: Built) -> None:
        super().__init__()
        self._built = built

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self._built.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if given.get(_LOADED.get(tag, "")):
            self._built.loaded.append(given[_LOADED[tag]].split()[0])
        if tag == "link" and _LOADING & set(given.get("rel", "").split()):
            self._built.loaded.append(given["href"])
        if tag == "a" and "href" in given:
            self._built.links.append(given["href"])
        self._built.loaded += loaded_by_css(given.get("style", ""))


def read_built(name: str, html: str) -> Built:
    built = Built(name)
    _Reader(built).feed(html)
    return built


def loaded_by_css(text: str) -> list[str]:
    """What a stylesheet loads, but for what it holds itself."""
    return [found for found in _CSS.findall(text) if not found.startswith("data:")]


def is_elsewhere(address: str) -> bool:
    """Does it lead to another host?"""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def leads_to(page: str, link: str) -> tuple[str, str]:
    """The file of the site that a link of a page leads to, and the anchor there ("" for none)."""
    parts = urlsplit(link)
    path = unquote(parts.path)
    target = path.lstrip("/") if path.startswith("/") else join(dirname(page), path) if path else page
    name = normpath(target) if target else "index.html"
    return ("index.html" if name == "." else name), unquote(parts.fragment)
