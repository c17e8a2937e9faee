"""
Before and after, wired to records: evidence where the baseline is gone, or never served beside the canary.

What the service did since is compared with what it did before, and how far the two move apart by themselves is learned
at the same hours of earlier days (``drift.py``). What is found began *since* the release, not thereby *because* of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis import demand, drift
from analysis.compare.counts import demanded
from analysis.drift import Drift, Kind
from analysis.gone import gone_since, kind_of, sums_of
from analysis.grid import Floats
from analysis.past import PAST, Past, read
from analysis.policy import Alphas, Gauge, Latency, Policy, Proportion, Quantile, Question, Rate, Ratio
from analysis.record import QuestionRecord, Record
from analysis.sequential import Sequential, backed
from analysis.types import BoolArray, Direction, Pairing

FLAT: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SinceEvidence:
    """
    Evidence against an earlier time at K looks. Logs are natural; the last value is the present one.

    Parameters
    ----------
    ends : (K,) float64
    since : int
        The first look that is compared with the time before.
    begun : float
        When that look began, unix seconds.
    part, whole : (K,) float64
        What the canary counted in each look; 0 in those before ``since``.
    before_part, before_whole : (K,) float64
        What the window before held, for each look's age.
    move : (K,) float64
        Log ratio of after to before; NaN where either is unknown.
    drift : Drift
        What earlier days taught, at each look's age.
    limit, limit_final, limit_step : (K,) float64
        The tolerated ratio: with the question's slack, with the budget of the last step, with that of a step.
    moves : float64 (K, D)
        Those of earlier days.
    warn, tolerated, abort, promote, step, better : (K,) float64
    setting : Setting
        What it was weighed by.
    beside : Sequential, optional
        What was weighed while the baseline was there: it speaks up to ``since``.
    """

    ends: Floats
    since: int
    begun: float
    part: Floats
    whole: Floats
    before_part: Floats
    before_whole: Floats
    move: Floats
    drift: Drift
    limit: Floats
    limit_final: Floats
    limit_step: Floats
    moves: Floats
    warn: Floats
    tolerated: Floats
    abort: Floats
    promote: Floats
    step: Floats
    better: Floats
    setting: Setting
    beside: Sequential | None = None
    elder: SinceEvidence | None = None

    @property
    def used(self) -> BoolArray:
        """(K,) bool: looks that told something."""
        return np.asarray(np.isfinite(self.move) & (self.whole > 0))

    @property
    def first_look(self) -> int | None:
        """Index of the first look that told something; None if there is none."""
        used = np.flatnonzero(self.used)
        return int(used[0]) if used.size else None

    @property
    def step_start(self) -> int:
        """Index of the first look after the baseline had gone."""
        return self.since

    @property
    def days(self) -> int:
        """Earlier days that were learned from."""
        return int(self.drift.days[-1])

    @property
    def flags(self) -> tuple[str, ...]:
        """``before and after``, and ``drift unknown`` without earlier days."""
        return ("before and after", *(() if self.days else ("drift unknown",)))

    @property
    def noise_source(self) -> str:
        """``history``: earlier days, or ``prior``."""
        return "history" if self.days else "prior"

    def provable(self, alpha: float) -> float:
        """
        Return the smallest ratio that could be proved at ``alpha``, however much is counted; infinite beyond 100.

        Of a release that is so much worse, that it is worse; of one that is not, that it is no worse than that.
        """
        kind = self.setting.kind
        endless = drift.learn(self.moves[-1:], np.zeros(1), kind)
        return float(drift.provable_ratio(endless, alpha, kind)[0])

    def without_looks(self, left_out: Sequence[int]) -> SinceEvidence:
        """Return the abort evidence with some looks left out: the burst check."""
        kept = np.ones(len(self.ends), dtype=bool)
        kept[list(left_out)] = False
        reduced = _weighed(replace(self, part=np.where(kept, self.part, 0.0), whole=np.where(kept, self.whole, 0.0)))
        return reduced if self.elder is None else reduced.backed(self.elder.without_looks(left_out))

    def backed(self, elder: SinceEvidence | None) -> SinceEvidence:
        """Return itself with an abort that ``elder``, weighed on older replicas, says too."""
        return replace(self, abort=backed(self.abort, None if elder is None else elder.abort), elder=elder)

    def loudest_look(self, look: int, tolerated: bool = True) -> int:
        """Return the look up to ``look`` that adds most to the harm: most above what was there before."""
        if look < self.since and self.beside is not None:
            return self.beside.loudest_look(look, tolerated)
        usual = self.before_part / np.where(self.before_whole > 0, self.before_whole, np.inf)
        excess = self.setting.sign * (self.part - usual * self.whole)
        return int(np.argmax(np.where(self.whole > 0, excess, -np.inf)[: look + 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """By what a question is weighed: how it moves, which change harms, what is tolerated, what a step may cost."""

    kind: Kind
    sign: int
    ratio: float
    slack: float
    budget: float | None
    alphas: Alphas
    largest: float = demand.LARGEST_SLACK


def setting_of(question: Question, policy: Policy, kind: Kind) -> Setting:
    """Return by what a question is weighed; a latency by its shift, levels without slack."""
    rate = kind == "rate"
    ratio, slack = 1.0, 0.0
    if isinstance(question, Latency):
        ratio = question.tolerance.shift
    elif isinstance(question, Proportion | Rate | Ratio | Gauge | Quantile):
        ratio, slack = question.tolerance.ratio, question.tolerance.absolute if rate else 0.0
    return Setting(
        kind=kind,
        sign=-1 if question.direction is Direction.DECREASE else 1,
        ratio=ratio,
        slack=slack,
        budget=policy.harm_budget
        if rate and not (isinstance(question, Rate) and question.exposure == "time")
        else None,
        alphas=policy.alpha,
        largest=demand.LARGEST_SLACK if isinstance(question, Proportion) else np.inf,
    )


def weigh(question: Question, policy: Policy, record: Record, beside: Sequential | None = None) -> SinceEvidence | None:
    """
    Return the evidence of one question against the time before its baseline was gone.

    Parameters
    ----------
    question : Question
        One that `applies`.
    policy : Policy
    record : Record
    beside : Sequential, optional
        What its kind makes of the looks in which both sides served.

    Returns
    -------
    SinceEvidence or None
        None where nothing is known of the time before. It begins anew at the first look without the baseline: looks
        before it keep what was weighed beside it, so an abort that was proved then stays proved, and a promotion that
        was proved then stays so until what came since speaks against it.

    Notes
    -----
    The window before is an hour, at least the time judged, at most four; earlier days are cut at the same clock times
    (latency-gauges.md 6). A rate moves by ``ln((X+1/2)/n) - ln((Y+1/2)/m)`` per request, a level by the difference of
    its mean logarithms. Two promises of ``alpha.abort`` stand one after the other: beside the baseline, and since.
    """
    found = record.questions[question.name]
    kind = kind_of(question, found)
    if kind is None:
        return None
    after = record.pairing is Pairing.BEFORE_AFTER
    since = 0 if after else gone_since(question, record)
    part, whole = sums_of(question, found, found.canary)
    if since is None or not np.any(whole[since:] > 0):
        return None
    if after:
        since = int(np.flatnonzero(whole > 0)[0])
    part[:since], whole[:since] = 0.0, 0.0
    begun = float(record.ends[since] - record.lengths[since])
    past = read(found.notes[PAST]) if PAST in found.notes else None
    before, moves = _before(question, found, record, past, begun, kind)
    if not np.any(before[1] > 0):
        return None
    nothing = np.zeros(len(record.ends))
    empty = drift.learn(np.zeros((len(nothing), 0)), nothing, kind)
    return _weighed(
        SinceEvidence(
            ends=record.ends, since=since, begun=begun, part=part, whole=whole,
            before_part=before[0], before_whole=before[1], moves=moves, drift=empty, move=nothing,
            limit=nothing, limit_final=nothing, limit_step=nothing,
            warn=nothing, tolerated=nothing, abort=nothing, promote=nothing, step=nothing, better=nothing,
            setting=setting_of(question, policy, kind), beside=beside,
        )
    )  # fmt: skip


def _before(
    question: Question, found: QuestionRecord, record: Record, past: Past | None, begun: float, kind: Kind
) -> tuple[tuple[Floats, Floats], Floats]:
    """Return part and whole of the window before at every look, (K,) each, and how earlier days moved, (K, D)."""
    ends = np.maximum(record.ends, begun + FLAT)
    if past is None:
        part, whole = sums_of(question, found, found.baseline)
        ones = np.ones(len(ends))
        return (ones * part.sum(), ones * whole.sum()), np.zeros((len(ends), 0))
    lengths = np.array([drift.before_window(max(0.0, age)) for age in (ends - begun).tolist()])
    lengths = np.minimum(lengths, past.before * past.step)
    own = past.window(past.start - lengths, np.full(len(ends), past.start))
    late = np.maximum(ends, begun + 1.0)
    later = past.window(np.full(len(ends), begun), late)
    moves = _moves(kind, (later[0][1:], later[1][1:]), (own[0][1:], own[1][1:]))
    return (np.nan_to_num(own[0][0]), np.nan_to_num(own[1][0])), moves.T


def _moves(kind: Kind, after: tuple[Floats, Floats], before: tuple[Floats, Floats]) -> Floats:
    """Return by how much each window moved from the one before it, log ratio; NaN where either is unknown."""
    known = np.isfinite(after[1]) & np.isfinite(before[1]) & (after[1] > 0) & (before[1] > 0)
    tops, wholes = [], []
    for part, whole in (after, before):
        tops.append(np.where(known, part, 1.0))
        wholes.append(np.where(known, whole, 1.0))
    if kind == "level":
        found = tops[0] / wholes[0] - tops[1] / wholes[1]
    else:
        found = drift.log_rate_ratio(tops[0], wholes[0], tops[1], wholes[1])
    return np.where(known, found, np.nan)


def _weighed(found: SinceEvidence) -> SinceEvidence:
    """Return the evidence of what was counted."""
    setting = found.setting
    part, whole = np.cumsum(found.part), np.cumsum(found.whole)
    move = _moves(setting.kind, (part, whole), (found.before_part, found.before_whole))
    known = np.isfinite(move)
    counting = drift.counting_variance(part, found.before_part) if setting.kind == "rate" else np.zeros(len(move))
    learned = drift.learn(found.moves, counting, setting.kind)
    limits = _limits(found, whole)
    safe = np.where(known, move, 0.0)
    plain = drift.weigh(safe, learned, 1.0, setting.kind, setting.sign)
    edges = [_beyond(safe, learned, limit, setting) for limit in limits]
    fresh = {
        "warn": plain.warn,
        "tolerated": edges[0][0],
        "abort": demanded(plain.warn, edges[0][0], setting.alphas),
        "promote": edges[1][1],
        "step": edges[2][1],
        "better": plain.better,
    }
    told = {name: np.where(known, values, 0.0) for name, values in fresh.items()}
    joined = _joined(found, told)
    return replace(
        found, move=move, drift=learned, limit=limits[0], limit_final=limits[1], limit_step=limits[2],
        warn=joined["warn"], tolerated=joined["tolerated"], abort=joined["abort"],
        promote=joined["promote"], step=joined["step"], better=joined["better"],
    )  # fmt: skip


def _joined(found: SinceEvidence, told: dict[str, Floats]) -> dict[str, Floats]:
    """Return evidence that is that of ``beside`` up to the switch; what it proved stays until something is worse."""
    beside, since = found.beside, found.since
    if beside is None or not since:
        return told
    alphas = found.setting.alphas
    calm = told["warn"] < -np.log(alphas.freeze)
    goals = {"promote": -np.log(alphas.promote), "step": -np.log(alphas.step), "better": -np.log(alphas.promote)}
    proved = float(beside.promote[since - 1]) >= goals["promote"]
    result = {}
    for name, values in told.items():
        earlier: Floats = getattr(beside, name)
        kept = proved and name in goals
        after = np.where(calm, np.maximum(values, earlier[since - 1]), values) if kept else values
        result[name] = np.concatenate([earlier[:since], after[since:]])
    return result


def _limits(found: SinceEvidence, whole: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the tolerated ratio at every look: the question's, that of the last step, that of a step to everything."""
    setting, ones = found.setting, np.ones(len(whole))
    if setting.kind != "rate" or setting.sign < 0:
        return (ones * setting.ratio,) * 3
    usual = (found.before_part + 0.5) / (found.before_whole + 1.0)
    own = setting.ratio + setting.slack / usual
    seconds = np.maximum(found.ends - found.begun, 1.0)
    rate = whole / seconds
    if setting.budget is None:
        return own, own, own
    safe = np.where(rate > 0, rate, 1.0)
    final = demand.final_slack(setting.slack, setting.budget, safe, setting.largest)
    step = demand.step_slack(setting.budget, safe, usual, ones, setting.largest)
    return own, setting.ratio + final / usual, setting.ratio + np.maximum(step, final) / usual


def _beyond(move: Floats, learned: Drift, limit: Floats, setting: Setting) -> tuple[Floats, Floats]:
    """Return the evidence of "beyond the limit" and of "within it" for a limit that changes with the looks."""
    shifted = setting.sign * (move - learned.shift) - np.log(limit)
    level = replace(learned, shift=np.zeros_like(learned.shift))
    found = drift.weigh(shifted, level, 1.0, setting.kind)
    return found.warn, found.better
