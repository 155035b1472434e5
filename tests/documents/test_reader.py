"""The reader: one shell for a page, programs that go on, what fails and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documents.page import blocks_of, steps_of
from tests.documents.reader import Reader, Seen, Stuck
from tests.documents.stand_ins import StandIns

Follow = Callable[[str], list[Seen]]


@pytest.fixture
def follow(tmp_path: Path, stand_ins: StandIns) -> Follow:
    return lambda text: Reader(tmp_path / "page", stand_ins).follow(steps_of(blocks_of("p.md", text)))


def test_one_shell_for_all_blocks(follow: Follow) -> None:
    shell = "```sh\nx=1\n```\n```sh\necho $x >&2\n```\n"
    program = '```python title="a.py"\nprint(2)\n```\n```sh\npython a.py\n```\n'
    assert [seen.text for seen in follow(shell + program)] == ["", "1\n", "", "2\n"]


def test_a_program_tells_on_standard_output(follow: Follow) -> None:
    page = "```python\nimport sys\nprint(1)\nprint('log', file=sys.stderr)\n```\n"
    assert [seen.text for seen in follow(page)] == ["1\n"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\ntrue\n```\n\n```sh\nfalse\ntrue\n```\n", "p.md:5: ended with 1"),
        ("```sh\nfalse | true\n```\n", "p.md:1: ended with 1"),
        ("```python\nraise SystemExit(3)\n```\n", "p.md:1: ended with 3"),
        ("```sh\nposter serve --no-such-option\n```\n", "p.md:1: ended with 1\n.*\nnobody listens on port"),
        ('```sh exits="5"\nexit 4\n```\n', "p.md:1: ended with 4"),
        ('```sh exits="5"\ntrue\n```\n', "p.md:1: ended with 1\n.*\nended with 0, not 5"),
    ],
)
def test_where_it_is_stuck_is_said(follow: Follow, text: str, said: str) -> None:
    with pytest.raises(Stuck, match=said):
        follow(text)


def test_a_code_that_the_page_tells_of(follow: Follow) -> None:
    page = '```sh exits="5"\nx=1; (exit 5)\n```\n```sh\necho $x\n```\n'
    assert follow(page)[1].text == "1\n"


def test_what_goes_on_ends_with_the_page(follow: Follow, tmp_path: Path) -> None:
    page = "```sh\nconductor run --name one\n```\n```sh\nposter conductors\njobs -p > pids\n```\n"
    *_, seen = follow(page)
    assert "one" in seen.text
    (pid,) = (tmp_path / "page" / "work" / "pids").read_text().split()
    assert not Path("/proc", pid).exists()


def test_the_server_of_the_page_answers_when_the_next_block_is_run(follow: Follow) -> None:
    page = "```sh\nposter serve  # http://127.0.0.1:8080\n```\n```sh\npython get.py\n```\n"
    get = "import httpx\n\nprint(httpx.get('http://127.0.0.1:8080/healthz').status_code)\n"
    *_, seen = follow(f'```python title="get.py"\n{get}```\n{page}')
    assert seen.text == "200\n"


def test_a_server_of_files_gets_a_port_of_its_own(tmp_path: Path) -> None:
    stand_ins = StandIns(tmp_path, lambda kind: f"{kind}://there/x")
    serve = stand_ins.into("python3 -m http.server 8000 --bind 127.0.0.1")
    port = stand_ins.port("8000")
    assert serve == f"python3 -m http.server {port} --bind 127.0.0.1"
    assert stand_ins.into("http://127.0.0.1:8000/x") == f"http://127.0.0.1:{port}/x"


def test_what_stands_for_something_else_is_put_back(follow: Follow, tmp_path: Path) -> None:
    page = "```sh\necho /tmp/a 127.0.0.1:8080 postgresql://user:pw@host/x /tmpx; touch /tmp/a\n```\n"
    (seen,) = follow(page)
    assert seen.text == "/tmp/a 127.0.0.1:8080 postgresql://user:pw@host/x /tmpx\n"
    assert (tmp_path / "tmp" / "a").exists()


@pytest.mark.parametrize(
    "address",
    ["zookeeper://host1:2181,host2:2181/countermand", "redis://host:6379/0", "etcd://host:2379/countermand"],
)
def test_a_server_that_a_page_names_is_there(follow: Follow, address: str) -> None:
    settings = (
        f"export COUNTERMAND_JOBBOARD_URL={address} COUNTERMAND_DATABASE_URL=postgresql://user:password@host/x"
    )
    *_, seen = follow(f"```sh\n{settings}\nposter doctor\n```\n")
    assert address in seen.text
