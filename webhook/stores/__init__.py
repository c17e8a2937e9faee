"""Where releases are kept: adapters of `webhook.ports.Store`, chosen by one word of the settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from webhook.ports import Store
from webhook.redis_url import is_redis

if TYPE_CHECKING:
    from webhook.settings import Settings


class ClosableStore(Store, Protocol):
    """A store that lets go of its connections."""

    def close(self) -> None:
        """Close what is open; the next call opens it again."""
        ...


def open_store(settings: Settings, clock: Callable[[], float] = time.time) -> ClosableStore:
    """
    Return the store that ``settings.store`` names: ``memory:``, ``sqlite:PATH`` or the URL of a Redis.

    Call it after the server has forked. Nothing is opened before the first use, so this neither
    waits nor fails for a store that is down; wrong words are refused by `webhook.settings`.
    """
    scheme, _, rest = settings.store.partition(":")
    if is_redis(settings.store):
        from webhook.stores.redis import RedisStore

        return RedisStore(settings.store, retention_s=settings.retention_s, clock=clock)
    if scheme == "sqlite":
        from webhook.stores.sqlite import SQLiteStore

        return SQLiteStore(rest, retention_s=settings.retention_s, clock=clock)
    if scheme == "memory":
        from webhook.stores.memory import MemoryStore

        return MemoryStore(retention_s=settings.retention_s, clock=clock)
    raise ValueError(f"no store is called {scheme!r}")
