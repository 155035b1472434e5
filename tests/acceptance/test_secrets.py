"""No secret is anywhere but where it must be: canaries are given to real programs, and looked for everywhere."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from kazoo.client import KazooClient

from jobboard.states import AT_REST, State
from tests.acceptance.place import Place
from tests.integration.commands import PosterHere
from tests.servers import Redis, ServerProcess, ZooKeeper
from tests.servers.ports import ask
from tests.servers.required import require
from tests.waiting import until

FLOWS = Path(__file__).with_name("secret_flows.py")
ARGUMENTS = [("jobs", "arguments"), ("attempts", "arguments")]
"""Where a secret that a flow allows to be posted by its value is stored."""


class GuardedRedis(Redis):
    """Lets nobody in without a password."""

    def __init__(self) -> None:
        super().__init__()
        self.password = f"canary-{secrets.token_hex(8)}"

    def command(self) -> list[str]:
        return [*super().command(), "--requirepass", self.password]

    def answers(self, timeout_s: float = 1.0) -> bool:
        return ask(self.port, b"PING\r\nQUIT\r\n", timeout_s).startswith(b"-NOAUTH")


@dataclass
class Canaries:
    """One for each way to give a secret away, and where they were let loose."""

    place: Place
    server: ServerProcess | None  # the jobboard's
    by_env: str
    by_file: str
    by_value: str
    passwords: list[str]

    @property
    def log_format(self) -> str:
        """Of the conductor: each is used with some database and board."""
        return "json" if self.place.database_url.startswith("sqlite") else "text"

    @property
    def poster(self) -> PosterHere:
        """In this process: a start of its own for each of so many commands takes minutes."""
        poster = PosterHere(self.place.database_url)
        poster.environment |= self.place.environment
        return poster

    @property
    def never_stored(self) -> list[str]:
        return [self.by_env, self.by_file, *self.passwords]

    @property
    def all(self) -> list[str]:
        return [*self.never_stored, self.by_value]

    def assert_none_in(self, where: str, text: str | bytes) -> None:
        self.assert_not(self.all, where, text)

    @staticmethod
    def assert_not(which: list[str], where: str, text: str | bytes) -> None:
        held = text if isinstance(text, bytes) else text.encode(errors="replace")
        for canary in which:
            at = held.find(canary.encode())
            assert at < 0, f"a canary is in {where}: {held[max(0, at - 300) : at + 100]!r}"


def canary() -> str:
    return f"canary-{secrets.token_hex(8)}"


@pytest.fixture(params=["sqlite", "postgresql", "postgresql+zookeeper", "sqlite+redis"])
def canaries(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Canaries]:
    kind, _, board = request.param.partition("+")
    passwords: list[str] = []
    url = request.getfixturevalue(f"{kind}_url")
    if kind == "postgresql":
        passwords.append(canary())
        url = url.replace("postgres@", f"postgres:{passwords[-1]}@")
    if not board:
        yield from _let_loose(tmp_path, url, "sql", None, passwords)
        return
    server_kind = {"zookeeper": ZooKeeper, "redis": GuardedRedis}[board]
    require(server_kind)
    with server_kind() as server:
        passwords.append(server.password if isinstance(server, GuardedRedis) else canary())
        user = "me" if board == "zookeeper" else ""
        path = "/secret" if board == "zookeeper" else "/0"
        yield from _let_loose(
            tmp_path, url, f"{board}://{user}:{passwords[-1]}@{server.hosts}{path}", server, passwords
        )


def _let_loose(
    folder: Path, url: str, board: str, server: ServerProcess | None, passwords: list[str]
) -> Iterator[Canaries]:
    with closing(Place(folder, url, board)) as place:
        place.tells_errors = True
        place.environment["COUNTERMAND_FLOWS"] = str(FLOWS)
        yield Canaries(place, server, canary(), canary(), canary(), passwords)


def _run_everything(canaries: Canaries) -> dict[str, str]:
    """Jobs that complete, fail, cannot be made, are cancelled, and cannot be reverted: their ids."""
    place, poster = canaries.place, canaries.poster
    file = place.folder / "secret"
    file.write_text(f"{canaries.by_file}\n")
    environment = place.environment
    place.environment = {**environment, "CANARY": canaries.by_env}  # the conductor's alone
    place.start("one", "--log-level=debug", f"--log-format={canaries.log_format}")
    place.environment = environment
    began = place.folder / "began"
    ids = {}
    for fails_in in ENDS:
        words = [f"by_value={canaries.by_value}", f"fails_in={fails_in}", f"began={began}", "by_env=env:CANARY"]
        words += [f"by_file=file:{file}", "--max-retries=1", "--retry-interval=0"]
        posted = poster("post", "tell", *words)
        assert posted.code == 0, posted.err
        ids[fails_in] = posted.out.strip()
    until(began.exists, 60, "the job that is to be cancelled")
    assert place.poster("cancel", ids["cancel"]).code == 0
    ended = place.await_states([*ids.values()], *AT_REST, timeout_s=120)
    assert {fails_in: job.state for fails_in, job in zip(ids, ended, strict=True)} == ENDS
    changed = place.poster("retry", ids["execute"], "--set", f"by_value={canaries.by_value}", "--wait")
    assert changed.code == 1, changed.err
    place.conductors[0].process.terminate()
    place.conductors[0].ends_with(0)
    return ids


ENDS = {
    "nothing": State.COMPLETED,
    "child": State.FAILED,
    "execute": State.FAILED,
    "revert": State.REVERT_FAILED,
    "function": State.FAILED,
    "cancel": State.CANCELLED,
}
"""Where the task, or whatever it is, fails; and how the job then ends."""

WORDS = ["show", "history", "logs", "result", "graph"]
ABOUT_ALL = [["list"], ["doctor"], ["conductors"], ["stats"], ["flows"]]


@pytest.mark.timeout(240)
def test_no_canary_is_anywhere_but_where_it_must_be(canaries: Canaries):
    place = canaries.place
    ids = _run_everything(canaries)

    # What people are told is told, but for the secrets.
    poster = canaries.poster
    assert poster("result", ids["nothing"], "--json").json["told"]["got"] == ["********"] * 3
    assert "printed: ********" in poster("logs", ids["nothing"]).out
    assert "failed: ********" in poster("show", ids["execute"]).out
    assert "logged by a thread: ********" in place.conductors[0].log

    canaries.assert_none_in("the conductor's log", place.conductors[0].log)
    _listen_to_poster(canaries, [[word, job] for word in WORDS for job in ids.values()] + ABOUT_ALL)
    _look_into_database(canaries)
    _look_into_files(canaries)
    if isinstance(canaries.server, ZooKeeper):
        _look_into_zookeeper(canaries, canaries.server)
    if canaries.server is not None:
        # The server's own log of changes, and what it tells of its clients.
        for path in sorted(canaries.server.folder.rglob("*")):
            if path.is_file():
                canaries.assert_none_in(f"the board's {path.name}", path.read_bytes())


def _listen_to_poster(canaries: Canaries, commands: list[list[str]]) -> None:
    for words in commands:
        for form in ([], ["--json"]):
            said = canaries.poster(*words, *form)
            assert said.out + said.err, words
            canaries.assert_none_in(f"poster {' '.join([*words, *form])}", said.out + said.err)


def _look_into_database(canaries: Canaries) -> None:
    """Every column of every table, as text."""
    looked_at = 0
    with canaries.place.database() as database, database.read() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.tables.values():
            for column in table.columns:
                name = (table.name, column.name)
                allowed = name in ARGUMENTS
                texts = connection.execute(sa.select(sa.cast(column, sa.Text))).scalars()
                for text in texts:
                    looked_at += 1
                    canaries.assert_not(
                        canaries.never_stored if allowed else canaries.all, ".".join(name), text or ""
                    )
    assert looked_at > 1000


def _look_into_files(canaries: Canaries) -> None:
    """Everything in the folder of the test, which holds SQLite's files, but the secret's own."""
    for path in sorted(canaries.place.folder.rglob("*")):
        if path.is_file() and path.name != "secret":
            canaries.assert_not(canaries.never_stored, path.name, path.read_bytes())


def _look_into_zookeeper(canaries: Canaries, server: ZooKeeper) -> None:
    """All znodes, by a walk."""
    client = KazooClient(server.hosts, auth_data=[("digest", f"me:{canaries.passwords[-1]}")])
    client.start()
    try:
        seen = [*_walk(client, "/secret")]
    finally:
        client.stop()
        client.close()
    assert len(seen) > 1
    for path, data in seen:
        canaries.assert_none_in(path, path.encode() + (data or b""))


def _walk(client: KazooClient, path: str) -> Iterator[tuple[str, bytes]]:
    yield path, client.get(path)[0]
    for child in client.get_children(path):
        yield from _walk(client, f"{path}/{child}")


def test_what_is_not_allowed_is_refused_without_being_repeated(canaries: Canaries):
    place = canaries.place
    (place.folder / "refuses.py").write_text(
        "from pydantic import SecretStr\n"
        "from taskflow.patterns import linear_flow\n"
        "from flows import flow\n"
        "@flow('refuses')\n"
        "def refuses(token: SecretStr, count: int = 1):\n"
        "    return linear_flow.Flow('refuses')\n"
    )
    place.environment["COUNTERMAND_FLOWS"] = str(place.folder / "refuses.py")
    given = f'{{"flow": "refuses", "arguments": {{"token": "{canaries.by_value}"}}}}\n{canaries.by_env}\n'
    for poster, words, text in (
        (place.poster, ["post", "refuses", f"token={canaries.by_value}"], ""),
        (canaries.poster, ["post", "refuses", f"tokn={canaries.by_value}", "token=env:X"], ""),
        (canaries.poster, ["post", "--from", "-"], given),
    ):
        said = poster(*words, given=text)
        assert said.code == 2, said.out
        canaries.assert_none_in(" ".join(words), said.out + said.err)
    assert canaries.poster("list", "--json").json == []
