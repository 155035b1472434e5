"""A throw-away nginx with one site."""

from __future__ import annotations

import shutil

from tests.servers.ports import ask
from tests.servers.process import ServerProcess

_CONFIGURATION = """\
daemon off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    {site}
}}
"""
_SBIN = "/usr/sbin/nginx"  # of Debian, on whose PATH that is not for everyone


class Nginx(ServerProcess):
    """`site` is its `server { … }`, which listens with TLS on `port`. To be set before it is started."""

    name = "nginx"
    package = "nginx"
    scheme = "https"
    site: str

    @classmethod
    def installed(cls) -> bool:
        return cls._program() is not None

    @classmethod
    def _program(cls) -> str | None:
        return shutil.which("nginx") or shutil.which(_SBIN)

    def prepare(self) -> None:
        (self.folder / "nginx.conf").write_text(_CONFIGURATION.format(site=self.site))

    def command(self) -> list[str]:
        program = self._program()
        assert program, self.missing()
        return [program, "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr"]

    def answers(self, timeout_s: float = 1.0) -> bool:
        # Who does not speak TLS is told so.
        return ask(self.port, b"GET / HTTP/1.0\r\n\r\n", timeout_s).startswith(b"HTTP/1.1 400")
