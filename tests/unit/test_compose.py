"""docker-compose.yml has the form that the documentation promises, and its servers are those the tests run on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from jobboard.settings import names
from tests.documents.given import titled
from tests.servers import PostgreSQL, ZooKeeper

ROOT = Path(__file__).parents[2]
TESTED = {"postgres": PostgreSQL, "zookeeper": ZooKeeper}
OUR_SETTINGS = {"COUNTERMAND_DATABASE_URL", "COUNTERMAND_JOBBOARD_URL"}


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def servers(compose) -> dict:
    return {name: service for name, service in compose["services"].items() if "build" not in service}


@pytest.fixture(scope="module")
def conductors(compose) -> dict:
    return {name: service for name, service in compose["services"].items() if name.startswith("conductor")}


@pytest.fixture(scope="module")
def poster(compose) -> dict:
    return compose["services"]["poster"]


def test_its_servers_are_those_of_the_tests(servers):
    images = {service["image"].partition(":")[0] for service in servers.values()}
    assert images == set(TESTED)


def test_every_server_has_a_fixed_version_and_says_when_it_is_healthy(servers):
    for service in servers.values():
        assert re.fullmatch(r"[a-z]+:\d+(\.\d+)?", service["image"])
        assert service["healthcheck"]["test"][0] == "CMD"


def test_zookeeper_answers_what_taskflow_asks(servers):
    assert servers["zookeeper"]["environment"]["ZOO_4LW_COMMANDS_WHITELIST"] == "*"


def test_two_conductors_run_from_our_own_image(conductors):
    assert len(conductors) >= 2
    for service in conductors.values():
        assert service["command"] == ["conductor", "run"]
        assert (ROOT / service["build"] / "Dockerfile").is_file()


def test_the_poster_serves_where_its_port_is_published(poster, conductors):
    assert poster["command"] == ["poster", "serve", "--host", "0.0.0.0"]
    assert poster["ports"] == ["127.0.0.1:8080:8080"]
    assert poster["environment"] == conductors["conductor-1"]["environment"]


def test_conductors_wait_until_all_servers_are_healthy(conductors, servers):
    for service in conductors.values():
        assert service["depends_on"] == {name: {"condition": "service_healthy"} for name in servers}


def test_conductors_share_the_folder_they_work_in(conductors):
    assert len({tuple(service["volumes"]) for service in conductors.values()}) == 1


def test_conductors_get_settings_that_exist_and_addresses_of_these_servers(conductors, servers):
    for service in conductors.values():
        assert set(service["environment"]) == OUR_SETTINGS
        addresses = [urlsplit(address) for address in service["environment"].values()]
        assert {address.scheme for address in addresses} == {kind.scheme for kind in TESTED.values()}
        assert {re.split("[@:]", address.netloc.rpartition("@")[2])[0] for address in addresses} == set(servers)


def test_nothing_is_reachable_from_another_machine(compose):
    for service in compose["services"].values():
        assert service.get("network_mode") is None
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_password_comes_from_the_environment(compose):
    default = r"\$\{POSTGRES_PASSWORD:-only-on-this-machine\}"
    services = compose["services"]
    assert re.fullmatch(default, services["postgresql"]["environment"]["POSTGRES_PASSWORD"])
    for service in services.values():
        address = service["environment"].get("COUNTERMAND_DATABASE_URL")
        assert address is None or re.search(f":{default}@", address)


def test_any_number_of_a_conductor_can_be_started(conductors):
    for service in conductors.values():
        assert not service.keys() & {"container_name", "ports", "hostname"}


def test_the_override_of_the_documents_fits(compose):
    override = yaml.safe_load(titled("docs/how-to/deploy.md", "docker-compose.override.yml"))["services"]
    assert set(override) == {name for name, service in compose["services"].items() if "build" in service}
    for name, service in override.items():
        assert service.keys() <= compose["services"][name].keys()
        [(setting, file)] = service["environment"].items()
        assert setting.removeprefix("COUNTERMAND_").lower() in names()
        [volume] = service["volumes"]
        assert file.startswith(volume.split(":")[1])


def test_every_named_volume_is_declared(compose):
    used = {volume.partition(":")[0] for service in compose["services"].values() for volume in service["volumes"]}
    assert used == set(compose["volumes"])


def test_the_image_does_not_run_as_root():
    instructions = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in instructions if line.startswith("USER ")] == ["USER countermand"]
