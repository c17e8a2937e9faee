"""
From a record to levels: values of each pod, slot by slot, for gauges, quotients and published percentiles.

A ratio of two counters is the level ``numerator/denominator`` of each pod in each look (statistics.md 2.1): its mean
over looks is what is compared, its noise is that of the stable pods' own quotients, heavy tails and clumps
included, scaled by the ratio of the denominators per pod where the sides serve unlike traffic (latency-gauges.md 1.2).
A look in which a pod counted nothing in its denominator is a missing value of that pod.

A slot is one look of the first length; a look that lengthened is as many slots of its mean, which leaves every mean
what it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis import silences
from analysis.compare import gauges, percentiles
from analysis.compare.gauge_curves import GaugeQuestion
from analysis.compare.gauge_scale import Scale
from analysis.compare.gauges import GaugeData, GaugeEvidence
from analysis.compare.percentiles import PercentileEvidence
from analysis.policy import Gauge, Latency, Policy, Proportion, Quantile, Question, Rate, Ratio
from analysis.record import QuestionRecord, Record, SideSeries
from analysis.silences import Silence
from analysis.types import BoolArray, FloatArray, Side

LevelQuestion = Gauge | Quantile | Latency | Proportion | Rate | Ratio
LevelEvidence = GaugeEvidence | PercentileEvidence
VALUES: Final = "values"
QUOTIENT: Final = "quotient"
"""Not a field of a record: the level of a ratio, made of its two counters."""
PARTS: Final = ("numerator", "denominator")
T = TypeVar("T", bound=np.generic)
_PERCENTILE: Final = re.compile(r"p\d+(\.\d+)?")


def fields_of(found: QuestionRecord) -> tuple[str, ...]:
    """Return the levels of a question: ``values``, ``quotient`` or published percentiles; empty if it has none."""
    if VALUES in found.baseline.fields or VALUES in found.canary.fields:
        return (VALUES,)
    there = found.baseline.fields.keys() | found.canary.fields.keys()
    if there.issuperset(PARTS):
        return (QUOTIENT,)
    return tuple(sorted(name for name in there if _PERCENTILE.fullmatch(name)))


def level_of(series: SideSeries, field: str) -> FloatArray | None:
    """Return a level of one side, (R, K), None where it has none; a quotient is NaN where its denominator is 0."""
    if field != QUOTIENT:
        return series.fields.get(field)
    if not set(PARTS) <= set(series.fields):
        return None
    part, whole = (series.fields[name] for name in PARTS)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)


def asked(question: LevelQuestion, policy: Policy) -> GaugeQuestion:
    """Return what a question asks, in the words of the arithmetic; percentiles are compared as logarithms."""
    scale: Scale = "log" if isinstance(question, Latency | Quantile) else "auto"
    if isinstance(question, Latency):
        return GaugeQuestion(
            ratio=question.tolerance.shift, direction=question.direction, scale=scale, alphas=policy.alpha
        )
    return GaugeQuestion(
        ratio=question.tolerance.ratio,
        slack=question.tolerance.absolute,
        direction=question.direction,
        scale=scale,
        alphas=policy.alpha,
    )


def silence(question: Question, record: Record) -> Silence | None:
    """Return why a question cannot be judged on this record, or None if it can; see `analysis.silences.silence`."""
    found = record.questions.get(question.name)
    counted = fields_of(found) if found is not None else ()
    if counted == (QUOTIENT,):
        return silences.silence(question, record, ("denominator",), "denominator")
    return silences.silence(question, record, counted, "values")


def slots_of(record: Record) -> FloatArray:
    """
    Return how many slots each look is, shape ``(K,)``, at least 1.

    The first look gives the length of a slot; later ones are 1, 2, 4 ... of it.
    """
    lengths = record.lengths
    return np.maximum(1, np.rint(lengths / record.grid.length)) if len(lengths) else np.ones(0)


def level_data(
    question: Question, record: Record, field: str = VALUES, *, steps: BoolArray | None = None
) -> GaugeData | None:
    """
    Return the values of one question, slot by slot; None if a side has no value at all.

    Parameters
    ----------
    question : Question
    record : Record
    field : str
        ``values`` or a percentile.
    steps : (K,) bool, optional
        Looks at which the traffic split had changed.
    """
    found = record.questions.get(question.name)
    if found is None or not len(record.ends):
        return None
    return data_of(found, record, tuple(level_of(found.side(side), field) for side in Side), field, steps)


def data_of(
    found: QuestionRecord,
    record: Record,
    sides: Sequence[FloatArray | None],
    field: str,
    steps: BoolArray | None = None,
) -> GaugeData | None:
    """Return baseline and canary values, (R, K) each, as slots; see `level_data`."""
    baseline, canary = sides
    if baseline is None or canary is None or not np.isfinite(baseline).any() or not np.isfinite(canary).any():
        return None
    repeats = slots_of(record).astype(np.int64)
    upto = repeats.cumsum()
    every_look = upto[-1] == len(repeats)  # is one slot

    def slots(values: NDArray[T]) -> NDArray[T]:
        return np.ascontiguousarray(values) if every_look else np.repeat(values, repeats, axis=-1)

    return GaugeData(
        baseline=slots(baseline),
        canary=slots(canary),
        ends=record.ends,
        history=_history(found.history, field),
        upto=upto,
        left_out=slots(found.mixed),
        steps=steps,
        traffic=_traffic(found) if field == QUOTIENT else 1.0,
    )


def _history(series: SideSeries | None, field: str) -> FloatArray | None:
    return None if series is None or not series.replicas else level_of(series, field)


def _traffic(found: QuestionRecord) -> float:
    """Return the canary's denominator per pod and look over stable's, 1 where a side counted nothing."""
    means = []
    for side in (found.canary, found.baseline):
        served = side.fields[PARTS[1]]
        known = np.isfinite(served) & (served > 0)
        means.append(float(served[known].mean()) if known.any() else 0.0)
    canary, baseline = means
    return canary / baseline if canary > 0 and baseline > 0 else 1.0


def weigh_together(
    asked_of: Sequence[tuple[LevelQuestion, Record]], policy: Policy, *, steps: BoolArray | None = None
) -> list[LevelEvidence | None]:
    """
    Return the evidence of levels, pod by pod; None where a side has no value, or percentiles are censored away.

    Parameters
    ----------
    asked_of : sequence of (question, Record)
        Gauge, Quantile, Latency (published percentiles), or any other kind that was asked as a ``query``, each on its
        record.
    policy : Policy
    steps : (K,) bool, optional
        Looks at which the traffic split had changed.
    """
    found: list[LevelEvidence | None] = [None] * len(asked_of)
    plain: dict[int, tuple[GaugeData, GaugeQuestion]] = {}
    for place, (question, record) in enumerate(asked_of):
        there = record.questions.get(question.name)
        fields = fields_of(there) if there is not None else ()
        data = {name: each for name in fields if (each := level_data(question, record, name, steps=steps)) is not None}
        wanted = asked(question, policy)
        if len(data) == 1 and data.keys() & {VALUES, QUOTIENT} and wanted.scale == "auto":
            plain[place] = next(iter(data.values())), wanted
        elif data:
            found[place] = percentiles.weigh(data, wanted)
    both = list(plain.values())
    for place, evidence in zip(plain, gauges.weigh_together([d for d, _ in both], [q for _, q in both]), strict=True):
        found[place] = evidence
    return found
