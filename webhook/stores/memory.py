"""
The store in memory: for tests, the demo and trying things out. A restart forgets everything.

It keeps the promises of the port within one process, so it is refused with several workers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from analysis.types import Json
from webhook.errors import StoreConflict
from webhook.ports import Write
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


@dataclass(slots=True)
class _Attempt:
    version: int
    changed: int
    packed: bytes
    looks: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Report:
    key: tuple[Release, int]
    closing: bool
    written: float
    packed: bytes


class MemoryStore:
    """
    A `webhook.ports.Store` that lives as long as the process; safe to share between threads.

    Parameters
    ----------
    retention_s : float, default 90 days
        Reports older than this many seconds go, closing reports stay.
    most_reports : int, default 20_000
        Beyond it the oldest reports that close nothing go early, because memory ends before disks do.
    clock : callable, default time.time
        Unix seconds; only tells how old a report is.
    """

    def __init__(
        self,
        *,
        retention_s: float = RETENTION_S,
        most_reports: int = 20_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._retention_s = retention_s
        self._most_reports = most_reports
        self._clock = clock
        self._lock = threading.RLock()
        self._attempts: dict[tuple[Release, int], _Attempt] = {}
        self._reports: dict[str, _Report] = {}
        self._overrides: dict[str, tuple[str, str, bytes]] = {}
        self._gates: dict[tuple[str, str, str], tuple[int, bytes]] = {}
        self._changes = 0
        self._pruned_at = clock()

    def attempts(self, namespace: str, name: str) -> list[dict[str, Json]]:
        """Return every attempt of every revision of one release, oldest opened first."""
        with self._lock:
            return [
                unpack(kept.packed)
                for (release, _), kept in self._attempts.items()
                if release[1:3] == (namespace, name)
            ]

    def attempt(self, release: Release, number: int) -> dict[str, Json] | None:
        """Return one attempt, or None."""
        with self._lock:
            kept = self._attempts.get((release, number))
            return unpack(kept.packed) if kept else None

    def write(self, change: Write) -> None:
        """Write all of ``change`` or nothing; `StoreConflict` if the version is not the stored one."""
        if change.looks and change.attempt is None:
            raise ValueError("looks need the attempt that they belong to")
        looks = [(number, pack(row)) for number, row in change.looks]
        report = pack(change.report) if change.report is not None else b""
        with self._lock:
            if change.attempt is not None:
                self._write_attempt(change.attempt, looks)
            if change.report is not None:
                self._write_report(change.report, change.attempt, report)

    def _write_attempt(self, document: Mapping[str, Json], looks: list[tuple[int, bytes]]) -> None:
        key = attempt_key(document)
        kept = self._attempts.get(key)
        version, stored = int(document["version"]), kept.version if kept else 0
        if version != stored:
            raise StoreConflict(f"attempt {key} is at version {stored}, not {version}")
        packed = pack({**document, "version": version + 1})
        self._changes += 1
        if kept is None:
            kept = self._attempts[key] = _Attempt(version=1, changed=self._changes, packed=packed)
        kept.version, kept.changed, kept.packed = version + 1, self._changes, packed
        for number, row in looks:
            kept.looks.setdefault(number, row)

    def _write_report(self, report: Mapping[str, Json], attempt: Mapping[str, Json] | None, packed: bytes) -> None:
        now = self._clock()
        self._reports.setdefault(
            str(report["id"]),
            _Report(key=report_key(report, attempt), closing=is_closing(report), written=now, packed=packed),
        )
        if now - self._pruned_at >= PRUNE_EVERY_S or len(self._reports) > self._most_reports:
            self.prune(now - self._retention_s)

    def prune(self, before: float) -> int:
        """Drop reports written before ``before`` (unix seconds) that close nothing; return how many."""
        with self._lock:
            self._pruned_at = self._clock()
            plain = [(name, kept.written) for name, kept in self._reports.items() if not kept.closing]
            # A tenth more than needed goes, so that a full store is not swept at every write.
            spare = len(self._reports) - self._most_reports
            early = spare + self._most_reports // 10 if spare > 0 else 0
            gone = [name for place, (name, written) in enumerate(plain) if written < before or place < early]
            for name in gone:
                del self._reports[name]
            return len(gone)

    def looks(self, release: Release, number: int) -> list[dict[str, Json]]:
        """Return the rows of one attempt in order of their numbers."""
        with self._lock:
            kept = self._attempts.get((release, number))
            return [unpack(row) for _, row in sorted(kept.looks.items())] if kept else []

    def forget_looks(self, release: Release, number: int) -> None:
        """Drop the rows of one attempt."""
        with self._lock:
            if kept := self._attempts.get((release, number)):
                kept.looks.clear()

    def report(self, report_id: str) -> dict[str, Json] | None:
        """Return one report, or None."""
        with self._lock:
            kept = self._reports.get(report_id)
            return unpack(kept.packed) if kept else None

    def reports(self, release: Release, number: int | None = None, limit: int = 50) -> list[dict[str, Json]]:
        """Return the newest reports of a release (of one attempt), newest first."""
        with self._lock:
            found = [
                kept.packed
                for kept in reversed(self._reports.values())
                if kept.key[0] == release and number in (None, kept.key[1])
            ]
            return [unpack(packed) for packed in found[:limit]]

    def releases(self, limit: int = 200) -> list[dict[str, Json]]:
        """Return the newest attempt documents of all releases, newest change first."""
        with self._lock:
            newest = sorted(self._attempts.values(), key=lambda kept: kept.changed, reverse=True)
            return [unpack(kept.packed) for kept in newest[:limit]]

    def add_override(self, override: Mapping[str, Json]) -> None:
        """Append a human's word; one with an id that is there already changes nothing."""
        row = (str(override["namespace"]), str(override["name"]), pack(override))
        with self._lock:
            self._overrides.setdefault(str(override["id"]), row)

    def overrides(self, namespace: str, name: str) -> list[dict[str, Json]]:
        """Return every override of a release, oldest first."""
        with self._lock:
            return [unpack(row[2]) for row in self._overrides.values() if row[:2] == (namespace, name)]

    def gates(self, canary: tuple[str, str, str]) -> dict[str, Json] | None:
        """Return the gates of one canary, or None."""
        with self._lock:
            kept = self._gates.get(canary)
            return unpack(kept[1]) if kept else None

    def write_gates(self, gates: Mapping[str, Json]) -> None:
        """Write the gates of a canary; `StoreConflict` if the version is not the stored one."""
        canary, version = gates_key(gates), int(gates["version"])
        packed = pack({**gates, "version": version + 1})
        with self._lock:
            stored = self._gates[canary][0] if canary in self._gates else 0
            if version != stored:
                raise StoreConflict(f"the gates of {canary} are at version {stored}, not {version}")
            self._gates.pop(canary, None)  # the newest change stands last
            self._gates[canary] = (version + 1, packed)

    def all_gates(self, limit: int = 200) -> list[dict[str, Json]]:
        """Return the gates of all canaries, newest change first."""
        with self._lock:
            return [unpack(packed) for _, packed in list(reversed(self._gates.values()))[:limit]]

    def ping(self) -> None:
        """Return: memory is always there."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""
