"""What MkDocs does not do by itself: pages from the repository's root, and folders in the navigation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(rf"\]\((?P<up>(?:\.\./)*)\.\./(?P<name>{'|'.join(map(re.escape, OUTSIDE))})")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages of the root are pages of the site, too; and a folder in `nav` is all pages that it has."""
    for name, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    config.nav = [entry for entry in (_expanded(entry, files) for entry in config.nav or []) if entry]
    return files


def _expanded(entry: dict[str, Any], files: Files) -> dict[str, Any] | None:
    ((title, place),) = entry.items()
    if not place.endswith("/"):
        return entry
    pages = [file for file in files.documentation_pages() if file.src_uri.startswith(place)]
    # The page about the folder itself comes first.
    found = [file.src_uri for file in sorted(pages, key=lambda file: (file.name != "index", file.src_uri))]
    return {title: found} if found else None


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to pages of the root lead to those of the site."""
    return _LINK.sub(lambda found: f"]({found['up']}{OUTSIDE[found['name']]}", markdown)
