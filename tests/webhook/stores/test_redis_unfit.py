"""Servers and contents that the Redis store refuses, each with what to change."""

from __future__ import annotations

import pytest

from tests.redis_server import running
from tests.webhook.stores.documents import RELEASE, opened, report
from webhook.errors import StoreDown
from webhook.ports import Write
from webhook.stores.redis import SCHEMA_VERSION, RedisStore, key


def at(server, options=""):
    return RedisStore(server.url + options)


UNFIT = [
    pytest.param(("--appendonly", "no"), "", "forgets what was acknowledged when it crashes", id="keeps nothing"),
    pytest.param(
        ("--maxmemory-policy", "allkeys-lru"), "", "maxmemory-policy noeviction, it is allkeys-lru", id="evicts"
    ),
    pytest.param(("--maxmemory-policy", "allkeys-lru"), "?persistent=no", "throws keys away", id="evicts, never mind"),
    pytest.param(("--replicaof", "127.0.0.1 1"), "", "is a replica", id="replica"),
    pytest.param(("--requirepass", "p"), "", "(?i)auth", id="password missing"),
    pytest.param(("--databases", "1", "--appendonly", "yes"), "/3", "(?i)out of range", id="no such database"),
]


@pytest.mark.parametrize(("options", "asked", "says"), UNFIT)
def test_a_server_that_must_not_be_trusted_is_refused(options, asked, says):
    """Before anything is read or written, with what to change."""
    with running(*options, durable="appendonly" not in " ".join(options)) as server:
        store = at(server, asked)
        for call in (store.ping, store.releases, lambda: store.write(Write(report=report("r_1")))):
            with pytest.raises(StoreDown, match=says):
                call()
        store.close()


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        pytest.param(("--appendonly", "no"), "?persistent=no", id="losing all is accepted"),
        pytest.param(
            ("--maxmemory-policy", "volatile-lru"), "", id="evicts only what expires, and nothing of ours does"
        ),
    ],
)
def test_a_server_that_may_be_used_is_used(options, asked):
    """What is lost is the operator's to decide, what is thrown away is not."""
    with running(*options, durable="appendonly" not in " ".join(options)) as server:
        store = at(server, asked)
        store.write(Write(report=report("r_1")))
        assert store.report("r_1") is not None
        store.close()


def test_a_newer_layout_is_left_alone(redis_server, redis_store):
    """An older version beside a newer one writes nothing, and says why."""
    opened(redis_store)
    redis_server.client.set(key("schema"), SCHEMA_VERSION + 1)
    for call in (redis_store.ping, lambda: redis_store.write(Write(report=report("r_1")))):
        with pytest.raises(StoreDown, match="schema 2 is newer than 1"):
            call()
    assert redis_store.report("r_1") is None


@pytest.mark.parametrize(
    ("spoil", "call"),
    [
        pytest.param(lambda client: client.hset(key("attempt", *RELEASE, 1), "document", b"\0"),
                     lambda store: store.attempt(RELEASE, 1), id="document of an attempt"),
        pytest.param(lambda client: client.delete(key("attempt", *RELEASE, 1)),
                     lambda store: store.attempts("shop", "checkout"), id="an attempt that is listed only"),
        pytest.param(lambda client: client.delete(key("override", "o_1")),
                     lambda store: store.overrides("shop", "checkout"), id="a word that is listed only"),
        pytest.param(lambda client: client.set(key("looks", *RELEASE, 1), "x"),
                     lambda store: store.looks(RELEASE, 1), id="something else under our key"),
    ],
)  # fmt: skip
def test_damage_is_store_down(redis_server, redis_store, spoil, call):
    """What is damaged or missing is a fault of the store, not an empty answer."""
    opened(redis_store)
    redis_store.add_override({"id": "o_1", "namespace": "shop", "name": "checkout"})
    spoil(redis_server.client)
    with pytest.raises(StoreDown, match=r"damaged|WRONGTYPE"):
        call(redis_store)
