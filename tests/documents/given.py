"""What a page takes for granted, and the blocks that are tried in another way."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.documents.page import Block, blocks_of

ROOT = Path(__file__).parents[2]


def pages() -> list[str]:
    """Every page whose blocks are run."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [path.relative_to(ROOT).as_posix() for path in paths]
    return [name for name in names if not name.startswith(WRITTEN)]


def read(page: str) -> list[Block]:
    return blocks_of(page, (ROOT / page).read_text(encoding="utf-8"))


def titled(page: str, title: str) -> str:
    """The text of a file that a page has its reader save."""
    (text,) = {block.text for block in read(page) if block.title == title}
    return text


WRITTEN = "docs/reference/"
"""Written by `python3 dev.py docs --write`, from what tests hold them to."""

_HELLO = f"cat > hello.py <<'END'\n{titled('README.md', 'hello.py')}END\n"

BEFORE = {
    "docs/http.md": f"{_HELLO}export COUNTERMAND_FLOWS=hello.py\n",
    "docs/how-to/deploy.md": _HELLO,
    "docs/how-to/operate.md": f"cp {shlex.quote(str(ROOT / 'docs/how-to/nightly.py'))} .\n",
}
"""For pages that go on where another one ends: shell text, run first."""


@dataclass(frozen=True)
class Elsewhere:
    """A block that this suite does not run: how it begins, why, and the test that tries it (if any can)."""

    page: str
    begins: str
    why: str
    test: str | None

    def is_of(self, block: Block) -> bool:
        return block.page == self.page and block.text.startswith(self.begins)


ELSEWHERE = (
    Elsewhere(
        "README.md",
        "python3 dev.py demo",
        "it makes an environment, and runs all tests",
        "tests/acceptance/test_documents.py::test_the_demo",
    ),
    Elsewhere(
        "docs/tutorial.md",
        "python3 dev.py demo",
        "it makes an environment",
        "tests/acceptance/test_documents.py::test_the_demo",
    ),
    Elsewhere(
        "docs/index.md",
        "python3 dev.py demo",
        "it makes an environment",
        "tests/acceptance/test_documents.py::test_the_demo",
    ),
    Elsewhere(
        "docs/performance.md",
        "python3 dev.py bench",
        "it takes twenty minutes",
        "tests/integration/test_benchmarks.py",
    ),
    Elsewhere(
        "docs/taskflow/conductor.md",
        "import signal",
        "it goes on until a signal",
        "tests/acceptance/test_howtos.py::test_the_conductor_in_a_program_of_ones_own",
    ),
    Elsewhere(
        "docs/taskflow/conductor.md",
        "hello Ann",
        "what that program prints",
        "tests/acceptance/test_howtos.py::test_the_conductor_in_a_program_of_ones_own",
    ),
    Elsewhere(
        "docs/moving/celery.md",
        "import time\nfrom pathlib",
        "it wants a worker beside it",
        "tests/documents/test_celery.py::test_a_revoke_does_what_the_page_says",
    ),
    Elsewhere(
        "docs/moving/celery.md",
        "terminate=False: ",
        "what that program printed",
        "tests/documents/test_celery.py::test_a_revoke_does_what_the_page_says",
    ),
    Elsewhere(
        "docs/http.md",
        "server {\n    listen 443 ssl",
        "it is a file of nginx's",
        "tests/acceptance/test_behind_nginx.py::test_all_of_it_goes_through",
    ),
    Elsewhere(
        "docs/how-to/deploy.md",
        'echo "POSTGRES_PASSWORD',
        "it builds an image and loads two more",
        "tests/unit/test_compose.py",
    ),
    Elsewhere(
        "docs/how-to/deploy.md",
        "services:\n  conductor-1",
        "the same",
        "tests/unit/test_compose.py::test_the_override_of_the_documents_fits",
    ),
    Elsewhere(
        "docs/how-to/deploy.md",
        "[Unit]\nDescription=Countermand conductor",
        "it is a file of the system's",
        "tests/documents/test_deploying.py::test_systemd_takes_the_units",
    ),
    Elsewhere(
        "docs/how-to/deploy.md",
        "[Unit]\nDescription=Countermand API",
        "it is a file of the system's",
        "tests/documents/test_deploying.py::test_systemd_takes_the_units",
    ),
    Elsewhere(
        "docs/how-to/deploy.md",
        "useradd --system",
        "it changes the machine",
        "tests/documents/test_deploying.py::test_what_is_installed_is_what_the_units_name",
    ),
)
