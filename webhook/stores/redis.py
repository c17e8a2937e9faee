"""
The store on Redis: shared by any number of replicas of the service.

Durability. A write that returned was kept as the URL asks: in the append-only file of the server, and in the memory of
as many replicas as ``replicas`` says (``WAIT``). A write that fewer confirmed raises `StoreDown`; it may be there all
the same, and the next verdict reads it. Servers that could forget or throw away are refused: `redis_client`.

Concurrency. Every change is one script, so it is whole or not there. A change of an attempt names the version that it
read, so a writer that lost the race hears `StoreConflict`; one whose answer was lost is sent again and knows itself.

Keys. All begin with ``{weighbridge}:``, which also keeps them in one slot of a cluster; parts are a JSON array.

=========================  =======  ==========================================================================
key                        type     holds
=========================  =======  ==========================================================================
schema                     string   version of this layout
sequence                   string   number of the newest change
attempt:[c,ns,n,rev,no]    hash     ``version``, ``nonce``, ``document``
looks:[c,ns,n,rev,no]      hash     row by number of the look
attempts:[ns,n]            zset     ids of attempts by the change that opened them
changed                    zset     ids of attempts by their newest change
report:[id]                hash     ``document``, and where it is listed: ``release``, ``attempt``
reports:[c,ns,n,rev]       zset     ids of reports by change; with ``,no`` those of one attempt
aging                      zset     ids of reports that close nothing, by unix seconds
override:[id]              string   a human's word
overrides:[ns,n]           list     ids of words, oldest first
gates:[c,ns,n]             hash     ``version``, ``nonce``, ``document``
gated                      zset     ids of canaries with gates by their newest change
ping                       string   unix seconds of the newest probe
=========================  =======  ==========================================================================
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from analysis.types import Json
from webhook.errors import StoreConflict, StoreDown
from webhook.ports import Write
from webhook.redis_url import RedisAddress, read_redis_url
from webhook.stores.documents import (
    PRUNE_EVERY_S,
    RETENTION_S,
    Release,
    attempt_key,
    gates_key,
    is_closing,
    pack,
    report_key,
    unpack,
)
from webhook.stores.redis_client import FAULTS, connected, in_words
from webhook.stores.redis_scripts import FORGET, GATES, OVERRIDE, PING, WRITE

SCHEMA_VERSION = 1
PREFIX = "{weighbridge}:"
CONFIRMED_MS = 700
"""How long replicas may take to confirm a write, in milliseconds: less than the answer may."""
PORTION = 500
"""Reports that are dropped in one step; the server does nothing else meanwhile."""


def ident(*parts: str | int) -> str:
    """Return an id: ASCII, whatever the names hold, and no two alike."""
    return json.dumps(parts, separators=(",", ":"))


def key(kind: str, *parts: str | int) -> str:
    """Return a key."""
    return f"{PREFIX}{kind}:{ident(*parts)}" if parts else PREFIX + kind


def _under(kind: str, identity: str) -> str:
    return f"{PREFIX}{kind}:{identity}"


class RedisStore:
    """
    A `webhook.ports.Store` on Redis; safe to share between threads, processes and machines.

    Nothing is opened before the first call, and a server that comes back is used again by itself.

    Parameters
    ----------
    address : RedisAddress or str
        Where it is; see `webhook.redis_url`.
    retention_s : float, default 90 days
        Reports older than this many seconds go, closing reports stay.
    clock : callable, default time.time
        Unix seconds; only tells how old a report is.
    """

    def __init__(
        self,
        address: RedisAddress | str,
        *,
        retention_s: float = RETENTION_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.address = read_redis_url(address) if isinstance(address, str) else address
        self._retention_s = retention_s
        self._clock = clock
        self._lock = threading.Lock()
        self._redis: Any = None
        self._pruned_at = clock()

    def close(self) -> None:
        """Close idle connections; the next call opens new ones."""
        with self._lock:
            client, self._redis = self._redis, None
        if client is not None:
            client.connection_pool.disconnect()

    @contextmanager
    def _talking(self) -> Iterator[Any]:
        """Lend the client; what Redis, the network or a damaged document raise is `StoreDown`."""
        place = f"redis {self.address.shown}"
        try:
            with self._lock:
                if self._redis is None:
                    self._redis = connected(self.address)
                client = self._redis
            yield client
        except FAULTS as error:
            raise StoreDown(f"{place}: {in_words(error)}") from error
        except zlib.error as error:
            raise StoreDown(f"{place}: a document is damaged: {error}") from error

    # ------------------------------------------------------------------------------------- writes

    def _run(self, script: str, keys: Sequence[str], values: Sequence[Any]) -> int | None:
        """Run a script and wait for the replicas; return None, or the version that is stored where ours is wrong."""
        wanted = self.address.replicas
        with self._talking() as client, client.pipeline(transaction=False) as pipe:
            # The whole script each time: after a failover the new server knows none by its digest.
            pipe.eval(script, len(keys), *keys, SCHEMA_VERSION, *values)
            if wanted:
                pipe.wait(wanted, CONFIRMED_MS)
            said, *confirmed = pipe.execute()
        if said[0] == 0:
            return int(said[1])
        if confirmed and confirmed[0] < wanted:
            few = f"only {confirmed[0]} of {wanted} replicas confirmed within {CONFIRMED_MS} ms"
            raise StoreDown(f"redis {self.address.shown}: {few}")
        return None

    def write(self, change: Write) -> None:
        """Write all of ``change`` or nothing; `StoreConflict` if the version is not the stored one."""
        if change.looks and change.attempt is None:
            raise ValueError("looks need the attempt that they belong to")
        attempt, name, values = ident(), key("attempts"), ["", 0, "", b""]
        if change.attempt is not None:
            release, number = attempt_key(change.attempt)
            version = int(change.attempt["version"])
            attempt, name = ident(*release, number), key("attempts", *release[1:3])
            values = [attempt, version, secrets.token_hex(8), pack({**change.attempt, "version": version + 1})]
        listed, listed_attempt, told = ident(), ident(), ["", b"", 0, 0]
        if change.report is not None:
            release, number = report_key(change.report, change.attempt)
            listed, listed_attempt = ident(*release), ident(*release, number)
            closing = int(is_closing(change.report))
            told = [ident(str(change.report["id"])), pack(change.report), repr(self._clock()), closing]
        rows = [part for number, row in change.looks for part in (number, pack(row))]
        keys = [
            key("schema"), key("sequence"), key("changed"), _under("attempt", attempt), _under("looks", attempt), name,
            _under("report", str(told[0])), _under("reports", listed), _under("reports", listed_attempt), key("aging"),
        ]  # fmt: skip
        stored = self._run(WRITE, keys, [*values, *told, listed, listed_attempt, *rows])
        if stored is not None:
            raise StoreConflict(f"attempt {attempt} is at version {stored}, not {values[1]}")
        self._sweep()

    def _sweep(self) -> None:
        """Prune once an hour; what was just acknowledged does not depend on it."""
        now = self._clock()
        with self._lock:
            due = now - self._pruned_at >= PRUNE_EVERY_S
            if due:
                self._pruned_at = now
        if due:
            with suppress(StoreDown):
                self.prune(now - self._retention_s)

    def prune(self, before: float, most: int = 5000) -> int:
        """
        Drop reports written before ``before`` (unix seconds) that close nothing; return how many.

        At most ``most`` go, oldest first, in portions, so that nobody waits long for it.
        """
        gone = 0
        with self._talking() as client:
            old = client.zrangebyscore(key("aging"), "-inf", f"({before!r}", start=0, num=most)
            for first in range(0, len(old), PORTION):
                portion = [name.decode() for name in old[first : first + PORTION]]
                with client.pipeline(transaction=False) as asked:
                    for name in portion:
                        asked.hmget(_under("report", name), "release", "attempt")
                    lists = asked.execute()
                with client.pipeline(transaction=True) as dropped:
                    for name, places in zip(portion, lists, strict=True):
                        dropped.delete(_under("report", name))
                        for place in filter(None, places):
                            dropped.zrem(_under("reports", place.decode()), name)
                        dropped.zrem(key("aging"), name)
                    dropped.execute()
                gone += len(portion)
        return gone

    def forget_looks(self, release: Release, number: int) -> None:
        """Drop the rows of one attempt."""
        self._run(FORGET, [key("schema"), key("looks", *release, number)], [])

    def add_override(self, override: Mapping[str, Json]) -> None:
        """Append a human's word; one with an id that is there already changes nothing."""
        name = str(override["id"])
        words = key("overrides", str(override["namespace"]), str(override["name"]))
        self._run(OVERRIDE, [key("schema"), key("override", name), words], [name, pack(override)])

    def write_gates(self, gates: Mapping[str, Json]) -> None:
        """Write the gates of a canary; `StoreConflict` if the version is not the stored one."""
        canary = ident(*gates_key(gates))
        version = int(gates["version"])
        values = [canary, version, secrets.token_hex(8), pack({**gates, "version": version + 1})]
        keys = [key("schema"), key("sequence"), _under("gates", canary), key("gated")]
        stored = self._run(GATES, keys, values)
        if stored is not None:
            raise StoreConflict(f"the gates of {canary} are at version {stored}, not {version}")

    def ping(self) -> None:
        """Return if a key could be written, and confirmed; raise `StoreDown` otherwise."""
        self._run(PING, [key("schema"), key("ping")], [repr(self._clock())])

    # -------------------------------------------------------------------------------------- reads

    def _document(self, place: str) -> dict[str, Json] | None:
        """Return the document of one hash, or None."""
        with self._talking() as client:
            packed = client.hget(place, "document")
            return unpack(packed) if packed is not None else None

    def _documents(self, kind: str, names: Sequence[bytes]) -> list[dict[str, Json]]:
        """Return the documents of several hashes; a report that was dropped meanwhile is left out."""
        with self._talking() as client, client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(_under(kind, name.decode()), "document")
            found = pipe.execute()
            return [unpack(packed) for packed in (found if kind == "report" else _whole(found)) if packed is not None]

    def _newest(self, place: str, limit: int) -> list[bytes]:
        """Return the members of a sorted set that were changed last, the newest first."""
        with self._talking() as client:
            return list(client.zrevrange(place, 0, limit - 1)) if limit > 0 else []

    def attempts(self, namespace: str, name: str) -> list[dict[str, Json]]:
        """Return every attempt of every revision of one release, oldest opened first."""
        with self._talking() as client:
            found = client.zrange(key("attempts", namespace, name), 0, -1)
        return self._documents("attempt", found)

    def attempt(self, release: Release, number: int) -> dict[str, Json] | None:
        """Return one attempt, or None."""
        return self._document(key("attempt", *release, number))

    def looks(self, release: Release, number: int) -> list[dict[str, Json]]:
        """Return the rows of one attempt in order of their numbers."""
        with self._talking() as client:
            rows = client.hgetall(key("looks", *release, number))
            return [unpack(rows[look]) for look in sorted(rows, key=int)]

    def report(self, report_id: str) -> dict[str, Json] | None:
        """Return one report, or None."""
        return self._document(key("report", report_id))

    def reports(self, release: Release, number: int | None = None, limit: int = 50) -> list[dict[str, Json]]:
        """Return the newest reports of a release (of one attempt), newest first."""
        listed = ident(*release) if number is None else ident(*release, number)
        return self._documents("report", self._newest(_under("reports", listed), limit))

    def releases(self, limit: int = 200) -> list[dict[str, Json]]:
        """Return the newest attempt documents of all releases, newest change first."""
        return self._documents("attempt", self._newest(key("changed"), limit))

    def overrides(self, namespace: str, name: str) -> list[dict[str, Json]]:
        """Return every override of a release, oldest first."""
        with self._talking() as client:
            ids = client.lrange(key("overrides", namespace, name), 0, -1)
            words = client.mget([key("override", word.decode()) for word in ids]) if ids else []
            return [unpack(word) for word in _whole(words)]

    def gates(self, canary: tuple[str, str, str]) -> dict[str, Json] | None:
        """Return the gates of one canary, or None."""
        return self._document(key("gates", *canary))

    def all_gates(self, limit: int = 200) -> list[dict[str, Json]]:
        """Return the gates of all canaries, newest change first."""
        return self._documents("gates", self._newest(key("gated"), limit))


def _whole(found: Sequence[bytes | None]) -> list[bytes]:
    """Return what a list names; an attempt or a word that is not there was lost, and must not be passed over."""
    if None in found:
        raise zlib.error("it is listed and not there")
    return [packed for packed in found if packed is not None]
