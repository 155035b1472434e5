"""The site of the documents: built without a network, every link alive, nothing from another host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.building import build_site
from tests.documents.built import Built, is_elsewhere, leads_to, loaded_by_css, read_built
from tests.documents.given import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Built]:
    files = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    return {name: read_built(name, path.read_text(encoding="utf-8")) for name, path in files.items()}


def test_every_document_is_a_page(pages: dict[str, Built]) -> None:
    documents = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    wanted = {path.with_stem("index" if path.stem == "README" else path.stem).as_posix() for path in documents}
    assert wanted | {"changelog.html", "contributing.html"} == pages.keys() - {"404.html"}


def test_every_link_and_anchor_is_alive(site: Path, pages: dict[str, Built]) -> None:
    dead = [
        f"{page.name}: {link}"
        for page in pages.values()
        for link in page.links
        if not is_elsewhere(link) and not _is_alive(site, pages, page.name, link)
    ]
    assert not dead, "\n".join(dead)


def _is_alive(site: Path, pages: dict[str, Built], page: str, link: str) -> bool:
    name, anchor = leads_to(page, link)
    if name in pages:
        return not anchor or anchor in pages[name].anchors
    return (site / name).is_file()


def test_what_a_page_loads_is_on_the_site(site: Path, pages: dict[str, Built]) -> None:
    loaded = {(page.name, address) for page in pages.values() for address in page.loaded}
    for style in site.rglob("*.css"):
        name = style.relative_to(site).as_posix()
        loaded |= {(name, address) for address in loaded_by_css(style.read_text(encoding="utf-8"))}
    assert any(address.endswith(".css") for _, address in loaded)
    missing = [
        f"{name}: {address}"
        for name, address in sorted(loaded)
        if is_elsewhere(address) or not (site / leads_to(name, address)[0]).is_file()
    ]
    assert not missing, "\n".join(missing)


def test_a_reader_without_a_network_can_search(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "revert_failed" in index


@pytest.mark.parametrize(
    ("html", "links", "loaded"),
    [
        ('<a href="a.html#b">', ["a.html#b"], []),
        ('<img src="https://elsewhere/x.png">', [], ["https://elsewhere/x.png"]),
        ('<link rel="stylesheet" href="//fonts/x.css">', [], ["//fonts/x.css"]),
        ('<link rel="canonical" href="https://me/">', [], []),
        ('<p style="background: url(https://e/x)">', [], ["https://e/x"]),
    ],
)
def test_what_a_page_links_to_and_loads(html: str, links: list[str], loaded: list[str]) -> None:
    built = read_built("p.html", html)
    assert (built.links, built.loaded) == (links, loaded)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("#a", ("d/p.html", "a")),
        ("q.html", ("d/q.html", "")),
        ("../r.html#b%20c", ("r.html", "b c")),
        ("..", ("index.html", "")),
        ("/s.css?x", ("s.css", "")),
    ],
)
def test_where_a_link_leads(link: str, target: tuple[str, str]) -> None:
    assert leads_to("d/p.html", link) == target
