"""
From values per pod to paired differences with their variance, for N releases at once.

A slot is one scrape. Its difference is the mean of the canary's pods over that of stable's pods at the same
moment, so that common load cancels; what is left is noise of pods (shrinks with time) and differences between
pods (shrink with more pods only). Later looks go on from the sums of earlier ones, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Final

import numpy as np

from analysis.compare.gauge_arms import Differences, GaugeArms, Mean, Side
from analysis.compare.gauge_scale import Integers, Scales, compared
from analysis.compare.podnoise import (
    PodNoise,
    PodSums,
    deviations,
    first_needed,
    later_noise,
    pod_noise,
    spread_of_pods,
)
from analysis.grid import Floats
from analysis.types import BoolArray

FEWEST_RUN: Final = 10
FEWEST_DOF: Final = 7.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paired:
    """
    Paired differences of N releases at K looks, and all that is needed to test them.

    Parameters
    ----------
    mean : (N, K) float64
        Mean difference so far, 0 while no slot counts.
    variance, dof : (N, K) float64
        a and nu of `analysis.student.log_mixture`.
    noise, pods : (N, K) float64
        The two parts of the variance: ``A c_noise`` and ``B c_pod``.
    pod_dof : (N, K) float64
        Degrees of freedom of the second part.
    level : (N, K) float64
        Root mean square of stable; what an absolute tolerance is divided by.
    ratio : (N, K) bool
        Whether differences are ratios less 1, else differences over ``level``.
    bets : (N, K) bool
        Looks that had a counted slot, once enough is known of the noise.
    known : (N, K) bool
        Looks up to which a slot counted and the noise is known: the evidence is worth something.
    learned : (N,) bool
        Whether the noise comes from history.
    """

    mean: Floats
    variance: Floats
    dof: Floats
    noise: Floats
    pods: Floats
    pod_dof: Floats
    level: Floats
    ratio: BoolArray
    bets: BoolArray
    known: BoolArray
    learned: BoolArray

    @property
    def newest(self) -> Paired:
        """The newest look alone, (N, 1)."""
        return replace(self, **{name: getattr(self, name)[:, -1:] for name in BY_LOOK})


BY_LOOK: Final = tuple(each.name for each in fields(Paired) if each.name != "learned")
_FIGURES: Final = tuple(each.name for each in fields(PodNoise))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanSums:
    """
    Sums over the slots of one mean difference so far.

    Parameters
    ----------
    rows : (N, 3 + R_c + R_s) float64
        Slots that counted, their noise in pods' worth, their differences, the shares of each pod.
    lone : PodSums or None
        Of the difference itself, as long as too few stable pods are there to learn from.
    """

    rows: Floats
    lone: PodSums | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairSums:
    """
    What later looks go on from; noise and sums once for each scale in use.

    Parameters
    ----------
    slots : int
        Slots so far.
    scales : Scales
    before : tuple of PodNoise
        The noise of history, (N, 1); empty where none is learned from it.
    run : tuple of PodSums
        Of stable's pods in the run; empty where all is learned from history.
    whole, step : tuple of MeanSums
        Of the whole run, and of the weight step that is running: empty before the first.
    """

    slots: int
    scales: Scales
    before: tuple[PodNoise, ...]
    run: tuple[PodSums, ...]
    whole: tuple[MeanSums, ...]
    step: tuple[MeanSums, ...] = ()


def pair(arms: GaugeArms) -> Paired:
    """
    Return paired differences with their variance at every look.

    Notes
    -----
    Source of the noise: stable's history from 60 slots with two pods on, else the stable pods during the run up to
    the look (from 10 slots and 7 degrees of freedom on); with one stable pod the difference itself. The scale is
    looked at in history, else in the first 20 slots, and then kept.

    ``a = A c_noise + B c_pod`` with ``A = lambda/n``, ``nu = (A+B)^2/(B^2/nu_B + A^2/nu_lambda)``;
    ``c_noise`` is the mean of ``1/k_c + 1/k_s`` over the slots, ``c_pod`` the sum of squared shares of the pods.
    """
    scales = arms.scales(arms.history_mark if len(arms.canary) == 1 else None)
    return later_pairs(arms, scales, arms.floor(), 0, None)[0]


def later_pairs(
    arms: GaugeArms,
    scales: Scales,
    floor: Floats | None,
    first: int,
    past: PairSums | None,
    marks: Sequence[int] = (),
) -> tuple[Paired, list[tuple[int, Paired]], PairSums]:
    """
    Return `pair` of looks ``first …``, to the bit as if all were read, and what still later looks go on from.

    Parameters
    ----------
    arms : GaugeArms
    scales : Scales
    floor : (N, 1) float64 or None
        From `GaugeArms.floor`; None where stable's mean is above it in every slot.
    first : int
    past : PairSums or None
        Of the looks before; None: there are none.
    marks : sequence of int
        Looks at which a weight step begins, none of them after ``first`` unless that is 0.

    Returns
    -------
    whole : Paired
        Of the run from its first slot on.
    steps : list of (int, Paired)
        The first look of each weight step, or the first that is new, and its looks paired by its own slots alone.
    sums : PairSums
    """
    looks = _Looks(arms, scales, floor, first, past)
    whole, sums = looks.paired(first, len(arms.upto), looks.seen, 0, () if past is None else past.whole)
    step: tuple[MeanSums, ...] = ()
    steps: list[tuple[int, Paired]] = []
    if past is not None and marks:
        since = int(arms.upto[marks[-1] - 1])
        found, step = looks.paired(first, len(arms.upto), looks.seen, since, past.step)
        steps.append((first, found))
    elif marks:
        for begin, end in pairwise([*marks, len(arms.upto)]):
            since = int(arms.upto[begin - 1])
            nothing = tuple(
                MeanSums(rows=np.zeros_like(each.rows), lone=PodSums.none(len(each.rows), 1, since)) for each in sums
            )
            found, step = looks.paired(begin, end, since, since, nothing)
            steps.append((begin, found))
    after = PairSums(slots=int(arms.upto[-1]), scales=scales, before=looks.before, run=looks.run, whole=sums, step=step)
    return whole, steps, after


def differences(arms: GaugeArms) -> Floats:
    """Return the difference of each slot, (N, n), NaN where it does not count, at the scale of the last look."""
    scales = arms.scales(None)
    looks = _Looks(arms, scales, arms.floor(), 0, None)
    return np.where(scales.ratio[:, -1:], looks.choices[0].slots, looks.choices[-1].slots)


class _Looks:
    """
    The looks ``first …`` of N releases, read slot by slot at each scale in use.

    Attributes
    ----------
    seen, begin : int
        Slots that were counted before, and the first that is read: those between are read again.
    choices : list of Differences
        At ratios, where any release has them, then over a level, where any has that.
    noise : list of PodNoise
        What stable's pods show at each look, (N, P).
    """

    def __init__(
        self, arms: GaugeArms, scales: Scales, floor: Floats | None, first: int, past: PairSums | None
    ) -> None:
        self.first, self.upto = first, arms.upto
        self.seen = 0 if past is None else past.slots
        self.begin = first_needed(self.seen)
        self.level, self.ratio = scales.at(first, len(arms.upto))
        self.unit, self.learned = scales.level[:, -1:], scales.learned
        window = slice(self.begin, max(int(arms.upto[-1]), 1))
        canary, baseline = Side(arms.values(arms.canary, window)), Side(arms.values(arms.baseline, window))
        units: list[Floats | None] = [None] if scales.ratio.any() else []
        units += [] if scales.ratio.all() else [self.unit]
        self.choices = [Differences(canary, baseline, unit, floor, arms.stretch) for unit in units]
        self.before, self.run, self.noise = self._learned(arms, baseline.values, units, past)

    def _learned(
        self, arms: GaugeArms, baseline: Floats, units: Sequence[Floats | None], past: PairSums | None
    ) -> tuple[tuple[PodNoise, ...], tuple[PodSums, ...], list[PodNoise]]:
        """Return the noise of history, the sums of the run, and the noise of the run at each look, scale by scale."""
        each = [None if unit is None else unit[..., None] for unit in units]
        if past is not None:
            before = past.before
        elif self.learned.any():
            history = compared(arms.history, arms.scale)
            size = np.array([history.shape[2]])
            before = tuple(pod_noise(deviations(history, unit), size, running=False) for unit in each)
        else:
            before = ()
        if self.learned.all():
            return before, (), []
        ends = self.upto[self.first :]
        sums = [None] * len(each) if past is None else past.run
        found = [
            later_noise(deviations(baseline, unit), ends, one, running=True)
            for unit, one in zip(each, sums, strict=True)
        ]
        return before, tuple(run for _, run in found), [noise for noise, _ in found]

    def paired(
        self, begin: int, end: int, seen: int, since: int, past: tuple[MeanSums, ...]
    ) -> tuple[Paired, tuple[MeanSums, ...]]:
        """Return looks ``begin … end - 1`` by slots ``since …`` alone; those before ``seen`` are in ``past``."""
        ends, looks = self.upto[begin:end], slice(begin - self.first, end - self.first)
        found: list[tuple[Mean, PodNoise]] = []
        sums: list[MeanSums] = []
        for place, choice in enumerate(self.choices):
            old = past[place] if past else None
            mean, rows = choice.mean(ends, seen, self.begin, None if old is None else old.rows)
            noise, lone = self._noise(place, looks, mean, ends, since, None if old is None else old.lone)
            found.append((mean, noise))
            sums.append(MeanSums(rows=rows, lone=lone))
        return self._combined(found, looks), tuple(sums)

    def _noise(
        self, place: int, looks: slice, mean: Mean, ends: Integers, since: int, past: PodSums | None
    ) -> tuple[PodNoise, PodSums | None]:
        """Return the noise of some looks: of history, of the run so far, or of the difference to a lone stable pod."""
        if self.learned.all():
            return self.before[place], None
        now, lone = self.noise[place], None
        if len(ends) < now.pods.shape[1]:
            now = PodNoise(**{name: getattr(now, name)[:, looks] for name in _FIGURES})
        few = now.pods < 2
        if few.any():
            until = int(np.flatnonzero(few.any(axis=0))[-1]) + 1  # pods only become more
            single, lone = self._lone(place, ends[:until], since, past)
            worth = mean.noise_share[:, :until]
            alone = replace(single, long_run=single.long_run / np.where(worth > 0, worth, 1.0), between=0 * single.dof)
            parts = zip((getattr(alone, name) for name in _FIGURES), (getattr(now, name) for name in _FIGURES))
            here = few[:, :until]
            both = (np.concatenate([np.where(here, a, b[:, :until]), b[:, until:]], axis=1) for a, b in parts)
            now = PodNoise(**dict(zip(_FIGURES, both, strict=True)))
            lone = lone if until == len(ends) else None
        if self.learned.any():
            now = _chosen(self.learned[:, None], self.before[place], now)
        return now, lone

    def _lone(self, place: int, ends: Integers, since: int, past: PodSums | None) -> tuple[PodNoise, PodSums]:
        """Return what the difference itself shows by slots ``since …``, and its sums."""
        begin = first_needed(0 if past is None else past.slots)
        slots = self.choices[place].slots[:, None, begin - self.begin : max(int(ends[-1]), 1) - self.begin]
        if since > begin:
            slots = np.where(np.arange(slots.shape[2]) < since - begin, np.nan, slots)
        return later_noise(slots, ends, past, running=True)

    def _combined(self, found: Sequence[tuple[Mean, PodNoise]], looks: slice) -> Paired:
        """Return everything that is tested, of the scale that each look has."""
        level, ratio = self.level[:, looks], self.ratio[:, looks]
        (at_ratio, chosen), (at_level, far) = found[0], found[-1]
        mean = at_ratio.mean
        if not ratio.all():
            # differences over the last known level, expressed in what each look knew of it
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = np.where(level > 0, self.unit / level, 0.0)
            mean = np.where(ratio, mean, at_level.mean * factor)
            far = replace(far, long_run=far.long_run * factor**2, between=far.between * factor**2)
            chosen = _chosen(ratio, chosen, far)
        mean_noise = chosen.long_run / np.maximum(at_ratio.count, 1)
        pod_variance, pod_dof = self._spread(chosen, mean_noise)
        noise = mean_noise * at_ratio.noise_share
        pods = pod_variance * at_ratio.pod_share
        with np.errstate(divide="ignore", invalid="ignore"):
            # the parts before they are shared out: the degrees of freedom of their sum
            dof = (mean_noise + pod_variance) ** 2 / (pod_variance**2 / pod_dof + mean_noise**2 / chosen.dof)
        enough = self.learned[:, None] | ((at_ratio.count >= FEWEST_RUN) & (chosen.dof >= FEWEST_DOF))
        enough &= level > 0
        return Paired(
            mean=mean,
            variance=noise + pods,
            dof=dof,
            noise=noise,
            pods=pods,
            pod_dof=np.broadcast_to(pod_dof, mean.shape),
            level=level,
            ratio=ratio,
            bets=at_ratio.fresh & enough,
            known=(at_ratio.count > 0) & enough,
            learned=self.learned,
        )

    def _spread(self, noise: PodNoise, mean_noise: Floats) -> tuple[Floats, Floats]:
        """Return the variance between pods and its degrees of freedom, learned from history or from the run."""
        if self.learned.all():
            return spread_of_pods(noise, None)
        if not self.learned.any():
            return spread_of_pods(noise, mean_noise)
        both = spread_of_pods(noise, None), spread_of_pods(noise, mean_noise)
        variance, dof = (np.where(self.learned[:, None], a, b) for a, b in zip(*both, strict=True))
        return variance, dof


def _chosen(here: BoolArray, first: PodNoise, second: PodNoise) -> PodNoise:
    return PodNoise(**{name: np.where(here, getattr(first, name), getattr(second, name)) for name in _FIGURES})
