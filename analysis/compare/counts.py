"""
Evidence for a share of bad events, from counts of both sides: the question kind ``proportion``.

The limit of a question is one line, ``p_c = ratio p_s + slack``. Where a *fall* does harm (orders placed, logins
that succeed) the sides change places in the bets: harm is ``p_s > ratio p_c + slack``, so a ratio of 1.5 tolerates
a canary with two thirds of stable's share. Counting the complement instead would compare the shares of
those who did not order, whose ratio says little when few do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.compare.arms import Prepared, batch_of, prepare
from analysis.compare.claims import final_demand, no_worse_and_better, warn_and_tolerated
from analysis.compare.counts_arms import arms_of, kin_of
from analysis.compare.counts_flags import flags, noise_source
from analysis.compare.steps import StepEvidence, step_evidence
from analysis.demand import next_weight as default_next
from analysis.errors import InvalidInput
from analysis.evidence import Null, log_likelihood
from analysis.exposure import Exposure
from analysis.grid import POD_SDS, Floats
from analysis.noise import Noise
from analysis.policy import Alphas
from analysis.resumed import in_batches
from analysis.types import BoolArray, Direction


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountsData:
    """
    Counts of one question of one release.

    Parameters
    ----------
    baseline_bad, baseline_total : (R_s, K) float64
        Bad events and requests per replica and look; NaN is missing. One row if replicas are not visible.
    canary_bad, canary_total : (R_c, K) float64
    left_out : (K,) bool
        Looks that a flag excludes: they keep their number and are not judged.
    ends : (K,) float64
        Unix time of each look's end, rising.
    seconds : (K,) float64
        Length of each look.
    visible : bool, default True
        Whether rows are replicas.
    history : Noise, optional
        Stable before the release.
    earlier_bad, earlier_total : (R_s, H) float64, optional
        The looks of history that counted, if fewer than 8 did; rows as those of the baseline.
    """

    baseline_bad: Floats
    baseline_total: Floats
    canary_bad: Floats
    canary_total: Floats
    left_out: BoolArray
    ends: Floats
    seconds: Floats
    visible: bool = True
    history: Noise | None = None
    earlier_bad: Floats | None = None
    earlier_total: Floats | None = None

    def __post_init__(self) -> None:
        looks = self.left_out.shape
        if len(looks) != 1 or looks[0] == 0 or self.ends.shape != looks or self.seconds.shape != looks:
            raise InvalidInput(f"needs one end, length and mark for each of at least one look, got {looks}")
        for side in ("baseline", "canary"):
            bad, total = getattr(self, f"{side}_bad"), getattr(self, f"{side}_total")
            if bad.shape != total.shape or bad.ndim != 2 or bad.shape[1:] != looks or not bad.shape[0]:
                raise InvalidInput(
                    f"needs two (replicas, {looks[0]}) arrays, got {bad.shape}, {total.shape}", f"/{side}"
                )
            for name, values in (("bad", bad), ("total", total)):
                low, high = (
                    end.reduce(values, axis=None, initial=0.0) for end in (np.fmin, np.fmax)
                )  # of what is there
                if low < 0 or np.isinf(high):
                    raise InvalidInput("must be finite and not negative, or NaN for missing", f"/{side}/{name}")
        if (self.earlier_bad is None) != (self.earlier_total is None):
            raise InvalidInput("needs both bad and total, or neither", "/earlier")
        if self.earlier_bad is not None and self.earlier_total is not None:
            shapes = self.earlier_bad.shape, self.earlier_total.shape
            if shapes[0] != shapes[1] or shapes[0][:1] != self.baseline_bad.shape[:1]:
                raise InvalidInput(f"needs the baseline's rows, got {shapes[0]} and {shapes[1]}", "/earlier")
        if np.any(self.seconds <= 0) or not np.all(np.isfinite(self.seconds)):
            raise InvalidInput("every look must have a positive length", "/seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsQuestion:
    """
    What is asked: harm means ``p_c > ratio p_s + slack`` (decrease: ``p_s > ratio p_c + slack``).

    Parameters
    ----------
    ratio : float, >= 1
    slack : float, in [0, 1)
        Where the exposure is no request: any, in events per unit of it.
    direction : Direction
        Which change does harm.
    harm_budget : float, > 0
        Extra bad events that the last step may cost in its first hour.
    alphas : Alphas
    exposure : {"requests", "time", "units"}, default "requests"
        What totals are; all but requests may hold any number of events.
    """

    ratio: float = 1.5
    slack: float = 0.001
    direction: Direction = Direction.INCREASE
    harm_budget: float = 20.0
    alphas: Alphas = field(default_factory=Alphas)
    exposure: Exposure = "requests"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.ratio) and self.ratio >= 1):
            raise InvalidInput(f"must be at least 1, got {self.ratio!r}", "/tolerance/ratio")
        if self.exposure == "requests" and not 0 <= self.slack < 1:
            raise InvalidInput(f"must lie in [0, 1), got {self.slack!r}", "/tolerance/absolute")
        if not (np.isfinite(self.slack) and self.slack >= 0):
            raise InvalidInput(f"must not be negative, got {self.slack!r}", "/tolerance/absolute")
        if not (np.isfinite(self.harm_budget) and self.harm_budget > 0):
            raise InvalidInput(f"must be positive, got {self.harm_budget!r}", "/harm_budget")

    @property
    def swapped(self) -> bool:
        """Whether the sides change places in the bets."""
        return self.direction is Direction.DECREASE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class CountsEvidence:
    """
    The evidence of one question at every look. Logs are natural; the last value is the present one.

    Parameters
    ----------
    question : CountsQuestion
    ends : (K,) float64
        Unix time of each look's end.
    prepared : Prepared
        The looks that were judged (N = 1).
    warn : (K,) float64
        log E_warn: worse than stable.
    tolerated : (K,) float64
        log E_tol: beyond the tolerance.
    abort : (K,) float64
        log A*: the smaller of ``warn`` and ``tolerated + ln(alpha_tolerated/alpha_abort)``.
    promote : (K,) float64
        log P: within the final limit, over the whole run; 0 while that limit is unknown.
    by_step : StepEvidence
        log P_step: within the step's limit, over the looks of each weight step.
    better : (K,) float64
        log B: fewer bad events than stable.
    slack_final : float or None
        D_final; None while the traffic is unknown.
    next_weight : float or None
        The canary's share after the next step, named or following from the observed one; None before any traffic.
    phi, pod_sd : float
        Noise in use at the last look.
    noise_source : str
        ``history``, ``run`` or ``prior``.
    flags : tuple of str
        ``inconsistent_counters``, ``no_baseline``, ``noise: prior``, ``dispersion: run``, ``pods: unknown``,
        ``one stable pod``.
    """

    question: CountsQuestion
    ends: Floats
    prepared: Prepared
    warn: Floats
    tolerated: Floats
    abort: Floats
    promote: Floats
    by_step: StepEvidence
    better: Floats
    slack_final: float | None
    phi: float
    pod_sd: float
    noise_source: str
    next_weight: float | None = None
    flags: tuple[str, ...] = field(default=())

    @property
    def step(self) -> Floats:
        """(K,) log P_step."""
        return self.by_step.log_e

    @property
    def slack_step(self) -> float | None:
        """D_step of the present step; None while the traffic is unknown."""
        return self.by_step.slack

    @property
    def requests_per_second(self) -> float | None:
        """Of both sides together, that the step's demand was made of; None while unknown."""
        return None if self.by_step.slack is None else float(self.by_step.known.requests_per_second[0])

    @property
    def bad_share(self) -> float | None:
        """Stable's share, likewise."""
        return None if self.by_step.slack is None else float(self.by_step.known.bad_share[0])

    @property
    def used(self) -> BoolArray:
        """(K,) bool: looks that were judged, not skipped."""
        return np.asarray(self.prepared.looks.used[0])

    @property
    def steps(self) -> BoolArray:
        """(K,) bool: looks at which the traffic split had changed."""
        return np.asarray(self.prepared.steps[0])

    @property
    def first_look(self) -> int | None:
        """Index of the first look in which both sides had requests; None if there is none."""
        first = int(self.prepared.first[0])
        return first if first < len(self.ends) else None

    @property
    def step_start(self) -> int:
        """Index of the first look of the weight step that is running."""
        marked = np.flatnonzero(self.steps)
        return int(marked[-1]) if marked.size else min(int(self.prepared.first[0]), len(self.ends) - 1)

    @property
    def empty_looks(self) -> int:
        """Looks since the first in which a side had no request."""
        return int(self.prepared.empty[0, self.prepared.first[0] :].sum())

    def without_looks(self, left_out: Sequence[int]) -> CountsEvidence:
        """
        Return the abort evidence with some looks skipped, their start mass spent: the burst check.

        Parameters
        ----------
        left_out : sequence of int
            Indices of looks.
        """
        mask = np.zeros(len(self.ends), dtype=bool)
        mask[list(left_out)] = True
        reduced = replace(self.prepared, looks=self.prepared.looks.without(mask))
        warn, tolerated = warn_and_tolerated(reduced, self.question.ratio, self.question.slack)
        abort = demanded(warn[0], tolerated[0], self.question.alphas)
        return replace(self, prepared=reduced, warn=warn[0], tolerated=tolerated[0], abort=abort)

    def loudest_look(self, look: int, tolerated: bool = True) -> int:
        """
        Return the look that gave most to the evidence so far: what the burst check leaves out.

        Parameters
        ----------
        look : int
            Index of the present look; only it and those before it count.
        tolerated : bool, default True
            By the evidence "beyond the tolerance", else by "worse than stable".
        """
        null = Null(ratio=self.question.ratio, slack=self.question.slack) if tolerated else Null()
        gain = log_likelihood(self.prepared.looks.between(0, look + 1), 1, null)[0]
        return int(gain[:, gain.sum(axis=0).argmax()].argmax())


def demanded(warn: Floats, tolerated: Floats, alphas: Alphas) -> Floats:
    """Return log A*: what abort demands, "worse" at alpha_abort and "beyond the limit" at alpha_tolerated."""
    return np.asarray(np.minimum(warn, tolerated + np.log(alphas.tolerated / alphas.abort)))


def weigh(data: CountsData, question: CountsQuestion, next_weight: float | None = None) -> CountsEvidence:
    """
    Return the evidence of one question at every look.

    Parameters
    ----------
    data : CountsData
    question : CountsQuestion
    next_weight : float, optional
        The canary's share after the next step, in (0, 1]; without it, it follows from the observed share.

    Returns
    -------
    CountsEvidence
        Never NaN. A look without requests on a side, left out, inconsistent, or before enough is known of the
        noise earns nothing; too little data is evidence near 0, not an error.

    Raises
    ------
    InvalidInput
        If ``next_weight`` lies outside (0, 1].
    """
    return weigh_together([data], [question], next_weight)[0]


def weigh_together(
    data: Sequence[CountsData], questions: Sequence[CountsQuestion], next_weight: float | None = None
) -> list[CountsEvidence]:
    """
    Return what `weigh` says of each of several questions of one release, up to the rounding of a matrix product.

    Those that are alike are one batch, which costs little more than one of them.

    Raises
    ------
    InvalidInput
        If ``next_weight`` lies outside (0, 1].
    """
    if next_weight is not None and not 0 < next_weight <= 1:
        raise InvalidInput(f"must lie in (0, 1], got {next_weight!r}", "/next_weight")
    return in_batches(
        [kin_of(*each) for each in zip(data, questions, strict=True)],
        lambda places: _weigh_alike([data[n] for n in places], [questions[n] for n in places], next_weight),
    )


def _weigh_alike(
    data: Sequence[CountsData], questions: Sequence[CountsQuestion], next_weight: float | None
) -> Iterator[CountsEvidence]:
    """Yield the evidence of questions that have everything of `kin_of` in common."""
    ratio, slack = (np.array([getattr(question, name) for question in questions]) for name in ("ratio", "slack"))
    budget = questions[0].harm_budget
    prepared = prepare(batch_of([arms_of(*each) for each in zip(data, questions, strict=True)]))
    each = prepared.one_by_one
    warn, tolerated = warn_and_tolerated(prepared, ratio, slack)
    final, known = final_demand(prepared, slack, budget)
    share = known.bad_share if prepared.history.traffic is not None else None
    promote, praise = no_worse_and_better(prepared, Null(ratio=ratio, slack=final), share, known.since)
    by_step = step_evidence(prepared, ratio, budget, next_weight, each)
    for row, (asked, question, alone) in enumerate(zip(data, questions, each, strict=True)):
        source = noise_source(asked, alone)
        yield CountsEvidence(
            question=question,
            ends=asked.ends,
            prepared=alone,
            warn=warn[row],
            tolerated=tolerated[row],
            abort=demanded(warn[row], tolerated[row], question.alphas),
            promote=promote[row],
            by_step=by_step[row],
            better=praise[row],
            slack_final=float(final[row]) if alone.knows(known.chosen(slice(row, row + 1))) else None,
            phi=float(alone.looks.phi[0, -1]),
            pod_sd=float(np.sqrt(alone.looks.pod_weights[0, -1] @ POD_SDS**2)),
            noise_source=source,
            next_weight=next_weight if next_weight is not None else _following(alone),
            flags=flags(asked, alone, source),
        )


def with_next_weight(evidence: CountsEvidence, next_weight: float) -> CountsEvidence:
    """Return the same evidence for another next weight, in (0, 1]: only the step's demand is weighed anew."""
    question = evidence.question
    (by_step,) = step_evidence(evidence.prepared, question.ratio, question.harm_budget, next_weight)
    return replace(evidence, by_step=by_step, next_weight=next_weight)


def _following(prepared: Prepared) -> float | None:
    """Return the canary's share after the next step where nobody names it, from that since the last step."""
    marked = np.flatnonzero(prepared.steps[0])
    since = int(marked[-1]) if marked.size else 0
    canary = float(prepared.canary_total[0, since:].sum())
    both = canary + float(prepared.stable_total[0, since:].sum())
    return float(default_next(np.array(canary / both))) if both > 0 else None
