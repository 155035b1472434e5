"""The addresses of a Redis and an etcd: what they may hold, and that a secret is shown nowhere."""

from __future__ import annotations

import pytest

from jobboard.boards.etcd_options import EtcdOptions, parse_etcd_url
from jobboard.boards.redis_options import RedisOptions, parse_redis_url
from jobboard.boards.zookeeper_options import parse_zookeeper_url
from jobboard.errors import SettingError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://one", RedisOptions("one")),
        ("redis://one/", RedisOptions("one")),
        ("redis://one:1/3", RedisOptions("one", 1, 3)),
        ("redis://[::1]:5", RedisOptions("[::1]", 5)),
        ("redis://:s%40c%3Ar@one", RedisOptions("one", password="s@c:r")),
        ("redis://me:secret@one", RedisOptions("one", username="me", password="secret")),
        ("redis://one?namespace=a:b.c-d", RedisOptions("one", namespace="a:b.c-d")),
        ("rediss://one", RedisOptions("one", use_ssl=True)),
        ("rediss://one?ca=/a%20b.pem", RedisOptions("one", use_ssl=True, ca="/a b.pem")),
        (
            "rediss://one?certfile=c&keyfile=k&keyfile_password=p&verify_certs=no",
            RedisOptions("one", use_ssl=True, certfile="c", keyfile="k", keyfile_password="p", verify_certs=False),
        ),
    ],
)
def test_the_address_of_a_redis_is_understood(url: str, expected: RedisOptions):
    assert parse_redis_url(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("etcd://one", EtcdOptions("one")),
        ("etcd://one:1/a/b/", EtcdOptions("one", 1, "/a/b")),
        ("etcd://[::1]", EtcdOptions("[::1]")),
        ("etcd://one?use_ssl=true", EtcdOptions("one", use_ssl=True)),
        ("etcd://one?ca=/ca.pem", EtcdOptions("one", use_ssl=True, ca="/ca.pem")),
        (
            "etcd://one?certfile=c&keyfile=k&verify_certs=no",
            EtcdOptions("one", use_ssl=True, certfile="c", keyfile="k", verify_certs=False),
        ),
    ],
)
def test_the_address_of_an_etcd_is_understood(url: str, expected: EtcdOptions):
    assert parse_etcd_url(url) == expected


def test_the_lease_is_given_beside_it():
    assert parse_redis_url("redis://one", lease_s=3).lease_s == 3
    assert parse_etcd_url("etcd://one", lease_s=3).lease_s == 3


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("etcd://one", "redis://"),
        ("redis://", "is no host"),
        ("redis:///0", "is no host"),
        ("redis://one,two", "is no host"),
        ("redis://one:0", "is no host"),
        ("redis://one:99999", "is no host"),
        ("redis://[::1", "is no address"),
        ("redis://one/x", "is no database"),
        ("redis://one/-1", "is no database"),
        ("redis://one/1/2", "is no database"),
        ("redis://one?tls=true", "unknown option tls"),
        ("redis://one?ca=x", "rediss://"),
        ("redis://one?namespace=a%20b", "use letters"),
        ("rediss://one?verify_certs=perhaps", "use true or false"),
        ("rediss://one?certfile=x", "go together"),
        ("redis://me@one", "needs a password"),
        ("redis://:a/b@one", "percent-encode"),
    ],
)
def test_an_address_of_a_redis_that_cannot_be_used_is_refused(url: str, said: str):
    with pytest.raises(SettingError, match=said):
        parse_redis_url(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://one", "etcd://"),
        ("etcd://", "is no host"),
        ("etcd://one:1,two:2", "is no host"),
        ("etcd://one//two", "is no path"),
        ("etcd://one?keyfile_password=x", "unknown option keyfile_password"),
        ("etcd://one?use_ssl=perhaps", "use true or false"),
        ("etcd://one?keyfile=x", "go together"),
        ("etcd://me:s3cret@one", "not supported: use certfile"),
    ],
)
def test_an_address_of_an_etcd_that_cannot_be_used_is_refused(url: str, said: str):
    with pytest.raises(SettingError, match=said):
        parse_etcd_url(url)


def test_secrets_are_not_shown():
    options = parse_redis_url("rediss://me:s3cret@one/2?certfile=c&keyfile=k&keyfile_password=s3cret")
    assert "s3cret" not in repr(options)
    assert options.address == "rediss://one:6379/2"


@pytest.mark.parametrize(
    ("parse", "url"),
    [
        (parse_redis_url, "redis://me:s3cret@:1"),
        (parse_redis_url, "redis://me:s3cret@one?a=b"),
        (parse_redis_url, "redis://me:s3cret@one/x"),
        (parse_redis_url, "redis://:s3cret/x@one"),
        (parse_redis_url, "redis://:s3cret?x@one"),
        (parse_redis_url, "redis://:s3cret#x@one"),
        (parse_redis_url, "redis://:x[s3cret@one"),
        (parse_redis_url, "rabbit://me:s3cret@one"),
        (parse_etcd_url, "etcd://me:s3cret@one"),
        (parse_zookeeper_url, "zookeeper://me:s3cret/x@one"),
        (parse_zookeeper_url, "zookeeper://me:x[s3cret@one"),
    ],
)
def test_errors_do_not_tell_the_secret(parse, url: str):
    with pytest.raises(SettingError) as error:
        parse(url)
    assert "s3cret" not in str(error.value)
