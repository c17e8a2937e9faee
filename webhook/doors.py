"""
A human's doors: which words open and close the gates of a canary, and what a check hears.

Pure functions: the store keeps the document, the caller brings the time. A word is open or close, about one hook or
all, about one revision or all. **The newest word that covers a check decides it**, nothing said is closed, and a word
that ran out or was used up is closed too: what is older never comes back into force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from analysis.types import Json

MOST_WORDS = 100
"""Words kept of one canary. The oldest go first, and what they covered is closed."""
MOST_HISTORY = 200
"""Lines of history kept of one canary, the newest."""


class Kind(StrEnum):
    """Which gate: the one that lets a release go on, or the one that rolls it back."""

    GATE = "gate"
    ROLLBACK = "rollback"


class State(StrEnum):
    """What became of a word; only ``open`` lets anybody through."""

    OPEN = "open"
    CLOSED = "closed"
    EXPIRED = "expired"
    USED = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """
    One word about a gate.

    Parameters
    ----------
    kind : Kind
    opens : bool
        False closes.
    hook, revision : str
        Which hook and revision it is about; empty means all.
    actor, principal, reason : str
        Who says it by their own account, whose token it was, and why.
    at : float
        Unix seconds.
    expires_at : float or None
        From then on it is closed; None never.
    once : bool
        The first check that it lets through uses it up.
    used_at : float or None
        When that was.
    """

    kind: Kind
    opens: bool
    at: float
    hook: str = ""
    revision: str = ""
    actor: str = ""
    principal: str = ""
    reason: str = ""
    expires_at: float | None = None
    once: bool = False
    used_at: float | None = None

    def covers(self, kind: Kind, hook: str, revision: str) -> bool:
        """Return whether it is about this hook and revision; empty asks about all, which only a word about all is."""
        return self.kind == kind and self.hook in ("", hook) and self.revision in ("", revision)

    def state(self, at: float) -> State:
        """Return what it is worth at ``at``."""
        if not self.opens:
            return State.CLOSED
        if self.used_at is not None:
            return State.USED
        return State.EXPIRED if self.expires_at is not None and at >= self.expires_at else State.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """
    The gates of one canary: words in the order in which they were said, history oldest first, ``version`` as stored.

    A line of history has ``time``, ``kind``, ``action`` (``open``, ``close``, ``passed``), ``hook``, ``revision``,
    ``actor``, ``principal``, ``reason``.
    """

    cluster: str
    namespace: str
    name: str
    words: tuple[Word, ...] = ()
    history: tuple[Mapping[str, Json], ...] = ()
    version: int = 0

    def document(self) -> dict[str, Json]:
        """Return the document that the store keeps."""
        return {**asdict(self), "words": [asdict(word) for word in self.words], "history": list(self.history)}


_WORD_FIELDS = frozenset(f.name for f in fields(Word))


def read_doors(document: Mapping[str, Json]) -> Doors:
    """Return the gates that a document holds."""
    return Doors(
        cluster=document["cluster"],
        namespace=document["namespace"],
        name=document["name"],
        words=tuple(_word(found) for found in document["words"]),
        history=tuple(document["history"]),
        version=document["version"],
    )


def _word(document: Mapping[str, Json]) -> Word:
    known: dict[str, Any] = {key: value for key, value in document.items() if key in _WORD_FIELDS}
    return Word(**{**known, "kind": Kind(known["kind"])})


def said(doors: Doors, word: Word) -> Doors:
    """Return the gates after a word; words that it covers whole say nothing any more and go."""
    left = [w for w in doors.words if not word.covers(w.kind, w.hook, w.revision)]
    action = "open" if word.opens else "close"
    return _noted(replace(doors, words=(*left, word)[-MOST_WORDS:]), word, word.at, action, word.hook, word.revision)


def deciding(doors: Doors, kind: Kind, hook: str, revision: str) -> Word | None:
    """Return the word that decides a check, or None where nobody has said anything."""
    return next((word for word in reversed(doors.words) if word.covers(kind, hook, revision)), None)


def is_open(word: Word | None, at: float) -> bool:
    """Return whether a check that this word decides is let through."""
    return word is not None and word.state(at) is State.OPEN


def passed(doors: Doors, word: Word, at: float, hook: str, revision: str) -> Doors:
    """Return the gates after a check used this word up."""
    words = tuple(replace(w, used_at=at) if w is word else w for w in doors.words)
    return _noted(replace(doors, words=words), word, at, "passed", hook, revision)


def _noted(doors: Doors, word: Word, at: float, action: str, hook: str, revision: str) -> Doors:
    line = {
        "time": at, "kind": word.kind.value, "action": action, "hook": hook, "revision": revision,
        "actor": word.actor, "principal": word.principal, "reason": word.reason,
    }  # fmt: skip
    return replace(doors, history=(*doors.history, line)[-MOST_HISTORY:])
