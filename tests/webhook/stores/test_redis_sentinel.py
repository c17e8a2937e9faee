"""A Redis that fails over under Sentinel: holds for a moment, and nothing that was acknowledged is lost."""

from __future__ import annotations

import threading
import time

import pytest

from tests.redis_server import wait_until, watched
from tests.webhook.stores.documents import RELEASE, attempt, look, report
from webhook.errors import StoreDown
from webhook.ports import Write
from webhook.stores.redis import RedisStore


@pytest.fixture
def sentinel():
    """A master, two replicas, three Sentinels; this test may break them."""
    with watched() as everything:
        yield everything


def write(store, number):
    """Write one look and one report, whole; an attempt's version is the number of its looks."""
    store.write(Write(attempt=attempt(version=number), looks=[(number, look(number))], report=report(f"r_{number}")))


def written(store, number):
    """Write as verdicts do: whoever hears `StoreDown`, on a busy machine or in a failover, reads and tries again."""

    def acknowledged():
        try:
            kept = store.attempt(RELEASE, 1)
            if kept is not None and kept["version"] > number:
                store.ping()  # it is there, and now it is confirmed as well
            else:
                write(store, number)
        except StoreDown:
            return False
        return True

    wait_until(acknowledged, f"write {number} is acknowledged")


def whole(store):
    """Return the version of the attempt, after a look at whether its parts belong together."""
    kept = store.attempt(RELEASE, 1)
    names = [found["id"] for found in store.reports(RELEASE, limit=10_000)]
    assert kept["version"] == len(store.looks(RELEASE, 1)) == len(names)
    assert names == [f"r_{number}" for number in reversed(range(kept["version"]))]
    return kept["version"]


def test_a_killed_master_takes_nothing_acknowledged_with_it(sentinel):
    """A writer hears `StoreDown` until Sentinel has named another master, and goes on there with all it was told."""
    store = RedisStore(sentinel.url)
    acknowledged, faults = 0, []
    ended = threading.Event()

    def keep_writing():
        nonlocal acknowledged
        while not ended.is_set():
            try:
                # What a verdict does: read where it stands, then write. A write that was not acknowledged may be there.
                kept = store.attempt(RELEASE, 1)
                write(store, kept["version"] if kept else 0)
                acknowledged = (kept["version"] if kept else 0) + 1
            except StoreDown as error:
                faults.append(str(error))
                time.sleep(0.02)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        wait_until(lambda: acknowledged >= 30, "thirty writes")
        sentinel.master.kill()
        before = acknowledged
        promoted = sentinel.new_master()
        wait_until(lambda: acknowledged >= before + 30, "writes to the new master")
    finally:
        ended.set()
        writer.join()
    assert faults
    assert faults[0].startswith("redis wb of 127.0.0.1:")
    assert whole(store) >= acknowledged
    assert promoted.client.info("replication")["role"] == "master"
    store.close()


def test_a_master_that_comes_back_is_not_asked(sentinel):
    """The old master, up again as it was, knows less than the new one: the store stays with the new one."""
    store = RedisStore(sentinel.url)
    written(store, 0)
    sentinel.master.kill()
    sentinel.new_master()
    written(store, 1)
    sentinel.master.start()
    written(store, 2)
    assert whole(store) == 3
    wait_until(lambda: sentinel.master.client.info("replication")["role"] == "slave", "the old master follows")
    assert whole(RedisStore(sentinel.url)) == 3
    direct = RedisStore(f"{sentinel.master.url}?persistent=no")
    with pytest.raises(StoreDown, match="is a replica"):
        direct.attempt(RELEASE, 1)
    store.close()


def answers(store):
    try:
        store.ping()
    except StoreDown:
        return False
    return True


def test_a_planned_failover_is_followed(sentinel):
    """An open connection to a master that was told to follow is not used any more."""
    store = RedisStore(sentinel.url)
    for number in range(3):
        written(store, number)
    sentinel.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "wb")
    sentinel.new_master()
    written(store, 3)
    assert whole(store) == 4
    store.close()


def test_a_cut_off_master_acknowledges_nothing(sentinel):
    """Without replicas a write is not acknowledged, whatever the master itself believes; with them again it is."""
    store = RedisStore(sentinel.url)
    written(store, 0)
    few = pytest.raises(StoreDown, match="only 0 of 1 replicas confirmed within 700 ms")
    with sentinel.replicas[0].frozen(), sentinel.replicas[1].frozen(), few:
        write(store, 1)
    wait_until(lambda: answers(store), "replicas confirm again")
    assert whole(store) == 2
    written(store, 2)
    store.close()


def test_sentinels_are_asked_in_turn(sentinel):
    """Two of three may be gone or silent, and a call still ends in time."""
    sentinel.sentinels[0].kill()
    with sentinel.sentinels[1].frozen():
        store = RedisStore(sentinel.url)
        begun = time.monotonic()
        store.ping()
        assert time.monotonic() - begun < 6.0
        store.close()


def test_a_name_that_no_sentinel_knows_is_store_down(sentinel):
    """A typing error in the URL says which name nobody knows."""
    store = RedisStore(sentinel.url.replace("/wb", "/bw"))
    with pytest.raises(StoreDown, match=r"^redis bw of .*no Sentinel names a master"):
        store.ping()
    store.close()


def test_all_sentinels_gone_is_store_down_only_for_new_connections(sentinel):
    """Open connections go on: Sentinel is asked where the master is, not at each call."""
    store = RedisStore(sentinel.url)
    written(store, 0)
    for one in sentinel.sentinels:
        one.kill()
    written(store, 1)
    fresh = RedisStore(sentinel.url)
    with pytest.raises(StoreDown, match="no Sentinel names a master"):
        fresh.ping()
    assert whole(store) == 2
    store.close()
