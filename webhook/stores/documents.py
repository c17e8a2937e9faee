"""
Documents as every store keeps them: compressed JSON, and the few keys a store may read.

A store hands back what went through JSON, never the object that was given to it, so that nobody
can change a stored document by changing a dictionary.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, cast

from analysis.types import Json

Release = tuple[str, str, str, str]
"""``(cluster, namespace, name, revision)``."""

RETENTION_S = 90 * 86_400.0
"""How long reports that close nothing are kept, in seconds."""

PRUNE_EVERY_S = 3600.0
"""Seconds between two sweeps for reports beyond their retention."""

CLOSING_PHASES = frozenset({"promoted", "aborted", "superseded"})
"""Phases that end an attempt: their reports outlive the retention."""


def pack(document: Mapping[str, Json]) -> bytes:
    """
    Return a document as compressed JSON.

    Raises
    ------
    ValueError, TypeError
        The document holds NaN, infinity or something that is no JSON: a mistake of the program.
    """
    # Escaped ASCII: a lone surrogate in a name then survives the round trip instead of failing in UTF-8.
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return zlib.compress(text.encode("ascii"), 6)


def unpack(packed: bytes) -> dict[str, Json]:
    """Return the document that `pack` was given; ``ValueError`` or ``zlib.error`` if it is damaged."""
    return cast("dict[str, Json]", json.loads(zlib.decompress(packed)))


def attempt_key(document: Mapping[str, Json]) -> tuple[Release, int]:
    """Return release and number of an attempt's document; ``KeyError`` where a key is missing."""
    return release_key(document), int(document["attempt"])


def release_key(document: Mapping[str, Json]) -> Release:
    """Return ``(cluster, namespace, name, revision)`` of a document that has all four."""
    return (
        str(document["cluster"]),
        str(document["namespace"]),
        str(document["name"]),
        str(document["revision"]),
    )


def gates_key(document: Mapping[str, Json]) -> tuple[str, str, str]:
    """Return ``(cluster, namespace, name)`` of the gates of a canary."""
    return str(document["cluster"]), str(document["namespace"]), str(document["name"])


def report_key(report: Mapping[str, Json], attempt: Mapping[str, Json] | None) -> tuple[Release, int]:
    """
    Return under which release and attempt a report is listed.

    The report's own ``release`` decides, the attempt written with it fills what is missing there; a
    report of no release at all (inline data without names) is listed under empty names, attempt 0.
    """
    named: dict[str, Any] = {"cluster": "", "namespace": "", "name": "", "revision": "", "attempt": 0}
    for part in (attempt or {}, report.get("release") or {}):
        named.update({key: part[key] for key in named if part.get(key) is not None})
    return attempt_key(named)


def is_closing(report: Mapping[str, Json]) -> bool:
    """Return whether a report closes its attempt: its phase is a last one, or it says ``closing: true``."""
    phase = (report.get("release") or {}).get("phase")
    return report.get("closing") is True or phase in CLOSING_PHASES
