"""A ZooKeeper's address: what it may hold, and that its secret is shown nowhere."""

from __future__ import annotations

import pytest

from jobboard.boards.zookeeper_options import ZookeeperOptions, parse_zookeeper_url
from jobboard.errors import SettingError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("zookeeper://one", ZookeeperOptions("one:2181")),
        ("zookeeper://one/", ZookeeperOptions("one:2181")),
        ("zookeeper://one:1,two:2,three", ZookeeperOptions("one:1,two:2,three:2181")),
        ("zookeeper://[::1]:5/a/b", ZookeeperOptions("[::1]:5", "/a/b")),
        ("zookeeper://me:s%40c%3Ar@one", ZookeeperOptions("one:2181", username="me", password="s@c:r")),
        ("zookeeper://one?use_ssl=true", ZookeeperOptions("one:2181", use_ssl=True)),
        ("zookeeper://one?ca=/a%20b.pem", ZookeeperOptions("one:2181", use_ssl=True, ca="/a b.pem")),
        (
            "zookeeper://one?certfile=c&keyfile=k&keyfile_password=p&verify_certs=no",
            ZookeeperOptions(
                "one:2181", use_ssl=True, certfile="c", keyfile="k", keyfile_password="p", verify_certs=False
            ),
        ),
        ("zookeeper://one?use_ssl=0&ca=x", ZookeeperOptions("one:2181", ca="x")),
    ],
)
def test_an_address_is_understood(url: str, expected: ZookeeperOptions):
    assert parse_zookeeper_url(url) == expected


def test_the_lease_is_given_beside_it():
    assert parse_zookeeper_url("zookeeper://one", timeout_s=3).timeout_s == 3


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://one", "zookeeper://"),
        ("zookeeper://", "is no host"),
        ("zookeeper:///path", "is no host"),
        ("zookeeper://one,,two", "is no host"),
        ("zookeeper://one:0", "is no host"),
        ("zookeeper://one:99999", "is no host"),
        ("zookeeper://one:port", "is no host"),
        ("zookeeper://one//two", "is no path"),
        ("zookeeper://one/../two", "is no path"),
        ("zookeeper://one?tls=true", "unknown option tls"),
        ("zookeeper://one?use_ssl=perhaps", "use true or false"),
        ("zookeeper://one?certfile=x", "go together"),
        ("zookeeper://me@one", "needs a password"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, said: str):
    with pytest.raises(SettingError, match=said):
        parse_zookeeper_url(url)


def test_secrets_are_not_shown():
    options = parse_zookeeper_url(
        "zookeeper://me:s3cret@one/path?ca=a&certfile=c&keyfile=k&keyfile_password=s3cret"
    )
    assert "s3cret" not in repr(options)
    assert options.address == "zookeeper://one:2181/path"


@pytest.mark.parametrize(
    "url", ["zookeeper://me:s3cret@:1", "zookeeper://me:s3cret@one?a=b", "zk://me:s3cret@one"]
)
def test_errors_do_not_tell_the_secret(url: str):
    with pytest.raises(SettingError) as error:
        parse_zookeeper_url(url)
    assert "s3cret" not in str(error.value)
