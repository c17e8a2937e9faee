"""
How a verdict came about, look by look: evidence against its goals, effects with bounds, both sides themselves.

A pure function of policy and record like the verdict, and worked out by the same arithmetic: its last look is what the
report of that time says. Plots are made of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis import levels, merging, sides
from analysis.compare.counts import CountsEvidence
from analysis.compare.effects import fault_start
from analysis.compare.gauges import GaugeEvidence
from analysis.compare.latency import LatencyEvidence
from analysis.compare.percentiles import PercentileEvidence
from analysis.compare.tracks import LineTrack, Track, line_track, track
from analysis.grid import Floats
from analysis.policy import Alphas, Limits, Objective, Policy, Question
from analysis.record import Record
from analysis.sequential import Sequential
from analysis.sides import Distribution, Series
from analysis.types import BoolArray, May, Pairing, Stage
from analysis.variations import VARIATION, line_of, proof_of
from analysis.weighing import Harm, demanded, harm_of, weigh, with_next_weight


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuestionTrace:
    """
    One question at every look of a release.

    Parameters
    ----------
    name, kind : str
    used : (K,) bool
        Looks that told something; all False where nothing was weighed.
    log_e : mapping of str to (K,) float64
        Natural logarithms by what they speak for: ``worse``, ``tolerated``, ``abort``, ``step``, ``promote``,
        ``better``, as in `analysis.report.Evidence`; empty where the kind has no sequential evidence.
    goals : mapping of str to float
        What each needs.
    share : float
        Share of the evidence against the release, in [0, 1]; 0 for a question that can stop nothing.
    may_abort : bool
        Whether its evidence is part of the sum that aborts.
    steps : tuple of float
        When the weight was seen to change, unix seconds.
    left_out : tuple of (float, float)
        Spans that were not used, unix seconds, merged where they touch.
    fault_start : float or None
        When harm most likely began; only worth showing where harm was found.
    evidence : Sequential or None
        What all of this was read from; None where nothing was weighed.
    natural : (LineTrack, (S,) float64) or None
        How a series without counts moved against its own variation, with the end of each of its samples, unix seconds.
    series : Series or None
        What each side did.
    distribution : Distribution or None
        Latencies of both sides.
    """

    name: str
    kind: str
    used: BoolArray
    log_e: Mapping[str, Floats]
    goals: Mapping[str, float]
    share: float
    may_abort: bool
    steps: tuple[float, ...]
    left_out: tuple[tuple[float, float], ...]
    fault_start: float | None
    evidence: Sequential | None
    natural: tuple[LineTrack, Floats] | None
    series: Series | None
    distribution: Distribution | None

    def track(self) -> Track | None:
        """
        Return the effect with its bounds, look by look; None where nothing was weighed.

        Worked out when it is asked for: it costs up to a hundred times as much as everything else here.
        """
        return None if self.evidence is None else track(self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """
    A release at every look.

    Parameters
    ----------
    start : float
        Unix seconds at which the first look began.
    ends : (K,) float64
        Unix time of each look's end, rising.
    stage : Stage
        Which demand was made at the end.
    merged, peak : (K,) float64
        Log of the weighted sum of all questions' abort evidence, and its running maximum; minus infinity where no
        question may abort.
    abort_goal : float
        What ``peak`` needs.
    abort_at : float or None
        End of the look at which the abort was proved, unix seconds.
    questions : mapping of str to QuestionTrace
        In the order of the policy; limits and objectives are absent, they read the numbers of others.
    """

    start: float
    ends: Floats
    stage: Stage
    merged: Floats
    peak: Floats
    abort_goal: float
    abort_at: float | None
    questions: Mapping[str, QuestionTrace]


def trace(
    policy: Policy,
    record: Record,
    at: float,
    *,
    stage: Stage | None = None,
    next_weight: float | None = None,
) -> Trace:
    """
    Return how the verdict on a release came about.

    Parameters
    ----------
    policy, record, at, stage, next_weight
        As for `analysis.judge.judge`.

    Returns
    -------
    Trace
        Without questions if no look is closed. Its evidence at the last look is that of the report.
    """
    seen = record.until(at)
    weighed = dict(weigh(policy, seen, next_weight if stage is not Stage.FINAL else 1.0))
    demand = demanded(policy, weighed, stage, next_weight)
    if demand.next_weight is not None:
        weighed = with_next_weight(policy, seen, weighed, demand.next_weight)
    harm = harm_of(policy, seen, weighed)
    lethal = {n: share if policy.question(n).may is May.ABORT else 0.0 for n, share in harm.omegas.items()}
    merged = _merged(weighed, lethal, len(seen.ends))
    questions = {
        question.name: _question(question, policy.alpha, seen, weighed.get(question.name), harm.omegas)
        for question in policy.questions
        if not isinstance(question, Limits | Objective)
    }
    return Trace(
        start=seen.grid.start,
        ends=seen.ends,
        stage=demand.stage,
        merged=merged,
        peak=np.maximum.accumulate(merged) if len(merged) else merged,
        abort_goal=-float(np.log(policy.alpha.abort)),
        abort_at=_aborted(policy, seen, weighed, lethal, harm),
        questions=questions if len(seen.ends) else {},
    )


def _merged(weighed: Mapping[str, Sequential], lethal: Mapping[str, float], count: int) -> Floats:
    """Return the log of the weighted sum, (K,); a question without data keeps its share, with evidence of 1."""
    if not count or not any(lethal.values()):
        return np.full(count, -np.inf)
    nothing = np.zeros(count)
    found = [weighed[name].abort if name in weighed else nothing for name in lethal]
    return merging.merged(np.stack(found), np.array(list(lethal.values())))


def _aborted(
    policy: Policy, record: Record, weighed: Mapping[str, Sequential], lethal: Mapping[str, float], harm: Harm
) -> float | None:
    """Return the end of the first look at which the abort was proved: jointly, or by a freeze that stayed open."""
    looks = [harm.abort.look] if harm.abort is not None else []
    looks += [
        merging.unresolved(weighed[name], lethal[name], policy.alpha, policy.freeze_limit) for name in harm.unresolved
    ]
    proved = [look for look in looks if look is not None]
    return float(record.ends[min(proved)]) if proved else None


def _question(
    question: Question, alphas: Alphas, record: Record, evidence: Sequential | None, shares: Mapping[str, float]
) -> QuestionTrace:
    began = fault_start(evidence) if isinstance(evidence, CountsEvidence) else None
    starts = record.ends - record.lengths
    steps = np.flatnonzero(_steps(evidence)) if evidence is not None else np.zeros(0, dtype=np.int64)
    return QuestionTrace(
        name=question.name,
        kind=question.kind,
        used=np.zeros(len(record.ends), dtype=bool) if evidence is None else evidence.used,
        log_e={} if evidence is None else _log_e(evidence),
        goals={} if evidence is None else _goals(alphas),
        share=shares.get(question.name, 0.0),
        may_abort=question.may is May.ABORT and shares.get(question.name, 0.0) > 0,
        steps=tuple(starts[steps].tolist()),
        left_out=_spans(question, record),
        fault_start=None if began is None else float(starts[began]),
        evidence=evidence,
        natural=_natural(question, record),
        series=sides.series(question, record),
        distribution=sides.distribution(question, record),
    )


def _natural(question: Question, record: Record) -> tuple[LineTrack, Floats] | None:
    """Return how a question that is judged beside stable by its variation moved; None for every other."""
    beside = record.pairing is Pairing.CONCURRENT and record.aligned
    if not beside or proof_of(question, record) != VARIATION:
        return None
    line = line_of(question, record)
    found = None if line is None else line_track(line, record.grid.length)
    if found is None:
        return None
    slots = levels.slots_of(record).astype(np.int64)
    return found, np.repeat(record.ends, slots)


def _log_e(found: Sequential) -> dict[str, Floats]:
    return {
        "worse": found.warn, "tolerated": found.tolerated, "abort": found.abort,
        "step": found.step, "promote": found.promote, "better": found.better,
    }  # fmt: skip


def _goals(alphas: Alphas) -> dict[str, float]:
    accepted = {
        "worse": alphas.freeze, "tolerated": alphas.tolerated, "abort": alphas.abort,
        "step": alphas.step, "promote": alphas.promote, "better": alphas.promote,
    }  # fmt: skip
    return {name: -float(np.log(alpha)) for name, alpha in accepted.items()}


def _steps(found: Sequential) -> BoolArray:
    if isinstance(found, CountsEvidence | LatencyEvidence):
        return found.steps
    level = next(iter(found.by_name.values())) if isinstance(found, PercentileEvidence) else found
    marked = level.data.steps if isinstance(level, GaugeEvidence) else None
    return np.zeros(len(found.ends), dtype=bool) if marked is None else marked


def _spans(question: Question, record: Record) -> tuple[tuple[float, float], ...]:
    """Return the times that were left out, touching looks as one."""
    raw = record.questions.get(question.name)
    if raw is None:
        return ()
    starts = record.ends - record.lengths
    spans: list[tuple[float, float]] = []
    looks = enumerate(raw.left_out)
    for left_out, run in itertools.groupby(looks, key=lambda look: look[1] is not None):
        if left_out:
            places = [place for place, _ in run]
            spans.append((float(starts[places[0]]), float(record.ends[places[-1]])))
    return tuple(spans)
