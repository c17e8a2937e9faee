"""The URL of a Redis store: what it names, and what is refused."""

from __future__ import annotations

import pytest

from webhook.redis_url import RedisAddress, is_redis, read_redis_url, without_secrets


def at(*hosts, **rest):
    return RedisAddress(hosts=hosts, **rest)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        pytest.param("redis://cache", at(("cache", 6379)), id="a host"),
        pytest.param("redis://cache:7000/3", at(("cache", 7000), db=3), id="port and database"),
        pytest.param("redis://[::1]:7000/", at(("::1", 7000)), id="IPv6"),
        pytest.param("redis://:p%40ss%2F%3A@cache", at(("cache", 6379), password="p@ss/:"), id="password alone"),
        pytest.param("redis://wb:a:b@cache", at(("cache", 6379), username="wb", password="a:b"), id="user, password"),
        pytest.param(
            "redis://wb@cache?password_file=/run/p",
            at(("cache", 6379), username="wb", password_file="/run/p"),
            id="password in a file",
        ),
        pytest.param("rediss://cache?ca_file=/ca.pem", at(("cache", 6379), tls=True, ca_file="/ca.pem"), id="TLS"),
        pytest.param(
            "redis://cache?replicas=2&persistent=no", at(("cache", 6379), replicas=2, persistent=False), id="options"
        ),
        pytest.param("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock"), id="socket"),
        pytest.param(
            "unix://:pw@/run/a%20b.sock?db=2",
            RedisAddress(path="/run/a b.sock", password="pw", db=2),
            id="socket with password and database",
        ),
        pytest.param(
            "redis+sentinel://a,b:7,c/main",
            at(("a", 26379), ("b", 7), ("c", 26379), service="main", replicas=1),
            id="Sentinels: one replica confirms unless it is said",
        ),
        pytest.param(
            "rediss+sentinel://wb:p@a/main/4?replicas=0&sentinel_password=q",
            at(("a", 26379), service="main", db=4, tls=True, username="wb", password="p", sentinel_password="q"),
            id="Sentinel with everything",
        ),
    ],
)
def test_a_url_names_a_store(url, address):
    """Hosts, ports, database, credentials and options are read as they stand, escapes decoded."""
    assert is_redis(url)
    assert read_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("http://cache", "must begin with one of redis://", id="another scheme"),
        pytest.param("redis://", "HOST or HOST:PORT", id="no host"),
        pytest.param("redis://cache:0", "HOST or HOST:PORT", id="port 0"),
        pytest.param("redis://cache:70000", "HOST or HOST:PORT", id="no such port"),
        pytest.param("redis://a,b", "one host; several are Sentinels", id="two hosts"),
        pytest.param("redis://cache/shop", "whole number from 0 to 1000000 for db", id="a name for the database"),
        pytest.param("redis://cache/1/2", "end after the number of the database", id="more path"),
        pytest.param("redis://cache?db=1", "in its path", id="database as an option"),
        pytest.param("redis://cache?replica=1", "no option 'replica'; known are replicas", id="unknown option"),
        pytest.param("redis://cache?replicas=1&replicas=2", "must hold replicas once", id="an option twice"),
        pytest.param("redis://cache?replicas=-1", "from 0 to 9 for replicas", id="negative"),
        pytest.param("redis://cache?persistent=maybe", "yes or no for persistent", id="neither yes nor no"),
        pytest.param("redis://:p@cache?password_file=/p", "not both", id="two passwords"),
        pytest.param("rediss://cache?cert_file=/c", "cert_file and key_file together", id="half a certificate"),
        pytest.param("redis+sentinel://a,b", "must name the service", id="Sentinel of nothing"),
        pytest.param("unix://run/redis.sock", "absolute path", id="relative path"),
    ],
)
def test_a_wrong_url_says_the_rule(url, says):
    """Whoever set it can mend it from the message alone."""
    with pytest.raises(ValueError, match=says):
        read_redis_url(url)


@pytest.mark.parametrize("store", ["memory:", "sqlite:/a://b", "sqlite:redis://x", "redis:"])
def test_other_stores_are_no_redis(store):
    """A path may look like a URL."""
    assert not is_redis(store)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://wb:pw@cache:1/3?password_file=x", "redis://cache:1/3?…"),
        ("unix://:p@w@/run/r.sock", "unix:///run/r.sock"),
        ("sqlite:/var/lib/wb.db", "sqlite:/var/lib/wb.db"),
    ],
    ids=["server", "socket, @ in the password", "a file"],
)
def test_credentials_are_not_shown(url, shown):
    """What stands before the host and behind the question mark may be secret."""
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@cache:1/3", "cache:1"),
        ("unix://:pw@/run/r", "/run/r"),
        ("redis+sentinel://a,b/m", "m of a:26379,b:26379"),
    ],
    ids=["server", "socket", "Sentinel"],
)
def test_an_address_says_where_it_is(url, shown):
    """A person finds the server by what a fault says, and no password in it."""
    address = read_redis_url(url)
    assert address.shown == shown
    assert "pw" not in repr(address)
