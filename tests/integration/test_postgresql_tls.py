"""A PostgreSQL that takes connections by TLS only, whose certificate is checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobboard.database import open_database
from jobboard.errors import Unreachable
from jobboard.states import State
from tests.contract.tls import make_certificate
from tests.integration.house import HoldOnce, House, settings_for
from tests.servers import PostgreSQL
from tests.servers.required import require


class Guarded(PostgreSQL):
    """Has a certificate for 127.0.0.1, and refuses who comes without TLS."""

    authority: str

    def prepare(self) -> None:
        made = self.folder / "made"
        made.mkdir()
        self.authority, _key = make_certificate(made, "IP:127.0.0.1")
        super().prepare()
        account = self.account()
        for name in ("certificate.pem", "key.pem"):
            copied = shutil.copy(made / name, self.folder / "data" / name)
            copied.chmod(0o600)
            if account:
                os.chown(copied, account["user"], account["group"])
        only_tls = "hostssl all all 127.0.0.1/32 trust\n"
        (self.folder / "data" / "pg_hba.conf").write_text(only_tls)

    def settings(self) -> dict[str, str]:
        return super().settings() | {"ssl": "on", "ssl_cert_file": "certificate.pem", "ssl_key_file": "key.pem"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    require(PostgreSQL)
    with Guarded() as server:
        yield server


def address(server: Guarded, **options: str) -> str:
    said = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{server.url}?{said}"


def test_a_job_is_cancelled_and_retried(guarded):
    url = address(guarded, sslmode="verify-full", sslrootcert=guarded.authority)
    once = HoldOnce()
    with closing(open_database(url)) as database:
        house = House(database, settings_for(url))
        house.flow(lambda: [house.step("a", once)])
        with house.running():
            job = house.post()
            once.arrived()
            house.records.cancel(job, by="ann")
            house.comes_to(job, State.CANCELLED)
            house.records.retry(job, by="ann")
            house.comes_to(job, State.COMPLETED)
            with database.read() as connection:
                clients = "pg_stat_activity join pg_stat_ssl using (pid) where client_addr is not null"
                encrypted = connection.exec_driver_sql(f"select ssl from {clients}").scalars().all()
    assert len(encrypted) > 2  # of the signals, too
    assert all(encrypted)


@pytest.mark.parametrize(
    "options",
    [
        {"sslmode": "disable"},
        {"sslmode": "verify-full"},  # by the authorities of whoever runs this, of which none has signed it
        {"sslmode": "verify-ca", "sslrootcert": "another"},
    ],
    ids=["without", "an unknown certificate", "another authority"],
)
def test_who_is_not_sure_of_the_server_does_not_connect(guarded, options, tmp_path: Path):
    if options.get("sslrootcert"):
        options = options | {"sslrootcert": make_certificate(tmp_path, "IP:127.0.0.1")[0]}
    with pytest.raises(Unreachable, match=r"database postgresql\+psycopg2://.*(SSL|certificate|hba)"):
        open_database(address(guarded, **options))


def test_a_name_that_is_not_in_the_certificate_is_refused(guarded):
    options = f"sslmode=verify-full&sslrootcert={guarded.authority}"
    url = f"postgresql+psycopg2://postgres@localhost:{guarded.port}/postgres?{options}"
    with pytest.raises(Unreachable, match="localhost"):
        open_database(url)
