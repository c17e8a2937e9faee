"""Every store, made afresh: the suite of promises runs against each."""

from __future__ import annotations

import pytest

from tests.redis_server import running
from webhook.stores.memory import MemoryStore
from webhook.stores.redis import RedisStore
from webhook.stores.sqlite import SQLiteStore


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def shared_redis():
    """One Redis for all tests that take nothing down; each finds it empty by `redis_server`."""
    with running() as server:
        yield server


@pytest.fixture
def redis_server(shared_redis):
    shared_redis.client.flushall()
    return shared_redis


@pytest.fixture
def redis_store(redis_server, clock):
    made = RedisStore(redis_server.url, clock=clock)
    yield made
    made.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request, tmp_path, clock):
    if request.param == "redis":
        made = request.getfixturevalue("redis_store")
    elif request.param == "memory":
        made = MemoryStore(clock=clock)
    else:
        made = SQLiteStore(tmp_path / "weighbridge.db", clock=clock)
    yield made
    made.close()
