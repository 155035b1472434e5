"""What a board's server is asked, for tests that count it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jobboard.boards.etcd import EtcdBoard
from jobboard.boards.redis import RedisBoard
from jobboard.boards.zookeeper import ZookeeperBoard


@dataclass
class BoardRequests:
    """Of one board that is connected, by this thread, from now on."""

    board: Any
    _asked: Counter[str] = field(default_factory=Counter)
    _mine: set[str] = field(default_factory=set)  # postings that this thread has read
    _theirs: set[str] = field(default_factory=set)  # and the board's watch
    _late: set[str] = field(default_factory=set)  # counted, and the watch may read them still, once
    _thread: int = field(default_factory=threading.get_ident)

    def __post_init__(self) -> None:
        name, note = {
            ZookeeperBoard: ("_call", self._of_zookeeper),
            RedisBoard: ("execute_command", self._of_redis),
            EtcdBoard: ("post", self._of_etcd),
        }[type(self.board)]
        client = self.board._client
        original = getattr(client, name)

        def call(*args: Any, **named: Any) -> Any:
            answer = original(*args, **named)
            note(args[0])
            return answer

        setattr(client, name, call)

    def take(self) -> Counter[str]:
        """Those since the last time, by their kind."""
        asked = self._asked + Counter({"postings read": len(self._mine | self._theirs)})
        self._late |= self._mine - self._theirs
        for counted in (self._asked, self._mine, self._theirs):
            counted.clear()
        return asked

    def _of_zookeeper(self, request: Any) -> None:
        kind = type(request).__name__
        if kind != "GetData":
            self._note(kind)
        elif self._is_mine():
            self._mine.add(request.path)
        elif request.path in self._late:
            self._late.remove(request.path)
        else:
            self._theirs.add(request.path)

    def _of_redis(self, command: str) -> None:
        if command != "SCRIPT LOAD":  # once in a server's life; the call before it failed, and does not come here
            self._note(command)

    def _of_etcd(self, url: str) -> None:
        self._note(url.rpartition("/")[2])

    def _note(self, kind: str) -> None:
        if self._is_mine():
            self._asked[kind] += 1

    def _is_mine(self) -> bool:
        return threading.get_ident() == self._thread
