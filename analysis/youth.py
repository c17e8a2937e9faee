"""
Young replicas in a record: how long they count as young, since when each is there, and the record without them.

Levels and latencies of a replica that is still warming up say nothing of the version; errors are judged from the first
request. ``warmup.py`` has the rule and the lesson of past births; here it meets records and policies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Final, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis import words
from analysis.policy import Gauge, Latency, Policy, Quantile, Question, Ratio
from analysis.record import LeftOut, QuestionRecord, Record, SideSeries
from analysis.report import Evidence
from analysis.resumed import Recalled
from analysis.sequential import Elder, Older
from analysis.types import BoolArray, FloatArray, Pairing, Side, State
from analysis.warmup import SHORT_STEP, WarmUp, old_enough, warm_up

BIRTHS: Final = "births"
"""Where a question's record keeps the replicas that were born while it was watched: name to unix seconds."""
WARM_UP: Final = "warm_up"
"""
Where it keeps what past births taught: ``{"length": seconds or None, "births": number}``, of births that the history
before the release does not show with ``ago``, how many seconds before it the newest of them was.
"""
YOUNG: Final = "young"
FIRST_LOOKS: Final = (1, 16, None)
"""Looks that are asked since when everybody is there, until they show it."""


def youth_of(question: Question, policy: Policy, record: Record) -> WarmUp:
    """
    Return how old replicas must be before a question's levels and latencies count.

    Parameters
    ----------
    question : Question
    policy : Policy
    record : Record

    Returns
    -------
    WarmUp
        In this order: what the question says (``warm_up``: memory settles late), what the policy says
        (``looks.warm_up``), what past births taught, the rule for when nothing is known. Inline data that is shorter
        than 15 minutes is one short step of the rule: a third of it is dropped.
    """
    named = question.warm_up if isinstance(question, Gauge | Latency | Quantile | Ratio) else None
    told = policy.looks.warm_up if named is None else named
    if told is not None:
        return WarmUp(hold=told, abort=told, births=0)
    found = record.questions.get(question.name)
    learned = found.notes.get(WARM_UP) if found is not None else None
    if learned is not None and learned["length"] is not None:
        length, births = learned["length"], learned["births"]
        return WarmUp(hold=length, abort=length, births=births, ago=learned.get("ago"))
    return warm_up([], record.grid.length, _short(record, found))


def _short(record: Record, found: QuestionRecord | None) -> float | None:
    """Return the length of inline data, seconds: it is all there will be. None for a record that grows."""
    watched = found is not None and BIRTHS in found.notes
    if record.grid.lengthening or watched or not len(record.ends):
        return None
    lasts = float(record.ends[-1] - record.grid.start)
    return lasts if lasts < SHORT_STEP else None


def born(found: QuestionRecord, side: Side, record: Record) -> FloatArray:
    """
    Return since when each replica of a side is there, (R,), unix seconds; -inf: always.

    A record that was read from a source knows who was born while it was watched; everybody else is old. Inline data
    does not: a replica of the canary is born where its first number begins, and of the baseline only one that comes
    later than the first look.
    """
    series = found.side(side)
    births = found.notes.get(BIRTHS)
    if births is not None:
        return np.array([births.get(name, -np.inf) for name in series.replicas], dtype=np.float64)
    beside = side is Side.CANARY or (record.pairing is not Pairing.BEFORE_AFTER and record.aligned)
    first = _first_told(series) if beside else None  # else its looks are not those of the canary's clock
    if first is None:
        return np.full(len(series.replicas), -np.inf)
    begun = record.ends[first] - record.lengths[first]
    if side is Side.BASELINE:
        begun[first == 0] = -np.inf
    return np.asarray(begun)


def _first_told(series: SideSeries) -> NDArray[np.int64] | None:
    """Return the first look in which each replica told something, (R,), 0 if it never did; None without any look."""
    for until in FIRST_LOOKS:
        told = _told(series, slice(until))
        if not told.size:
            return None
        if told.any(axis=1).all():
            break
    return np.asarray(told.argmax(axis=1))


def _told(series: SideSeries, looks: slice) -> BoolArray:
    """Return in which of some looks each replica told something, (R, k)."""
    parts = [np.isfinite(array[:, looks]) for array in series.fields.values()]
    parts = [known if known.ndim == 2 else np.asarray(known.any(axis=-1)) for known in parts]
    if not parts:
        return np.zeros((len(series.replicas), 0), dtype=np.bool_)
    return parts[0] if len(parts) == 1 else np.asarray(np.any(parts, axis=0))


def grown(question: Question, record: Record, length: float) -> Record:
    """
    Return the record with one question's young replicas missing, on both sides.

    Parameters
    ----------
    question : Question
    record : Record
    length : float
        Seconds; a look counts of a replica that is so old at the look's end.

    Returns
    -------
    Record
        A look in which nobody old is left on a side is left out with the code ``young``.
    """
    found = record.questions.get(question.name)
    if found is None or length <= 0 or not len(record.ends):
        return record
    young = {side: _young(born(found, side, record), record.ends, length) for side in Side}
    if not any(which.shape[1] for which in young.values()):
        return record
    empty = {look for side in Side for look in _empty(found.side(side), young[side])}
    kept = replace(
        found,
        left_out=_left_out(found, sorted(empty), length),
        baseline=_old(found.baseline, young[Side.BASELINE]),
        canary=_old(found.canary, young[Side.CANARY]),
    )
    return replace(record, questions={**record.questions, question.name: kept})


def _empty(series: SideSeries, young: BoolArray) -> list[int]:
    """Return in which looks only young replicas told something."""
    if not young.shape[1]:
        return []
    told = _told(series, slice(young.shape[1]))
    alone: list[int] = np.flatnonzero(told.any(axis=0) & ~(told & ~young).any(axis=0)).tolist()
    return alone


def _old(series: SideSeries, young: BoolArray) -> SideSeries:
    """Return a side without what its replicas told while they were young."""
    if not young.shape[1]:
        return series
    old = {name: _without(array, young) for name, array in series.fields.items()}
    return SideSeries(replicas=series.replicas, fields=old)


def _left_out(found: QuestionRecord, empty: list[int], length: float) -> tuple[LeftOut | None, ...]:
    """Return why looks are left out, those too that are empty because everybody is young."""
    if not empty:
        return found.left_out
    reasons = list(found.left_out)
    for look in empty:
        reasons[look] = reasons[look] or _young_alone(length)
    return tuple(reasons)


@lru_cache(maxsize=32)
def _young_alone(length: float) -> LeftOut:
    return LeftOut(code=YOUNG, text=f"every replica of a side is younger than {words.duration(length)}")


def _young(births: FloatArray, ends: FloatArray, length: float) -> BoolArray:
    """Return in which of the first looks each replica is too young, (R, k); the youngest of all are so in the last."""
    youngest = float(births.max()) if len(births) else -np.inf
    if youngest == -np.inf:
        return np.zeros((len(births), 0), dtype=np.bool_)
    until = len(ends) - int(old_enough(np.array([youngest]), ends, length).sum())
    return ~old_enough(births, ends[:until], length)


def _without(array: FloatArray, young: BoolArray) -> FloatArray:
    kept = array.copy()
    kept[:, : young.shape[1]][young] = np.nan
    return kept


class Backed(Protocol):
    """Evidence whose abort can be held to what older replicas say."""

    @property
    def abort(self) -> FloatArray:
        """(K,) log A*."""
        ...

    def without_looks(self, left_out: Sequence[int]) -> Self:
        """Return the abort evidence with some looks skipped."""
        ...

    def backed(self, elder: Older | None) -> Self:
        """Return itself with the abort evidence of ``elder`` where its own is above 0 and larger."""
        ...


Found = TypeVar("Found", bound=Backed)


def aged(question: Question, policy: Policy, record: Record) -> Record:
    """Return the record without what is too young for holds and promotions."""
    return grown(question, record, youth_of(question, policy, record).hold)


def backed(
    found: Found | None,
    weigh: Callable[[Record], Found | None],
    question: Question,
    policy: Policy,
    record: Record,
    *,
    causal: bool = False,
) -> Found | None:
    """
    Return the evidence of a question without what is too young for an abort.

    Parameters
    ----------
    found : evidence or None
        Of what is `aged`.
    weigh : callable
        Evidence of a record, or None where there is nothing to weigh; it has ``abort`` and ``backed``.
    question : Question
    policy : Policy
    record : Record
    causal : bool, default False
        Whether evidence says the same of a look on a record that ends with it: then nothing is weighed a second time
        beyond the last look that speaks for an abort.

    Returns
    -------
    evidence or None
        ``found``; where it speaks for an abort it does so only as far as replicas that are old enough for aborts say it
        too.
    """
    young = youth_of(question, policy, record)
    if found is None or young.abort <= young.hold or not (loud := (found.abort > 0).nonzero()[0]).size:
        return found
    last = int(loud[-1]) if causal else len(found.abort) - 1
    if last + 1 == len(found.abort):
        whole = weigh(grown(question, record, young.abort))
        return found.backed(Elder(abort=_abort_of(whole, len(found.abort)), whole=lambda: whole))
    alone = replace(record, questions={question.name: record.questions[question.name]})
    part = grown(question, alone.until(float(record.ends[last])), young.abort)
    abort = np.zeros_like(found.abort)
    abort[: last + 1] = ELDERS.value(*_identity(question, policy, part), lambda: _abort_of(weigh(part), last + 1))
    return found.backed(Elder(abort=abort, whole=lambda: weigh(grown(question, record, young.abort))))


def _abort_of(found: Found | None, looks: int) -> FloatArray:
    return np.zeros(looks) if found is None else found.abort


ELDERS: Final[Recalled[FloatArray]] = Recalled()
"""What older replicas said of the first looks, which every later verdict asks again."""


_STRICTNESS: Final = tuple(f.name for f in fields(Policy) if f.name not in ("questions", "select", "notes"))
"""What of a policy may matter to one question; what is asked besides it does not."""


def _identity(question: Question, policy: Policy, record: Record) -> tuple[bytes, list[FloatArray]]:
    """Return everything that abort evidence of a question depends on."""
    found = record.questions[question.name]
    sides = [side for side in (found.baseline, found.canary, found.history) if side is not None]
    strictness = [getattr(policy, name) for name in _STRICTNESS]
    told = (
        strictness, question, record.grid, record.pairing, record.aligned, found.left_out, found.visible, found.edges,
        found.noise, found.notes, [(side.replicas, list(side.fields)) for side in sides], found.history is None,
    )  # fmt: skip
    return repr(told).encode(), [record.ends, *(array for side in sides for array in side.fields.values())]


def waiting(question: Question, policy: Policy, record: Record) -> str:
    """Return that every replica of the canary is still too young to be judged, and until when; else an empty string."""
    found = record.questions.get(question.name)
    if found is None or not len(record.ends) or not found.canary.replicas:
        return ""
    young = youth_of(question, policy, record)
    here = _told(found.canary, slice(-1, None)).any(axis=1)
    if not here.any():
        return ""
    oldest = float(record.ends[-1] - born(found, Side.CANARY, record)[here].min())
    if oldest >= young.hold - 1e-6:
        return ""
    label = question.name.replace("-", " ")
    past = f" {words.duration(young.ago)} ago" if young.ago is not None else ""
    learned = f", learned from {young.births} births{past}" if young.births else ""
    limit, age = words.duration(young.hold), words.duration(max(oldest, 0.0))
    return f"{label}: canary replicas are {age} old and count from {limit} on{learned}"


def told(evidence: Evidence, question: Question, policy: Policy, record: Record) -> Evidence:
    """Return evidence with what a reader must know of young replicas: flags, lengths, whether all are too young."""
    young = youth_of(question, policy, record)
    wait = waiting(question, policy, record) if evidence.state is State.UNDECIDED else ""
    return replace(
        evidence,
        reason=words.cut(wait) if wait else evidence.reason,
        flags=tuple(dict.fromkeys((*evidence.flags, *young.flags))),
        details={**evidence.details, "warm_up": young.document()},
    )
