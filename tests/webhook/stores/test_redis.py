"""What the Redis store promises beyond the port: crashes, lost answers, full memory, slow networks, wrong servers."""

from __future__ import annotations

import itertools
import os
import threading
import time
from contextlib import ExitStack

import pytest

from tests.redis_server import deaf, running
from tests.tcp_proxy import proxied
from tests.webhook.stores.documents import RELEASE, attempt, look, opened, report
from tests.webhook.stores.test_sqlite import kill
from tests.webhook.stores.writers import PADDING, program
from webhook.errors import StoreDown
from webhook.ports import Write
from webhook.stores import redis as redis_store_module
from webhook.stores.redis import RedisStore, key

LONGEST_WAIT_S = 6.0
"""A call may take a second to connect, a second for the handshake and one for the answer, on a busy machine."""


@pytest.fixture
def own_redis():
    """A server that this test may kill: every write is in its file before the answer."""
    with running() as server:
        yield server


def at(server, options=""):
    return RedisStore(server.url + options)


@pytest.mark.parametrize("kills", [pytest.param(3, id="killed three times")])
def test_kill_9_of_a_writer_loses_no_acknowledged_report(redis_server, redis_store, kills):
    """Whatever was acknowledged before SIGKILL is there, and nothing is there by halves."""
    acknowledged = []
    for number in range(1, kills + 1):
        with program("endless", redis_server.url, number) as writer:
            lines = iter(writer.stdout.readline, "")
            seen = list(itertools.islice(lines, 3 + 2 * number))
            kill(writer)
            seen += list(lines)
        acknowledged += [line.strip() for line in seen if line.startswith("r_")]
    assert len(acknowledged) >= 2 * kills
    assert [name for name in acknowledged if redis_store.report(name) is None] == []
    for kept in redis_store.attempts("shop", "checkout"):
        number = kept["attempt"]
        reports = redis_store.reports(RELEASE, number, limit=10_000)
        assert kept["version"] - 1 == len(redis_store.looks(RELEASE, number)) == len(reports)
        assert kept.get("last") == (reports[0]["id"] if reports else None)


def test_kill_9_of_the_server_loses_no_acknowledged_report(own_redis):
    """With an append-only file a server that died comes back with all that was acknowledged, and is used again."""
    store = at(own_redis)
    opened(store)
    acknowledged, failed = [], []

    def write():
        for number in itertools.count():
            kept = attempt(version=number + 1)
            try:
                store.write(Write(attempt=kept, looks=[(number, look(number))], report=report(f"r_{number}")))
            except StoreDown as error:
                failed.append(str(error))
                return
            acknowledged.append(f"r_{number}")

    writer = threading.Thread(target=write)
    writer.start()
    while len(acknowledged) < 20:
        time.sleep(0.001)
    own_redis.kill()
    writer.join()
    assert failed[0].startswith(f"redis 127.0.0.1:{own_redis.port}: ")
    with pytest.raises(StoreDown):
        store.attempt(RELEASE, 1)
    own_redis.start()
    assert [name for name in acknowledged if store.report(name) is None] == []
    # The write whose answer the crash swallowed may be there too, but then whole.
    rows = len(store.looks(RELEASE, 1))
    assert store.attempt(RELEASE, 1)["version"] - 1 == rows == len(store.reports(RELEASE, limit=10_000))
    assert rows - len(acknowledged) in (0, 1)
    store.close()


def test_processes_lose_no_update(redis_server, redis_store):
    """Four processes that write the same attempt at once count to the exact sum."""
    with ExitStack() as stack:
        writers = [stack.enter_context(program("count", redis_server.url, 25)) for _ in range(4)]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.stdout.readline() for writer in writers] == ["done\n"] * 4
    kept = redis_store.attempt(RELEASE, 1)
    assert (kept["count"], kept["version"]) == (100, 100)
    assert len(redis_store.looks(RELEASE, 1)) == 100


def test_full_memory_is_store_down(own_redis):
    """The write that does not fit raises `StoreDown`; all before it is there, reading goes on, room makes it well."""
    store = at(own_redis)
    store.ping()
    own_redis.client.config_set("maxmemory", own_redis.client.info("memory")["used_memory"] + 1_500_000)
    acknowledged, said = written_until_down(store)
    assert said == (f"redis 127.0.0.1:{own_redis.port}: command not allowed when used memory > 'maxmemory'.")
    assert len(acknowledged) > 10
    assert [name for name in acknowledged if store.report(name) is None] == []
    assert store.attempt(RELEASE, 1)["version"] == len(acknowledged) == len(store.looks(RELEASE, 1))
    own_redis.client.config_set("maxmemory", 1)
    for call in (store.ping, lambda: store.write(Write(report=report("r_small")))):
        with pytest.raises(StoreDown, match="maxmemory"):
            call()
    store.forget_looks(RELEASE, 1)  # making room is always possible
    own_redis.client.config_set("maxmemory", 0)
    store.ping()
    store.write(Write(report=report("r_last")))
    store.close()


def written_until_down(store):
    """Write reports until one is refused; return those that were acknowledged, and what was said."""
    acknowledged = []
    while True:
        number = len(acknowledged)
        kept, body = attempt(version=number), report(f"r_{number}", padding=PADDING)
        try:
            store.write(Write(attempt=kept, looks=[(number, look(number))], report=body))
        except StoreDown as error:
            return acknowledged, str(error)
        acknowledged.append(body["id"])


def test_a_full_disk_is_store_down(own_redis):
    """A server that writes through ends when its disk is full; what it acknowledged is there when it has room."""
    store = at(own_redis)
    own_redis.files_may_hold(1_000_000)
    acknowledged, _ = written_until_down(store)
    assert len(acknowledged) > 10
    own_redis.process.wait(10)
    own_redis.start()
    assert [name for name in acknowledged if store.report(name) is None] == []
    rows = len(store.looks(RELEASE, 1))
    assert store.attempt(RELEASE, 1)["version"] == rows == len(store.reports(RELEASE, limit=10_000))
    store.close()


def test_a_full_disk_under_a_lazy_file_is_store_down():
    """A server that writes through once a second goes on, refuses writes, and lets everything be read."""
    with running("--appendonly", "yes", "--appendfsync", "everysec", durable=False) as server:
        store = at(server)
        server.files_may_hold(1_000_000)
        acknowledged, said = written_until_down(store)
        assert "MISCONF" in said
        assert [name for name in acknowledged if store.report(name) is None] == []
        store.close()


def test_a_server_that_does_not_answer_is_store_down_in_time(own_redis):
    """Every kind of call gives up after its second, and the server is used again when it wakes."""
    store = at(own_redis)
    opened(store)
    calls = [store.ping, store.releases, lambda: store.report("r_1"), lambda: store.write(Write(report=report("r_1")))]
    with own_redis.frozen():
        for call in calls:
            begun = time.monotonic()
            with pytest.raises(StoreDown, match=r"(?i)time"):
                call()
            assert time.monotonic() - begun < LONGEST_WAIT_S
    store.write(Write(report=report("r_2")))
    assert store.report("r_2") is not None
    store.close()


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("redis://127.0.0.1:{}", id="server"),
        pytest.param("redis+sentinel://127.0.0.1:{}/wb", id="Sentinel"),
    ],
)
def test_a_port_that_never_answers_is_store_down_in_time(place):
    """A firewall that swallows everything: construction does not wait, each call gives up."""
    with deaf() as port:
        store = RedisStore(place.format(port))
        begun = time.monotonic()
        with pytest.raises(StoreDown):
            store.ping()
        assert time.monotonic() - begun < LONGEST_WAIT_S
        store.close()


def test_nobody_there_is_store_down_and_nothing_is_opened_before():
    """A service starts although its Redis is not there yet, and says who did not answer."""
    with deaf() as port:
        pass
    store = RedisStore(f"redis://:secret@127.0.0.1:{port}")
    with pytest.raises(StoreDown, match=f"^redis 127.0.0.1:{port}: .*refused") as raised:
        store.ping()
    assert "secret" not in str(raised.value)
    store.close()


def test_a_slow_network_is_waited_for_to_a_point(redis_server):
    """Answers that are 0.2 s late are answers; later than a second there is no store."""
    with proxied(redis_server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
        proxy.delay = 0.2
        store.write(Write(report=report("r_1")))
        assert store.report("r_1") is not None
        proxy.delay = 1.5
        with pytest.raises(StoreDown, match=r"(?i)time"):
            store.report("r_1")
        proxy.delay = 0.0
        assert store.report("r_1") is not None
        store.close()


def test_a_server_that_has_just_started_over_is_used_at_once(own_redis):
    """Idle connections that a restart broke are replaced without a fault."""
    store = at(own_redis)
    store.write(Write(report=report("r_1")))
    own_redis.kill()
    own_redis.start()
    assert store.report("r_1") is not None
    store.close()


def test_pruned_reports_leave_nothing_behind(redis_server, redis_store, monkeypatch):
    """A backlog goes in portions, with its places in every list; what closes an attempt stays."""
    monkeypatch.setattr(redis_store_module, "PORTION", 2)
    redis_store.write(Write(report=report("r_promoted", phase="promoted")))
    before = set(redis_server.client.keys())
    for number in range(5):
        redis_store.write(Write(report=report(f"r_{number}", number=2)))
    later = 4e9
    assert [redis_store.prune(later, most=3), redis_store.prune(later), redis_store.prune(later)] == [3, 2, 0]
    assert set(redis_server.client.keys()) == before
    assert [found["id"] for found in redis_store.reports(RELEASE)] == ["r_promoted"]


def test_reading_while_reports_are_pruned_leaves_them_out(redis_server, redis_store):
    """A report that goes between its list and itself is not an error."""
    redis_store.write(Write(report=report("r_1")))
    redis_store.write(Write(report=report("r_2")))
    redis_server.client.delete(key("report", "r_1"))
    assert [found["id"] for found in redis_store.reports(RELEASE)] == ["r_2"]


def test_two_stores_share_everything(redis_server, redis_store):
    """Nothing is kept in memory: what one wrote the other reads."""
    other = at(redis_server)
    redis_store.write(Write(attempt=opened(redis_store), looks=[(0, look(0))], report=report("r_1")))
    redis_store.add_override({"id": "o_1", "namespace": "shop", "name": "checkout"})
    redis_store.write_gates({"cluster": "", "namespace": "shop", "name": "checkout", "version": 0})
    for read in (
        lambda store: store.attempt(RELEASE, 1),
        lambda store: store.looks(RELEASE, 1),
        lambda store: store.report("r_1"),
        lambda store: store.overrides("shop", "checkout"),
        lambda store: store.gates(("", "shop", "checkout")),
    ):
        assert read(other) == read(redis_store)
        assert read(other)
    other.close()


def test_other_databases_and_other_keys_are_left_alone(redis_server, redis_store):
    """All our keys begin with one prefix, in the database that was named."""
    redis_server.client.set("somebody", "else")
    opened(redis_store)
    names = redis_server.client.keys()
    assert {name.startswith(b"{weighbridge}:") for name in names if name != b"somebody"} == {True}
    second = at(redis_server, "/1")
    assert second.attempt(RELEASE, 1) is None
    second.close()


def test_a_child_process_opens_its_own_connection(redis_server, redis_store):
    """A fork after the first use neither shares nor closes the parent's connection."""
    opened(redis_store)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            redis_store.write(Write(report=report("r_child")))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    redis_store.write(Write(report=report("r_parent")))
    assert [r["id"] for r in redis_store.reports(RELEASE)] == ["r_parent", "r_child"]
