"""Redis gone, full, silent, read-only or without its replica in mid-release: holds with the reason, nothing lost."""

from __future__ import annotations

import json
import re
import signal
from contextlib import ExitStack

import pytest

from tests.controllers.argo import RolloutPhase
from tests.controllers.flagger import CanaryPhase
from tests.redis_server import running, wait_until
from tests.scenarios.drivers import begun, canary, rollout
from tests.scenarios.test_outages import GATES, decided
from tests.scenarios.world import T0, split
from webhook.stores.redis import RedisStore

NEW = "7d9b8c5f66"


class Gone:
    """The process dies, and comes back with its file."""

    says, options = "refused|closed|reset", ""

    def breaks(self, server, replica):
        server.kill()

    def mends(self, server, replica):
        server.start()


class Full:
    """Its memory is full, and nothing may be thrown away."""

    says, options = "maxmemory", ""

    def breaks(self, server, replica):
        server.client.config_set("maxmemory", 1)

    def mends(self, server, replica):
        server.client.config_set("maxmemory", 0)


class Silent:
    """It takes connections and answers nothing."""

    says, options = "(?i)time", ""

    def breaks(self, server, replica):
        server.signal(signal.SIGSTOP)

    def mends(self, server, replica):
        server.signal(signal.SIGCONT)


class ReadOnly:
    """It was made a replica: what it says may be old."""

    says, options = "(?i)read only replica|is a replica", ""

    def breaks(self, server, replica):
        server.client.execute_command("REPLICAOF", "127.0.0.1", "1")

    def mends(self, server, replica):
        server.client.execute_command("REPLICAOF", "NO", "ONE")


class Unconfirmed:
    """It writes, and the replica that should have it too says nothing."""

    says, options = "only 0 of 1 replicas confirmed", "?replicas=1"

    def breaks(self, server, replica):
        replica.signal(signal.SIGSTOP)

    def mends(self, server, replica):
        replica.signal(signal.SIGCONT)
        wait_until(lambda: server.client.wait(1, 100) == 1, "the replica follows again")


FAULTS = [Gone, Full, Silent, ReadOnly, Unconfirmed]
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])


@pytest.fixture
def on_redis(build):
    """Return a function that makes a world whose service keeps everything in a Redis of its own."""
    with ExitStack() as stack:
        server = stack.enter_context(running())

        def made(flow, fault):
            replica = None
            if fault.options:
                replica = stack.enter_context(running("--replicaof", f"127.0.0.1 {server.port}"))
                wait_until(lambda: server.client.wait(1, 100) == 1, "replication")
            world = build(flow)
            world.restart(RedisStore(server.url + fault.options, clock=lambda: world.clock.now))
            return world, lambda: fault.breaks(server, replica), lambda: fault.mends(server, replica)

        yield made


def acknowledged(answers):
    """Return the ids of the reports that somebody was told of."""
    told = [json.loads(one.text) for one in answers if one.verdict]
    return {said["id"] for said in told if said["id"] and "overrides are unknown" not in said["reason"]}


@each_fault
@pytest.mark.timeout(240)
def test_argo_waits_for_its_redis(on_redis, fault):
    """A good release holds through the outage, with the reason of the store, and is promoted after it."""
    world, breaks, mends = on_redis(split(), fault())
    made = rollout(world, (5, 50)).update(NEW).run(T0 + 15)
    weights = list(made.weights)
    breaks()
    made.run(T0 + 75)
    answers = world.since(T0 + 16)
    assert len(answers) >= 5
    assert {(one.status, one.verdict) for one in answers} == {(200, "hold")}
    for one in answers:
        assert "store down, so overrides are unknown: redis 127.0.0.1:" in one.text
        assert re.search(fault.says, one.text)
    assert made.weights == weights
    mends()
    made.run(T0 + 1800)
    assert made.phase is RolloutPhase.HEALTHY
    assert world.release()["release"]["phase"] == "promoted"
    ids = acknowledged(world.heard)
    assert len(ids) >= 3  # on a busy machine a write that was confirmed too late is asked again
    assert [name for name in ids if world.store.report(name) is None] == []


@each_fault
@pytest.mark.timeout(240)
def test_flagger_waits_for_its_redis(on_redis, fault):
    """A bad release stands still through the outage, neither stepped nor rolled back, and is rolled back after it."""
    world, breaks, mends = on_redis(split(factor=4), fault())
    made = begun(canary(world, (5, 50), threshold=1)).run(T0 + 35)
    weights = list(made.weights)
    breaks()
    made.run(T0 + 75)
    answers = world.since(T0 + 36, *GATES, "rollback")
    assert len(answers) >= 5
    assert decided(answers) == []
    assert {one.status for one in answers} == {403}
    assert made.weights == weights
    mends()
    made.run(T0 + 1800)
    assert made.phase is CanaryPhase.FAILED
    assert made.failed_at == []
