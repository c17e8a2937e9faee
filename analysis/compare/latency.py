"""
Evidence for a latency, from histograms of both sides: half the typical request, half the tail.

Harm is "slower", and it has two sizes that cannot be one number: ``shift``, how much slower a typical request is, and
``exceedance``, how many times more requests pass an edge. The score answers the first (``scores.py``), the edges of the
histogram the second (``tails.py``); their e-values are averaged for an abort, and both must speak for a promotion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.compare.counts import demanded
from analysis.compare.latency_arms import LatencyArms, PreparedLatency, prepare
from analysis.compare.latency_flags import flags, noise_source
from analysis.compare.latency_noise import LatencyNoise, learn
from analysis.compare.latency_parts import LatencyQuestion, abort_parts, row_null
from analysis.compare.latency_promotes import promote_parts, step_evidence
from analysis.compare.latency_together import batch_of, each_against, each_prepared, kin_of
from analysis.compare.scores import Shift
from analysis.compare.steps import StepEvidence
from analysis.errors import InvalidInput
from analysis.evidence import Null, log_likelihood
from analysis.grid import Floats
from analysis.resumed import in_batches
from analysis.sequential import Older, backed
from analysis.types import BoolArray

SAME_EDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatencyData:
    """
    Histograms of one question of one release.

    Parameters
    ----------
    baseline, canary : (R, K, B) float64
        Requests per replica, look and bucket, not cumulative, the last beyond every edge; NaN is missing. One row
        if replicas are not visible. Numbers that no histogram holds are refused where they are weighed.
    edges : (B-1,) float64
        Upper bounds without +Inf, > 0, rising; seconds. Common to both sides (``layouts.py``).
    left_out : (K,) bool
    ends, seconds : (K,) float64
        Unix time of each look's end; its length.
    visible : bool, default True
    history : LatencyNoise, optional
        Stable before the release (N = 1).
    earlier : (R_s, H, B) float64, optional
        The looks of history, where `history_of` says that they tell too little; rows as those of the baseline.
    """

    baseline: Floats
    canary: Floats
    edges: Floats
    left_out: BoolArray
    ends: Floats
    seconds: Floats
    visible: bool = True
    history: LatencyNoise | None = None
    earlier: Floats | None = None

    def __post_init__(self) -> None:
        looks = self.left_out.shape
        if len(looks) != 1 or looks[0] == 0 or self.ends.shape != looks or self.seconds.shape != looks:
            raise InvalidInput(f"needs one end, length and mark for each of at least one look, got {looks}")
        rising = self.edges.ndim == 1 and self.edges.size > 0 and bool((self.edges[1:] > self.edges[:-1]).all())
        if not rising or not np.isfinite(self.edges).all() or self.edges[0] <= 0:
            raise InvalidInput("must be finite, positive and rising, without +Inf", "/edges")
        for side in ("baseline", "canary"):
            counts = getattr(self, side)
            if counts.ndim != 3 or not counts.shape[0] or counts.shape[1:] != (looks[0], len(self.edges) + 1):
                shape = f"(replicas, {looks[0]}, {len(self.edges) + 1})"
                raise InvalidInput(f"needs a {shape} array, got {counts.shape}", f"/{side}")
        if self.earlier is not None:
            rows, _, buckets = self.baseline.shape
            if self.earlier.shape != (rows, self.earlier.shape[1], buckets):
                raise InvalidInput(f"needs the baseline's rows and buckets, got {self.earlier.shape}", "/earlier")
        if (self.seconds <= 0).any() or not np.isfinite(self.seconds).all():
            raise InvalidInput("every look must have a positive length", "/seconds")

    def without_replica(self, row: int) -> LatencyData:
        """Return the same data without one of the canary's replicas, of which there must be two or more."""
        if len(self.canary) < 2:
            raise InvalidInput("a canary without replicas has no latency", "/canary")
        return replace(self, canary=np.delete(self.canary, row, axis=0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatencyEvidence:
    """
    The evidence of one question at every look. Logs are natural; the last value is the present one.

    Parameters
    ----------
    question : LatencyQuestion
    edges, ends : (B-1,), (K,) float64
    prepared : PreparedLatency
        The looks that were judged (N = 1).
    shift : Shift
        Of the typical request, so far.
    edge_warn, edge_tolerated : (P, K) float64
        log E of each weighed edge.
    score_warn, score_tolerated : (K,) float64
        log E of the typical request.
    warn, tolerated, abort : (K,) float64
        log E_warn, log E_tol and log A*, as for counts.
    promote, better : (K,) float64
        log P, log B.
    by_step : StepEvidence
        log P_step and what it was asked.
    slack_final : float or None
        Slack at the edge that a promotion is asked at; None while the traffic is unknown.
    noise_source : str
        ``history`` or ``run``; ``prior`` while nothing is known.
    flags : tuple of str
        ``no_baseline``, ``noise: prior``, ``dispersion: run``, ``pods: unknown``, ``one stable pod``, ``weak guard``,
        ``no guard``, ``pod-limited``, ``slo edge moved``, ``histogram too short`` (nothing can be promoted by it),
        ``coarse buckets`` (nine in ten stable requests in one: a shift within it is not seen).
    elder : Older, optional
        The same on replicas that are old enough to abort by.
    """

    question: LatencyQuestion
    edges: Floats
    ends: Floats
    prepared: PreparedLatency
    shift: Shift
    edge_warn: Floats
    edge_tolerated: Floats
    score_warn: Floats
    score_tolerated: Floats
    warn: Floats
    tolerated: Floats
    abort: Floats
    promote: Floats
    better: Floats
    by_step: StepEvidence
    slack_final: float | None
    noise_source: str
    flags: tuple[str, ...] = ()
    elder: Older | None = None

    @property
    def step(self) -> Floats:
        """(K,) log P_step; who needs the last alone asks for ``by_step.now``."""
        return self.by_step.log_e

    @property
    def slack_step(self) -> float | None:
        """Slack that the running step allows at the edge that a promotion is asked at."""
        return self.by_step.slack

    @property
    def requests_per_second(self) -> float | None:
        """Of the service; None while the traffic is unknown."""
        return None if self.by_step.slack is None else float(self.by_step.known.requests_per_second[0])

    @property
    def bad_share(self) -> float | None:
        """Stable's share of requests above that edge."""
        return None if self.by_step.slack is None else float(self.by_step.known.bad_share[0])

    @property
    def used(self) -> BoolArray:
        """(K,) bool: looks that were judged, not skipped."""
        return np.asarray(self.prepared.used[0])

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

    @property
    def phi(self) -> float:
        """Dispersion in use at the last look: the largest of the weighed edges, 1 without any."""
        return float(self.prepared.rows.looks.phi[:, -1].max(initial=1.0))

    @property
    def pod_sd(self) -> float:
        """How much pods differ in their typical latency (standard deviation of logs), as it is used."""
        return float(np.sqrt(self.prepared.shift.spread[0, -1]))

    def without_looks(self, left_out: Sequence[int]) -> LatencyEvidence:
        """Return the abort evidence with some looks skipped, their start mass spent: the burst check."""
        mask = np.zeros(len(self.ends), dtype=bool)
        mask[list(left_out)] = True
        reduced = self.prepared.without(mask)
        found = abort_parts(reduced, self.question)
        abort = demanded(found.warn[0], found.tolerated[0], self.question.alphas)
        left = replace(
            self, prepared=reduced, shift=found.shift, edge_warn=found.edge_warn, edge_tolerated=found.edge_tolerated,
            score_warn=found.score_warn[0], score_tolerated=found.score_tolerated[0],
            warn=found.warn[0], tolerated=found.tolerated[0], abort=abort,
        )  # fmt: skip
        return left if self.elder is None else left.backed(self.elder.without_looks(left_out))

    def backed(self, elder: Older | None) -> LatencyEvidence:
        """Return itself with an abort that ``elder``, weighed on older replicas, says too."""
        return replace(self, abort=backed(self.abort, None if elder is None else elder.abort), elder=elder)

    def loudest_look(self, look: int, tolerated: bool = True) -> int:
        """
        Return the look that gave most to the evidence so far: what the burst check leaves out.

        Parameters
        ----------
        look : int
            Index of the present look; only it and those before it count.
        tolerated : bool, default True
            By the evidence "beyond the tolerance", else by "worse than stable".

        Returns
        -------
        int
            Of the part that weighs most at ``look``: the edge's loudest look, or the one that moved the score most.
        """
        row = self.guilty_row(look, tolerated)
        if row is None:
            limit = np.log(self.question.shift) if tolerated else 0.0
            return int((self.shift.weight[0, : look + 1] * (self.shift.each[0, : look + 1] - limit)).argmax())
        chosen = self.prepared.rows.looks.chosen(np.array([row])).between(0, look + 1)
        gain = log_likelihood(chosen, 1, row_null(self.prepared, self.question, row) if tolerated else Null())[0]
        return int(gain[:, gain.sum(axis=0).argmax()].argmax())

    def guilty_row(self, look: int = -1, tolerated: bool = True) -> int | None:
        """Return the row of the edge that weighs most at a look, None where the score weighs more than any."""
        log_e = self.edge_tolerated if tolerated else self.edge_warn
        if not len(log_e):
            return None
        terms = log_e[:, look] + self.prepared.edges.weights[:, 0]
        row = int(terms.argmax())
        score = self.score_tolerated if tolerated else self.score_warn
        return row if terms[row] >= score[look] else None


def weigh(data: LatencyData, question: LatencyQuestion, next_weight: float | None = None) -> LatencyEvidence:
    """
    Return the evidence of one question at every look.

    Parameters
    ----------
    data : LatencyData
    question : LatencyQuestion
    next_weight : float, optional
        The canary's share after the next step, in (0, 1]; without it, it follows from the observed share.

    Returns
    -------
    LatencyEvidence
        Never NaN. A look without requests on a side, or left out, earns nothing; too little data is evidence
        near 0, not an error.

    Raises
    ------
    InvalidInput
        If ``next_weight`` lies outside (0, 1], or a count is negative or infinite.
    """
    return weigh_together([data], [question], next_weight)[0]


def weigh_together(
    data: Sequence[LatencyData], questions: Sequence[LatencyQuestion], next_weight: float | None = None
) -> list[LatencyEvidence]:
    """
    Return what `weigh` says of each of several questions of one release, up to rounding.

    Those that are alike are one batch, which costs less than each of them alone.

    Raises
    ------
    InvalidInput
        As `weigh`.
    """
    if next_weight is not None and not 0 < next_weight <= 1:
        raise InvalidInput(f"must lie in (0, 1], got {next_weight!r}", "/next_weight")
    arms = [arms_of(*each) for each in zip(data, questions, strict=True)]
    return in_batches(
        [kin_of(one, question) for (one, _), question in zip(arms, questions, strict=True)],
        lambda places: _weigh_alike([(data[n], *arms[n]) for n in places], questions[places[0]], next_weight),
    )


def _weigh_alike(
    some: Sequence[tuple[LatencyData, LatencyArms, bool]], question: LatencyQuestion, next_weight: float | None
) -> Iterator[LatencyEvidence]:
    """Yield the evidence of data with everything of `kin_of` in common, of which some have an edge that moved."""
    prepared = prepare(batch_of([arms for _, arms, _ in some]))
    against = abort_parts(prepared, question)
    final = promote_parts(prepared, question, against, better=True)
    assert final.better is not None
    each = each_prepared(prepared)
    by_step = step_evidence(prepared, question, next_weight, against.shift, each)
    parts = zip(some, each, each_against(against, prepared.edges), by_step, strict=True)
    for row, ((data, _, moved), alone, found, step) in enumerate(parts):
        of_row = prepared.asked.release == row
        slack, known = final.slack[of_row], final.known[of_row]
        evidence = LatencyEvidence(
            question=question,
            edges=data.edges,
            ends=data.ends,
            prepared=alone,
            shift=found.shift,
            edge_warn=found.edge_warn,
            edge_tolerated=found.edge_tolerated,
            score_warn=found.score_warn[0],
            score_tolerated=found.score_tolerated[0],
            warn=found.warn[0],
            tolerated=found.tolerated[0],
            abort=demanded(found.warn[0], found.tolerated[0], question.alphas),
            promote=final.promote[row],
            better=final.better[row],
            by_step=step,
            slack_final=float(slack[0]) if known.any() else None,
            noise_source=noise_source(alone),
        )
        yield replace(evidence, flags=flags(data, evidence, moved))


def with_next_weight(evidence: LatencyEvidence, next_weight: float) -> LatencyEvidence:
    """Return the same evidence for another next weight, in (0, 1]: only the step's demand is weighed anew."""
    (by_step,) = step_evidence(evidence.prepared, evidence.question, next_weight, evidence.shift)
    return replace(evidence, by_step=by_step)


def arms_of(data: LatencyData, question: LatencyQuestion) -> tuple[LatencyArms, bool]:
    """Return one release as a batch of one, and whether an objective's edge had to move to the nearest bucket."""
    wanted = np.array(question.slo_edges, dtype=np.float64)
    distance = np.abs(np.log(data.edges[None, :] / wanted[:, None])) if wanted.size else np.zeros((0, 1))
    slo = np.unique(distance.argmin(axis=1)) if wanted.size else np.zeros(0, dtype=np.int64)
    moved = bool(wanted.size and np.any(distance.min(axis=1) > SAME_EDGE))
    arms = LatencyArms(
        canary=data.canary[None],
        baseline=data.baseline[None],
        edges=data.edges,
        left_out=data.left_out[None],
        seconds=data.seconds,
        slo=slo,
        visible=data.visible,
        noise=data.history,
        earlier=None if data.earlier is None else data.earlier[None],
    )
    return arms, moved


def history_of(counts: Floats, edges: Floats, seconds: Floats, visible: bool) -> tuple[LatencyNoise, Floats | None]:
    """
    Return what stable history tells, and its looks themselves where that is too little to bet on.

    Parameters
    ----------
    counts : (R, T, B) float64
        Requests per stable replica, look and bucket; NaN is missing.
    edges : (B-1,) float64
    seconds : (T,) float64
    visible : bool
    """
    noise = learn(counts[None], edges, seconds, visible)
    alone = noise.tail.pods[0] < 2  # its wandering shows only beside the canary, in the run
    enough = bool(noise.tail_known[0] and (noise.score_known[0] or alone))
    return noise, None if enough else counts
