"""
Evidence for a level that goes up and down, from paired differences of pods: the kinds ``gauge`` and ``quantile``.

Three questions are asked of one mean difference: is the canary worse at all, is it beyond the tolerance, is it
within the tolerance. ``paired.py`` says how the difference and its variance come about,
``analysis/student.py`` what evidence they are.

The mean difference is judged, so a fault that begins late is diluted by the time before it. Where a fall does
harm the difference changes its sign and a ratio of 1.25 tolerates a fall to 1/1.25.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.compare.counts import demanded
from analysis.compare.gauge_arms import GaugeArms
from analysis.compare.gauge_curves import GaugeQuestion, Looked, curves, looked
from analysis.compare.gauge_scale import Integers, Scale
from analysis.compare.paired import Paired, differences, pair
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.sequential import Older, backed
from analysis.student import half_width, log_mixture
from analysis.types import BoolArray, Effect

POD_LIMITED: Final = 10.0  # how many times less the noise weighs than the pods when only more pods could help


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GaugeData:
    """
    Values of one question of one release; a slot is a scrape, a look holds one or more slots.

    Parameters
    ----------
    baseline : (R_s, n) float64
        Value of each stable replica in each slot; NaN is missing and stays so.
    canary : (R_c, n) float64
    ends : (K,) float64
        Unix time of each look's end, rising.
    history : (R_h, h) float64, optional
        Stable before the release, slot by slot; rows need not be those of ``baseline``.
    upto : (K,) int, optional
        Slots closed at the end of each look; without it every slot is a look.
    left_out : (n,) bool, optional
        Slots that a flag excludes.
    steps : (K,) bool, optional
        Looks at which the traffic split had changed.
    traffic : float, default 1
        Canary's requests per pod over stable's.
    """

    baseline: Floats
    canary: Floats
    ends: Floats
    history: Floats | None = None
    upto: Integers | None = None
    left_out: BoolArray | None = None
    steps: BoolArray | None = None
    traffic: float = 1.0

    def __post_init__(self) -> None:
        slots, looks = self.canary.shape[-1], len(self.ends)
        for side, values in (("baseline", self.baseline), ("canary", self.canary)):
            if values.ndim != 2 or not values.shape[0] or values.shape[1] != slots or not slots:
                raise InvalidInput(f"needs (replicas, {slots}) values, got {values.shape}", f"/{side}")
        if self.history is not None and self.history.ndim != 2:
            raise InvalidInput(f"needs (replicas, slots) values, got {self.history.shape}", "/history")
        if self.upto is None and looks != slots:
            raise InvalidInput(f"needs one end for each of {slots} slots, got {looks}", "/ends")
        if self.upto is not None and (
            self.upto.shape != (looks,) or (self.upto[1:] < self.upto[:-1]).any() or not 0 <= self.upto[-1] <= slots
        ):
            raise InvalidInput("needs a rising number of slots for each look", "/upto")
        if not (np.isfinite(self.traffic) and self.traffic > 0):
            raise InvalidInput(f"must be positive, got {self.traffic!r}", "/traffic")

    def arms(self, scale: Scale) -> GaugeArms:
        """Return one release as a batch of one."""
        slots = self.canary.shape[1]
        left_out = np.zeros(slots, dtype=bool) if self.left_out is None else self.left_out
        return GaugeArms(
            canary=self.canary[None],
            baseline=self.baseline[None],
            history=np.zeros((1, 1, 0)) if self.history is None else self.history[None],
            upto=np.arange(1, slots + 1) if self.upto is None else self.upto,
            left_out=left_out[None],
            scale=scale,
            traffic=self.traffic,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GaugeEvidence:
    """
    The evidence of one question at every look. Logs are natural; the last value is the present one.

    Parameters
    ----------
    question : GaugeQuestion
    data : GaugeData
    paired : Paired
        The differences that were judged (N = 1).
    warn, tolerated, abort, promote, better : (K,) float64
        log E of "worse at all", "beyond the tolerance", what abort demands of both, "within the tolerance", "better".
    step : (K,) float64
        log E of "within the tolerance" over the slots of each weight step alone.
    noise_source : str
        ``history`` or ``run``.
    flags : tuple of str
        ``noise: run``, ``one stable pod``, ``pod-limited``, ``always zero``, ``level near zero``.
    elder : Older, optional
        Of replicas that are old enough to abort by.
    """

    question: GaugeQuestion
    data: GaugeData
    paired: Paired
    warn: Floats
    tolerated: Floats
    abort: Floats
    promote: Floats
    better: Floats
    step: Floats
    noise_source: str
    flags: tuple[str, ...] = ()
    elder: Older | None = None

    @property
    def ends(self) -> Floats:
        """(K,) unix time of each look's end."""
        return self.data.ends

    @property
    def used(self) -> BoolArray:
        """(K,) bool: looks that told something new."""
        return np.asarray(self.paired.bets[0])

    @property
    def first_look(self) -> int | None:
        """Index of the first look with a counted slot; None if there is none."""
        first = int(self.used.argmax())
        return first if self.used[first] else None

    @property
    def step_start(self) -> int:
        """Index of the first look of the weight step that is running."""
        marked = np.flatnonzero(self.data.steps) if self.data.steps is not None else np.array([], dtype=int)
        return int(marked[-1]) if marked.size else (self.first_look or 0)

    def without_looks(self, left_out: Sequence[int]) -> GaugeEvidence:
        """Return the abort evidence with the slots of some looks left out: the burst check."""
        skipped = np.zeros(self.data.canary.shape[1], dtype=bool)
        for look in left_out:
            skipped[slice(*self._slots(look))] = True
        before = np.zeros_like(skipped) if self.data.left_out is None else self.data.left_out
        reduced = self._again(replace(self.data, left_out=before | skipped))
        return reduced if self.elder is None else reduced.backed(self.elder.without_looks(left_out))

    def backed(self, elder: Older | None) -> GaugeEvidence:
        """Return itself with an abort that ``elder``, weighed on older replicas, says too."""
        return replace(self, abort=backed(self.abort, None if elder is None else elder.abort), elder=elder)

    def without_replica(self, row: int) -> GaugeEvidence:
        """Return the abort evidence without one of the canary's pods, of which there must be two or more."""
        return self._again(replace(self.data, canary=np.delete(self.data.canary, row, axis=0)))

    def _again(self, data: GaugeData) -> GaugeEvidence:
        paired = pair(data.arms(self.question.scale))
        found = curves(paired, self.question)
        return replace(
            self,
            data=data,
            paired=paired,
            warn=found.warn[0],
            tolerated=found.tolerated[0],
            abort=demanded(found.warn[0], found.tolerated[0], self.question.alphas),
        )

    def loudest_look(self, look: int, tolerated: bool = True) -> int:
        """
        Return the look up to ``look`` whose differences add most to the harm: what the burst check leaves out.

        By either evidence it is the same one: ``tolerated`` makes no difference here.
        """
        del tolerated
        slots = differences(self.data.arms(self.question.scale))[0]
        parts = self.question.sign * np.where(np.isfinite(slots), slots, 0.0)
        return int(np.argmax([parts[slice(*self._slots(k))].sum() for k in range(look + 1)]))

    def _slots(self, look: int) -> tuple[int, int]:
        if self.data.upto is None:
            return look, look + 1
        return int(self.data.upto[look - 1]) if look else 0, int(self.data.upto[look])


def weigh(data: GaugeData, question: GaugeQuestion) -> GaugeEvidence:
    """
    Return the evidence of one question at every look.

    Parameters
    ----------
    data : GaugeData
    question : GaugeQuestion

    Returns
    -------
    GaugeEvidence
        Never NaN. Too little data, missing pods, a level that was always zero are evidence of 0, with a flag.
    """
    return weigh_together([data], [question])[0]


def weigh_together(data: Sequence[GaugeData], questions: Sequence[GaugeQuestion]) -> list[GaugeEvidence]:
    """Return what `weigh` says of each of several questions; those that are alike are one batch."""
    marks = [[] if each.steps is None else [k for k in np.flatnonzero(each.steps).tolist() if k > 0] for each in data]
    arms = [each.arms(question.scale) for each, question in zip(data, questions, strict=True)]
    found = looked(arms, questions, marks)
    return [_evidence(*each) for each in zip(data, questions, found, strict=True)]


def _evidence(data: GaugeData, question: GaugeQuestion, found: Looked) -> GaugeEvidence:
    paired, evidence = found.paired, found.curves
    return GaugeEvidence(
        question=question, data=data, paired=paired, warn=evidence.warn[0], tolerated=evidence.tolerated[0],
        abort=demanded(evidence.warn[0], evidence.tolerated[0], question.alphas),
        promote=evidence.promote[0], better=evidence.better[0], step=found.step[0],
        noise_source="history" if paired.learned[0] else "run",
        flags=_flags(data, paired, question, evidence.promote[0]),
    )  # fmt: skip


def most_promote(paired: Paired, question: GaugeQuestion) -> Floats:
    """
    Return the log evidence that endless time could earn for an equal canary with these pods.

    Returns
    -------
    (N, K) float64
        The promote evidence at a mean difference of 0 without noise of pods; below ``ln(1/alpha)`` the
        question is limited by pods: more of them help, time does not. Infinite if no pods are known.
    """
    edge = question.boundary(paired.level)
    best = log_mixture(edge, np.where(paired.pods > 0, paired.pods, 1.0), paired.pod_dof)
    return np.where(paired.pods > 0, best, np.inf)


def pod_limited(paired: Paired, question: GaugeQuestion, promote: Floats) -> BoolArray:
    """Return, (N, K), where proof of "no worse" cannot come, or will hardly come, however long one waits."""
    goal = -np.log(question.alphas.promote)
    hopeless = most_promote(paired, question) < goal
    stuck = (paired.noise < paired.pods / POD_LIMITED) & (promote < goal) & paired.known
    return np.asarray(hopeless | stuck)


def effect(evidence: GaugeEvidence, level: float = 0.95) -> Effect | None:
    """
    Return how different the canary is now, with bounds that hold at every look.

    Returns
    -------
    Effect or None
        A ratio where levels are compared as ratios or logarithms, else a difference in the metric's unit; None
        while nothing is known.
    """
    paired = evidence.paired
    if not paired.known[0, -1]:
        return None
    mean = float(paired.mean[0, -1])
    width = float(half_width(paired.variance[0, -1], paired.dof[0, -1], 1 - level))
    ends = np.array([mean, mean - width, mean + width])
    measure = "ratio"
    if evidence.question.scale == "log":
        shown = np.exp(np.minimum(ends, 700.0))
    elif paired.ratio[0, -1]:
        shown = np.maximum(1 + ends, 0.0)
    else:
        shown, measure = ends * paired.level[0, -1], "difference"
    return Effect(estimate=float(shown[0]), low=float(shown[1]), high=float(shown[2]), measure=measure, level=level)


def growth(values: Floats, slots: int) -> Floats:
    """
    Return by how much a level rose over the last ``slots`` slots: memory is asked so, since a leak has a slope.

    Parameters
    ----------
    values : (R, n) float64
    slots : int, >= 1
        Five minutes' worth.

    Returns
    -------
    (R, n) float64
        NaN in the first ``slots`` slots and where an end is missing.
    """
    found = np.full(values.shape, np.nan)
    found[:, slots:] = values[:, slots:] - values[:, :-slots]
    return found


def _flags(data: GaugeData, paired: Paired, question: GaugeQuestion, promote: Floats) -> tuple[str, ...]:
    """Return what a reader must know of the data behind the figures."""
    flags = []
    if not paired.learned[0]:
        flags.append("noise: run")
    if np.count_nonzero(np.isfinite(data.baseline[:, -1])) < 2 and np.isfinite(data.baseline).any(axis=1).sum() == 1:
        flags.append("one stable pod")
    if pod_limited(paired.newest, question, promote[None, -1:])[0, 0]:
        flags.append("pod-limited")
    if not paired.level[0, -1] > 0 and np.isfinite(data.baseline).any():
        flags.append("always zero")
    elif question.scale == "auto" and not paired.ratio[0, -1]:
        flags.append("level near zero")
    return tuple(flags)
