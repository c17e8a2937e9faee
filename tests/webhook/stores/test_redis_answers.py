"""Answers of Redis that the network lost: a write is sent again once, and acknowledges only what is true."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.redis_server import running, wait_until
from tests.tcp_proxy import proxied
from tests.webhook.stores.documents import RELEASE, attempt, look, opened, report
from webhook.errors import StoreConflict, StoreDown
from webhook.ports import Write
from webhook.stores.redis import RedisStore

WRITES = {
    "an attempt": (
        lambda store: store.write(Write(attempt=attempt(), looks=[(0, look(0))], report=report("r_1"))),
        lambda store: (store.attempt(RELEASE, 1)["version"], len(store.looks(RELEASE, 1)), len(store.reports(RELEASE))),
        (1, 1, 1),
    ),
    "a report alone": (
        lambda store: store.write(Write(report=report("r_1"))),
        lambda store: len(store.reports(RELEASE)),
        1,
    ),
    "a word": (
        lambda store: store.add_override({"id": "o_1", "namespace": "shop", "name": "checkout"}),
        lambda store: len(store.overrides("shop", "checkout")),
        1,
    ),
    "gates": (
        lambda store: store.write_gates({"cluster": "", "namespace": "shop", "name": "checkout", "version": 0}),
        lambda store: store.gates(("", "shop", "checkout"))["version"],
        1,
    ),
}


@pytest.mark.parametrize("what", list(WRITES))
def test_a_write_whose_answer_was_lost_is_written_once(redis_server, what):
    """The connection breaks after the server has written: it is sent again, and knows itself."""
    write, kept, expected = WRITES[what]
    with proxied(redis_server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
        store.ping()
        proxy.cuts = 1
        write(store)
        assert proxy.cuts == 0
        assert kept(store) == expected
        store.close()


@pytest.fixture(scope="module")
def mirrored():
    """A server and its replica."""
    with running() as server, running("--replicaof", f"127.0.0.1 {server.port}") as replica:

        def online():
            return server.client.info("replication").get("slave0", {}).get("state") == "online"

        wait_until(online, "replication")
        yield server, replica


def answers(store):
    """Return whether a store answers: on a busy machine the first confirmation of a replica may come too late."""
    with suppress(StoreDown):
        store.ping()
        return True
    return False


@pytest.mark.parametrize("what", list(WRITES))
def test_a_lost_answer_acknowledges_nothing_that_replicas_lack(mirrored, what):
    """Sent again over a new connection, a write still waits for its replica, and that one is frozen."""
    server, replica = mirrored
    server.client.flushall()
    with proxied(server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}?replicas=1")
        wait_until(lambda: answers(store), "a replica that keeps up")
        with replica.frozen():
            proxy.cuts = 1
            with pytest.raises(StoreDown, match="only 0 of 1 replicas confirmed within 700 ms"):
                WRITES[what][0](store)
        store.close()


def test_a_lost_race_is_a_conflict_although_the_answer_was_lost(redis_server, redis_store):
    """Whoever lost the race and the answer hears the same as whoever lost the race."""
    opened(redis_store)
    with proxied(redis_server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
        store.ping()
        proxy.cuts = 1
        with pytest.raises(StoreConflict, match="version 1, not 0"):
            store.write(Write(attempt=attempt()))
        store.close()
