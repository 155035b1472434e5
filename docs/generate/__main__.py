"""`python3 dev.py docs --write`: what is written into `docs` from the code, written anew."""

from __future__ import annotations

from docs.generate.pages import FOLDER, PAGES

for name, made in PAGES.items():
    (FOLDER / name).write_text(made(), encoding="utf-8")
