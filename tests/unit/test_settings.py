"""Settings: where each comes from, and what those that cannot be used are told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobboard.errors import SettingError
from jobboard.settings import PREFIX, Settings, names, parse_duration, read_settings, shown_duration

GIVEN = {
    # name: text, value
    "home": ("/srv/jobs", Path("/srv/jobs")),
    "database_url": ("postgresql://db/jobs", "postgresql://db/jobs"),
    "jobboard_url": ("zookeeper://a:1,b:2/path", "zookeeper://a:1,b:2/path"),
    "flows": ("one, two.three ,,four.py,", ("one", "two.three", "four.py")),
    "lease": ("20s", 20.0),
    "timeout": ("5m", 300.0),
    "max_retries": ("0", 0),
    "retry_interval": ("1h30m", 5400.0),
    "max_claims": ("7", 7),
    "parallel": ("1", 1),
    "unresponsive_after": ("500ms", 0.5),
    "max_result_bytes": ("4096", 4096),
    "retention": ("720h", 2592000.0),
}


def test_every_setting_is_tried_here():
    assert list(GIVEN) == names()
    assert {field.name for field in dataclasses.fields(Settings)} == {*GIVEN, "origins"}


@pytest.mark.parametrize("name", GIVEN)
def test_from_the_environment(name):
    text, value = GIVEN[name]
    settings = read_settings({PREFIX + name.upper(): text})
    assert getattr(settings, name) == value
    assert settings.origins[name] == PREFIX + name.upper()
    assert [other for other, origin in settings.origins.items() if origin != "default"] == [name]


@pytest.mark.parametrize("name", GIVEN)
def test_a_flag_goes_before_the_environment(name):
    text, value = GIVEN[name]
    settings = read_settings({PREFIX + name.upper(): "what no setting takes: \0"}, **{name: text})
    assert getattr(settings, name) == value
    assert settings.origins[name] == f"--{name.replace('_', '-')}"


def test_a_flag_that_was_not_given_and_an_empty_variable_change_nothing():
    settings = read_settings({"COUNTERMAND_LEASE": ""}, lease=None, flows=None)
    assert settings.lease == 15.0
    assert settings.origins["lease"] == "default"


def test_the_defaults():
    settings = read_settings({})
    assert settings.database_url == f"sqlite:///{settings.home}/countermand.db"
    assert settings.home.name == "countermand"
    assert (settings.jobboard_url, settings.board_kind, settings.flows) == ("sql", "sql", ())
    assert (settings.lease, settings.timeout, settings.max_retries) == (15.0, None, 0)
    assert (settings.retry_interval, settings.max_claims, settings.parallel) == (60.0, 5, 16)
    assert set(settings.origins) == set(names())
    assert set(settings.origins.values()) == {"default"}


def test_the_default_database_is_in_the_home_folder():
    assert read_settings({}, home="/srv/x").database_url == "sqlite:////srv/x/countermand.db"
    assert read_settings({}, home="~/x").home == Path.home() / "x"
    assert read_settings({}, home="x").home == Path.cwd() / "x"


def test_the_environment_is_that_of_the_process(monkeypatch):
    monkeypatch.setenv("COUNTERMAND_MAX_RETRIES", "3")
    assert read_settings().max_retries == 3


@pytest.mark.parametrize(
    ("scheme", "kind"), [("zookeeper", "zookeeper"), ("redis", "redis"), ("rediss", "redis"), ("etcd", "etcd")]
)
def test_the_kind_of_a_board(scheme, kind):
    assert read_settings({}, jobboard_url=f"{scheme}://host:1/path").board_kind == kind


def test_an_address_that_is_refused_does_not_tell_its_password():
    for url in ("rabbitmq://me:s3cret@host", "http://host?keyfile_password=s3cret&x=1"):
        with pytest.raises(SettingError) as error:
            read_settings({}, jobboard_url=url)
        assert "s3cret" not in str(error.value)
        assert "host" in str(error.value)


DURATION = "wants a duration like 90, 30s, 5m or 1h30m"
BOARD = "wants sql, zookeeper://host:port/path, redis://host:port, rediss://host:port or etcd://host:port/path"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("lease", "soon", DURATION),
        ("lease", "0.5", "wants a second at least: a conductor must be able to renew it in time"),
        ("timeout", "-5s", "wants a duration that is not negative"),
        ("retry_interval", "1 week", DURATION),
        ("unresponsive_after", "nan", DURATION),
        ("max_retries", "-1", "wants a whole number from 0"),
        ("max_retries", "many", "wants a whole number from 0"),
        ("max_claims", "0", "wants a whole number from 1"),
        ("parallel", "1.5", "wants a whole number from 1"),
        ("max_result_bytes", "1e6", "wants a whole number from 1"),
        ("jobboard_url", "rabbitmq://x", BOARD),
        ("jobboard_url", "zookeeper", BOARD),
        ("jobboard_url", "sql:x", BOARD),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_wanted(name, text, wanted):
    with pytest.raises(SettingError) as by_variable:
        read_settings({PREFIX + name.upper(): text})
    assert str(by_variable.value) == f"{PREFIX}{name.upper()}={text}: {wanted}"
    with pytest.raises(SettingError) as by_flag:
        read_settings({}, **{name: text})
    assert str(by_flag.value) == f"--{name.replace('_', '-')}={text}: {wanted}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0", 0), ("1.5", 1.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), (".5", 0.5)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "s", "x", "5x", "-1", "-1m", "nan", "inf", "1e3", "5 minutes", "1,5"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="wants a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5400, "1h30m"), (90, "1m30s"), (0.5, "500ms"), (0, "0"), (1.5, "1.5s"), (86_400, "24h")]
)
def test_durations_as_people_write_them(seconds, text):
    assert shown_duration(seconds) == text


@given(st.integers(0, 10**10).map(lambda milliseconds: milliseconds / 1000))
def test_a_shown_duration_is_read_back(seconds):
    assert parse_duration(shown_duration(seconds)) == pytest.approx(seconds)
