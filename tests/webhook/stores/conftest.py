"""Every store, made afresh: the suite of promises runs against each."""

from __future__ import annotations

import pytest

from webhook.stores.memory import MemoryStore
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


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path, clock):
    if request.param == "memory":
        made = MemoryStore(clock=clock)
    else:
        made = SQLiteStore(tmp_path / "weighbridge.db", clock=clock)
    yield made
    made.close()
