"""
Inline data of a request to an `analysis.record.Record`: one entry is one look, and every number is checked.

What people write by hand is short, so scalars are one look and the level of replicas may be left out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from analysis.errors import InvalidPolicy
from analysis.policy import JUDGED, Policy
from analysis.questions import Gauge, Latency, Objective, Proportion, Question, Rate, Ratio
from analysis.record import MAX_LOOKS, Grid, LeftOut, QuestionRecord, Record, SideSeries
from analysis.types import FloatArray, Json, Pairing, Weight
from webhook.errors import BadRequest
from webhook.schema import policy as wire
from webhook.schema import scalars
from webhook.schema.arrays import Side, read_side
from webhook.schema.hints import direction_of, is_context, refuse_otherwise, unit_of
from webhook.schema.problems import did_you_mean, shown, step
from webhook.schema.request import refuse_unknown
from webhook.schema.samples import FIELD, with_counts
from webhook.schema.scalars import refuse

MOST_SERIES = 1_000
"""Arrays of one request: replicas times fields, over all questions, sides and histories."""
MOST_QUESTIONS = 200
MOST_CELLS = 5_000_000
"""Numbers that one request may unfold to, missing ones included: 40 MB."""
MOST_WEIGHED = 60_000
"""Looks times questions: each costs up to 70 microseconds, and an answer must come within a few seconds."""
USUAL_STEP = 60.0
"""Seconds of a look where the data does not say."""
LONGEST_STEP = 30 * 86400.0

TOP = ("start", "step_seconds", "pairing", "aligned", "weights", "questions")
QUESTION = ("edges", "baseline", "canary", "history", "budget", "direction", "unit", "context")
HISTORY = ("start", "baseline")
BY_FIELD: dict[str, type[Question]] = {
    "bad": Proportion,
    "events": Rate,
    "numerator": Ratio,
    "counts": Latency,
    FIELD: Latency,
    "values": Gauge,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """One question of the data, before all have the same number of looks."""

    baseline: Side
    canary: Side
    history: Side | None
    edges: tuple[float, ...]
    notes: dict[str, Json]
    beside: bool

    @property
    def looks(self) -> int:
        return max(self.baseline.looks, self.canary.looks)

    def sides(self) -> Iterator[Side]:
        yield from (self.baseline, self.canary)
        if self.history is not None:
            yield self.history


def inline_record(
    data: Mapping[str, Json], policy: Policy, *, started_at: float | None = None, at: float | None = None
) -> Record:
    """
    Return the record of a request that brings its own numbers.

    Parameters
    ----------
    data : mapping
        As parsed from JSON: ``questions``, and optionally ``start``, ``step_seconds`` (60), ``pairing``, ``aligned``,
        ``weights`` (the canary's configured share).
    policy : Policy
        Names and kinds of the questions; a question it does not have is an error, one without data is silent.
    started_at, at : float or None
        Unix seconds, for data without ``start``: it starts when the release did, else so that it ends at ``at``,
        else at 0, so that the same data gives the same record whenever it is asked.

    Returns
    -------
    Record
        On a grid that does not lengthen. Questions with fewer looks than others are missing in the rest. Sides that
        were not sampled at the same times may have unlike lengths: the shorter one is missing in the first looks.

    Raises
    ------
    BadRequest
        JSON pointer (from ``/data``), rule and value of the first thing that is wrong.
    """
    asked = _asked(data, policy)
    looks = max((question.looks for question in asked.values()), default=0)
    _bounded(asked, looks)
    length = _step(data)
    start = scalars.time(data.get("start"), "/data/start")
    if start is None:
        start = started_at if started_at is not None else max(0.0, (at or 0.0) - length * looks)
    elif start + length * looks > scalars.LAST_SECOND:
        raise refuse("/data/start", f"must let {looks} looks end before the year 10000", data["start"])
    for name, question in asked.items():
        _check_history(question, name, start, length, data)
    grid = Grid(start=start, length=length, lengthening=False)
    return Record(
        grid=grid,
        ends=start + length * np.arange(1, looks + 1, dtype=np.float64),
        questions={name: _question(question, looks) for name, question in asked.items()},
        weights=_weights(data, looks),
        pairing=_pairing(data),
        aligned=_aligned(data),
    )


def inline_policy(data: Mapping[str, Json]) -> Policy:
    """
    Return the policy that data without a policy asks: the defaults of each question's kind, told by its fields.

    ``bad total`` is a proportion of weight critical, ``events exposure`` a rate, ``counts samples p50 p95 p99`` a
    latency, ``values`` a gauge that no promotion needs, ``numerator denominator`` a ratio, a ``budget`` an objective.
    Context has no vote. Kinds that are not judged yet are muted, and ``notes`` say so.

    Raises
    ------
    BadRequest
        No fields to tell a kind by, or a name that no question may have.
    """
    found: list[Question] = []
    notes: list[str] = []
    for name, place, entry in _entries(data):
        question = _recognised(name, place, entry)
        if question.kind not in JUDGED:
            question = replace(question, muted=True)
            notes.append(f"{name} is left out: kind {question.kind} is not judged yet")
        found.append(question)
    policy = Policy(name="inline", questions=tuple(found), notes=tuple(notes))
    return replace(policy, digest=wire.digest(policy))


def data_digest(data: Mapping[str, Json]) -> str:
    """Return the SHA-256 of inline data that was read, as 64 hexadecimal digits: equal content, equal digest."""
    return hashlib.sha256(wire.canonical(data)).hexdigest()


def _entries(data: Mapping[str, Json]) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    """Yield name, place and entry of each question."""
    refuse_unknown(data, TOP, "/data")
    questions = data.get("questions")
    if not isinstance(questions, dict) or not questions:
        raise refuse("/data/questions", "must be an object with at least one question", questions)
    if len(questions) > MOST_QUESTIONS:
        raise BadRequest(f"must have at most {MOST_QUESTIONS} questions, got {len(questions):,}", "/data/questions")
    for name, entry in questions.items():
        place = step("/data/questions", name)
        if not isinstance(entry, dict):
            raise refuse(place, "must be an object with baseline and canary", entry)
        refuse_unknown(entry, QUESTION, place)
        yield name, place, entry


def _recognised(name: str, place: str, entry: Mapping[str, Json]) -> Question:
    fields = {field for side in ("baseline", "canary") for field in _field_names(entry.get(side))}
    kind = next((kind for field, kind in BY_FIELD.items() if field in fields), None)
    if any(field[:1] == "p" and field[1:2].isdigit() for field in fields):
        kind = Latency
    if "budget" in entry and kind is Proportion:
        kind = Objective
    if kind is None:
        known = "bad and total, events and exposure, counts, samples, p50 p95 p99, values, numerator and denominator"
        raise BadRequest(f"must have fields that tell what it is: {known}", place)
    try:
        question = kind(name=name, direction=direction_of(entry, place), muted=is_context(entry, place))
    except InvalidPolicy as error:
        raise BadRequest(f"the name {error.message}", place) from error
    if isinstance(question, Gauge):
        return replace(question, required=False)
    if isinstance(question, Latency) and unit_of(entry, place) == "ms":
        return replace(question, unit="ms")
    return replace(question, weight=Weight.CRITICAL) if kind is Proportion else question


def _field_names(side: Json) -> set[str]:
    if not isinstance(side, dict):
        return set()
    inner = [set(part) for part in side.values() if isinstance(part, dict)]
    return set().union(*inner) if inner else set(side)


def _asked(data: Mapping[str, Json], policy: Policy) -> dict[str, _Asked]:
    known = {question.name: question for question in policy.questions}
    asked: dict[str, _Asked] = {}
    for name, place, entry in _entries(data):
        if name not in known:
            near = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            raise BadRequest(f"the policy {policy.name!r} has no question {shown(name)}{near}", place)
        question = known[name]
        refuse_otherwise(question, entry, place)
        asked[name] = _one(question, place, entry, data)
    return asked


def _one(question: Question, place: str, entry: Mapping[str, Json], data: Mapping[str, Json]) -> _Asked:
    if isinstance(question, Latency):
        entry = with_counts(entry, place, question.unit)
    beside = _pairing(data) is Pairing.CONCURRENT and _aligned(data)
    edges = _edges(entry, place)
    baseline = read_side(entry.get("baseline"), f"{place}/baseline", question.kind, edges)
    canary = read_side(entry.get("canary"), f"{place}/canary", question.kind, edges)
    if beside and baseline.replicas and canary.replicas and baseline.looks != canary.looks:
        rule = f"arrays of one question must have one length: baseline has {baseline.looks}, canary {canary.looks}"
        raise BadRequest(rule, place)
    for name, side in (("baseline", baseline), ("canary", canary)):
        if side.replicas and not side.looks:
            raise BadRequest("must have at least one look, got empty arrays", f"{place}/{name}")
    notes: dict[str, Json] = {"context": True} if is_context(entry, place) else {}
    if unit_of(entry, place) == "fraction":
        notes["fraction"] = True
    if "budget" in entry:
        notes["budget"] = _budget(entry["budget"], f"{place}/budget")
    history = None
    if "history" in entry:
        history, notes["history"] = _history(question, place, entry["history"], edges)
    return _Asked(baseline=baseline, canary=canary, history=history, edges=edges, notes=notes, beside=beside)


def _edges(entry: Mapping[str, Json], place: str) -> tuple[float, ...]:
    edges = entry.get("edges", [])
    if not isinstance(edges, list):
        raise refuse(f"{place}/edges", "must be a list of upper bounds without +Inf", edges)
    found: list[float] = []
    for number, edge in enumerate(edges):
        value = scalars.number(edge, f"{place}/edges/{number}")
        if value is None or (found and value <= found[-1]):
            raise refuse(f"{place}/edges/{number}", "must rise", edge)
        found.append(value)
    return tuple(found)


def _budget(value: Json, place: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise refuse(place, "must be an object with 'remaining'", value)
    refuse_unknown(value, ("remaining",), place)
    return {"remaining": scalars.number(value.get("remaining"), f"{place}/remaining")}


def _history(
    question: Question, place: str, value: Json, edges: tuple[float, ...]
) -> tuple[Side, dict[str, float | None]]:
    place = f"{place}/history"
    if not isinstance(value, dict):
        raise refuse(place, "must be an object with start and baseline", value)
    refuse_unknown(value, HISTORY, place)
    side = read_side(value.get("baseline"), f"{place}/baseline", question.kind, edges)
    return side, {"start": scalars.time(value.get("start"), f"{place}/start")}


def _check_history(question: _Asked, name: str, start: float, length: float, data: Mapping[str, Json]) -> None:
    """Give a history without ``start`` the time right before the data; refuse one that reaches into it."""
    if question.history is None:
        return
    lasts = length * question.history.looks
    begun = question.notes["history"]["start"]
    if begun is None:
        begun = start - lasts
    elif data.get("start") is not None and begun + lasts > start + 1e-6:
        place = f"{step('/data/questions', name)}/history/start"
        raise BadRequest(
            f"must let its {question.history.looks} looks end before the data starts ({start:.0f}), got {begun:.0f}",
            place,
        )
    question.notes["history"] = {"start": begun, "end": begun + lasts}


def _step(data: Mapping[str, Json]) -> float:
    length = scalars.number(data.get("step_seconds"), "/data/step_seconds")
    if length is None:
        return USUAL_STEP
    if not 1e-3 <= length <= LONGEST_STEP:
        raise refuse("/data/step_seconds", f"must be seconds between 0.001 and {LONGEST_STEP:.0f}", length)
    return length


def _pairing(data: Mapping[str, Json]) -> Pairing:
    word = data.get("pairing", Pairing.CONCURRENT.value)
    if word not in [pairing.value for pairing in Pairing]:
        raise refuse("/data/pairing", f"must be one of {', '.join(Pairing)}", word)
    return Pairing(word)


def _weights(data: Mapping[str, Json], looks: int) -> FloatArray:
    """Return the configured share of the canary per look, (K,): one number for all, or one (or null) a look."""
    value, place = data.get("weights"), "/data/weights"
    if not isinstance(value, list):
        share = scalars.share(value, place)
        return np.full(looks, math.nan if share is None else share)
    if len(value) != looks:
        raise BadRequest(f"must be one number, or one for each of {looks} looks, got {len(value)}", place)
    shares = [scalars.share(entry, f"{place}/{number}") for number, entry in enumerate(value)]
    return np.array([math.nan if share is None else share for share in shares], dtype=np.float64)


def _aligned(data: Mapping[str, Json]) -> bool:
    return scalars.flag(data.get("aligned"), "/data/aligned") is not False


def _bounded(asked: Mapping[str, _Asked], looks: int) -> None:
    longest = max([looks, *(q.history.looks for q in asked.values() if q.history is not None)])
    if longest > MAX_LOOKS:
        raise BadRequest(f"must have at most {MAX_LOOKS:,} looks, got {longest:,}", "/data/questions")
    series = sum(len(side.replicas) * len(side.fields) for q in asked.values() for side in q.sides())
    if series > MOST_SERIES:
        raise BadRequest(f"must have at most {MOST_SERIES:,} series, got {series:,}", "/data/questions")
    weighed = looks * len(asked)
    if weighed > MOST_WEIGHED:
        rule = f"must have at most {MOST_WEIGHED:,} looks over all questions"
        raise BadRequest(f"{rule}, got {looks:,} in each of {len(asked)}", "/data/questions")
    cells = sum(side.width * len(side.replicas) for q in asked.values() for side in q.sides()) * longest
    if cells > MOST_CELLS:
        raise BadRequest(f"must unfold to at most {MOST_CELLS:,} numbers, got {cells:,}", "/data/questions")


def _question(asked: _Asked, looks: int) -> QuestionRecord:
    visible = all(side.visible for side in asked.sides())
    return QuestionRecord(
        baseline=_series(asked.baseline, looks, visible, late=not asked.beside),
        canary=_series(asked.canary, looks, visible, late=not asked.beside),
        left_out=_left_out(asked, looks),
        visible=visible,
        edges=asked.edges,
        history=None if asked.history is None else _series(asked.history, asked.history.looks, visible),
        notes=asked.notes,
    )


def _series(side: Side, looks: int, visible: bool, *, late: bool = False) -> SideSeries:
    """
    Return a side with ``looks`` looks; where a side's replicas are hidden, those of the others are put together.

    What it lacks is missing at the end, with ``late`` at the beginning: the newest number of either side is then
    that of the last look.
    """
    merged = side if visible else side.as_one()
    fields: dict[str, FloatArray] = {}
    for name, array in merged.fields.items():
        lacking = looks - array.shape[1]
        padding = [(0, 0), (lacking, 0) if late else (0, lacking)] + [(0, 0)] * (array.ndim - 2)
        fields[name] = np.pad(array, padding, constant_values=math.nan)
        fields[name].flags.writeable = False
    return SideSeries(replicas=merged.replicas, fields=fields)


def _left_out(asked: _Asked, looks: int) -> tuple[LeftOut | None, ...]:
    """Return for each look which side that the question has is missing in it; none where sides had their own times."""
    if not asked.beside:
        return (None,) * looks
    silent = {
        name: np.pad(side.silent, (0, looks - side.looks), constant_values=True)
        for name, side in (("baseline", asked.baseline), ("canary", asked.canary))
        if side.replicas
    }
    reasons: list[LeftOut | None] = []
    for look in range(looks):
        missing = [name for name, mask in silent.items() if mask[look]]
        reasons.append(LeftOut(code="missing", text=f"no numbers from {' and '.join(missing)}") if missing else None)
    return tuple(reasons)
