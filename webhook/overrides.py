"""
Human words about a release: promote, hold, abort, retry. Read before anything is fetched, audited, expiring.

No I/O and no clock: the store keeps the documents, the caller brings the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

from analysis.types import Json
from webhook.releases import Attempt, ReleaseKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """
    A human's word about a release: read before anything is fetched, audited, expiring.

    It holds for ``revision`` only and so ends with it. ``verdict`` is promote, hold, abort or retry.
    """

    id: str
    namespace: str
    name: str
    revision: str
    verdict: str
    reason: str
    actor: str
    at: float
    expires_at: float | None = None
    attempt: int | None = None
    principal: str = ""
    extra: Mapping[str, Json] = field(default_factory=dict)

    def document(self) -> dict[str, Json]:
        """Return the document that the store keeps."""
        return asdict(self)


_OVERRIDE_FIELDS = frozenset(f.name for f in fields(Override))


def read_override(document: Mapping[str, Json]) -> Override:
    """Return the override that ``document`` holds."""
    return Override(**{name: value for name, value in document.items() if name in _OVERRIDE_FIELDS})


def in_force(overrides: Sequence[Override], attempt: Attempt, at: float) -> Override | None:
    """
    Return the newest human's word that holds for this attempt at ``at``, or None.

    A word about an attempt ends with it: one given before the end of the attempt before is over. A retry is no verdict
    and ends every earlier word.
    """
    chosen: Override | None = None
    for word in overrides:
        if word.revision != attempt.revision or word.at > at:
            continue
        if word.verdict == "retry":
            chosen = None
        elif (word.expires_at is None or at < word.expires_at) and word.at > attempt.words_since:
            chosen = word
    return chosen


def retry_asked(overrides: Sequence[Override], key: ReleaseKey, at: float) -> float | None:
    """Return when a retry of this revision was last asked for, or None."""
    times = [w.at for w in overrides if w.verdict == "retry" and w.revision == key.revision and w.at <= at]
    return max(times) if times else None
