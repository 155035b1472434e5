"""Where a chaos run takes place: servers behind proxies, a database, conductors, and what of it can break."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from jobboard.conductors import list_conductors
from jobboard.database import Database, open_database
from jobboard.settings import Settings, read_settings
from tests.chaos.berth import Berth
from tests.chaos.faults import Crash, Cut, Fault, Freeze, Hang, HoldLock, Kill, Network, Restart, Terminate
from tests.chaos.proxy import HALF_OPEN, Behaviour, DropReplies, Proxy
from tests.rules.effects import Effects
from tests.servers import Etcd, PostgreSQL, Redis, ServerProcess, ZooKeeper
from tests.servers.ports import LOOPBACK
from tests.servers.required import require
from tests.waiting import until

FLOWS: Final = Path(__file__).with_name("chaos_flows.py")
LEASE_S: Final = 2.0
_BOARDS: Final[dict[str, type[ServerProcess]]] = {"zookeeper": ZooKeeper, "redis": Redis, "etcd": Etcd}
_NAMES: Final = ("one", "two", "three")
_MOST_CLAIMS: Final = 1000  # no job is given up for what is done to its conductors here

_SHORT: Final = (0.0, 0.5)
_A_WHILE: Final = (0.5, 2 * LEASE_S)
_PAST_THE_LEASE: Final = (1.2 * LEASE_S, 2.5 * LEASE_S)


class Site:
    """`with Site("postgresql+zookeeper", folder) as site`: all of it is there, and goes with the block."""

    database_url: str  # straight to the server

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend = backend
        self.folder = folder
        self.effects = Effects(folder)
        self.berths: list[Berth] = []
        self.faults: list[Fault] = []
        self._kept = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as kept:
            database, board = self.backend.split("+")
            url = self._open_database(kept, database)
            self.settings = self._settings(url, self._open_board(kept, board))
            kept.callback(self._end_conductors)
            for name in _NAMES:
                self._add_conductor(name)
            self._await_conductors()
            self._kept = kept.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._kept.close()

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """The database, without a proxy between."""
        with contextlib.closing(open_database(self.database_url)) as database:
            yield database

    def _open_database(self, kept: contextlib.ExitStack, kind: str) -> str:
        """The address for conductors and posters."""
        if kind == "sqlite":
            file = self.folder / "countermand.db"
            self.database_url = f"sqlite:///{file}"
            self.faults.append(HoldLock("database", _A_WHILE, file))
            url = self.database_url
        else:
            server = self._serve(kept, PostgreSQL)
            self.database_url = server.create_database()
            proxy = self._stand_between(kept, server, "database", [b"COMMIT", b""])
            url = self.database_url.replace(f":{server.port}/", f":{proxy.port}/")
        open_database(self.database_url).close()
        return url

    def _open_board(self, kept: contextlib.ExitStack, kind: str) -> str:
        if kind == "sql":
            return "sql"
        proxy = self._stand_between(kept, self._serve(kept, _BOARDS[kind]), "board", [b""])
        return f"{kind}://{LOOPBACK}:{proxy.port}"

    def _serve(self, kept: contextlib.ExitStack, kind: type[ServerProcess]) -> ServerProcess:
        require(kind)
        return kept.enter_context(kind())

    def _stand_between(
        self, kept: contextlib.ExitStack, server: ServerProcess, name: str, lost: Sequence[bytes]
    ) -> Proxy:
        proxy = kept.enter_context(Proxy(server.port))
        self.faults += [
            Restart(name, _SHORT, server),
            Crash(name, _A_WHILE, server),
            Hang(name, _A_WHILE, server),
        ]
        way = f"way to the {name}"
        self.faults += [
            Cut(way, _SHORT, proxy),
            Network(way, _A_WHILE, proxy, HALF_OPEN),
            Network(way, _A_WHILE, proxy, Behaviour(delay_s=0.1)),
            *(Network(way, _A_WHILE, proxy, DropReplies(holding=some)) for some in lost),
        ]
        return proxy

    def _settings(self, database_url: str, jobboard_url: str) -> Settings:
        environment = {
            "COUNTERMAND_HOME": str(self.folder),
            "COUNTERMAND_DATABASE_URL": database_url,
            "COUNTERMAND_JOBBOARD_URL": jobboard_url,
            "COUNTERMAND_FLOWS": str(FLOWS),
            "COUNTERMAND_LEASE": str(LEASE_S),
            "COUNTERMAND_MAX_CLAIMS": str(_MOST_CLAIMS),
        }
        self._environment = os.environ | environment
        return read_settings(environment)

    def _add_conductor(self, name: str) -> None:
        berth = Berth(name, self.folder, self._environment)
        self.berths.append(berth)
        target = f"conductor {name}"
        self.faults += [
            Kill(target, _SHORT, berth),
            Terminate(target, _A_WHILE, berth),
            Freeze(target, _PAST_THE_LEASE, berth),
        ]

    def _await_conductors(self) -> None:
        with self.database() as database:
            until(lambda: len(list_conductors(database)) == len(_NAMES), 60, "the conductors to come")

    def _end_conductors(self) -> None:
        for berth in self.berths:
            for conductor in berth.conductors:
                conductor.kill()
