"""A throw-away ZooKeeper with short ticks, so that sessions can expire within a second."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.servers.ports import LOOPBACK, ask
from tests.servers.process import ServerProcess

_JARS = Path("/usr/share/java")
# Debian's manifest names the rest. Where the two loggers are not there, the server just logs nothing.
_DEBIAN_JARS = ("zookeeper.jar", "slf4j-log4j12.jar", "log4j-1.2.jar")
_BREW = (Path("/opt/homebrew/opt"), Path("/usr/local/opt"))

_LOGGING = """\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
"""


class ZooKeeper(ServerProcess):
    name = "ZooKeeper"
    package = "libzookeeper-java default-jre-headless"
    scheme = "zookeeper"

    @classmethod
    def installed(cls) -> bool:
        return bool(_jars()) and _java() is not None

    def prepare(self) -> None:
        settings = {
            "tickTime": "500",
            "minSessionTimeout": "1000",
            "maxSessionTimeout": "60000",
            "dataDir": self.folder / "data",
            "clientPort": self.port,
            "clientPortAddress": LOOPBACK,
            "admin.enableServer": "false",
            "maxClientCnxns": "0",
            # TaskFlow's board asks `envi` for the server's version.
            "4lw.commands.whitelist": "*",
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "zoo.cfg").write_text(text)
        (self.folder / "log4j.properties").write_text(_LOGGING)

    def command(self) -> list[str]:
        return [
            *(
                _java() or "java",
                "-Xmx128m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
            ),
            "-Dzookeeper.forceSync=no",
            *("-cp", ":".join([str(self.folder), *_jars()])),
            "org.apache.zookeeper.server.ZooKeeperServerMain",
            str(self.folder / "zoo.cfg"),
        ]

    def answers(self, timeout_s: float = 1.0) -> bool:
        # Not `ruok`: it is answered before requests are.
        return b"Mode:" in ask(self.port, b"srvr", timeout_s)


def _jars() -> list[str]:
    if (_JARS / _DEBIAN_JARS[0]).exists():
        return [str(_JARS / jar) for jar in _DEBIAN_JARS if (_JARS / jar).exists()]
    folders = (brew / "zookeeper/libexec/lib" for brew in _BREW)
    return [str(folder / "*") for folder in folders if any(folder.glob("zookeeper-*.jar"))]


def _java() -> str | None:
    # First: the `java` that macOS has on PATH only says that there is none.
    for brew in _BREW:
        if (brew / "openjdk/bin/java").exists():
            return str(brew / "openjdk/bin/java")
    return shutil.which("java")
