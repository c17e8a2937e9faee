"""
From values per pod to paired differences with their variance, for N releases at once.

A slot is one scrape. Its difference is the mean of the canary's pods over that of stable's pods at the same
moment, so that common load cancels; what is left is noise of pods (shrinks with time) and differences between
pods (shrink with more pods only).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.compare.podnoise import PodNoise, deviations, pod_noise, spread_of_pods, upto
from analysis.grid import TINY, Floats
from analysis.resumed import Recalled
from analysis.types import BoolArray

FEWEST_HISTORY: Final = 60
SCALE_SLOTS: Final = 20
FEWEST_RUN: Final = 10
FEWEST_DOF: Final = 7.0
NEAR_ZERO: Final = 0.2
LEAST_LEVEL: Final = 0.1  # of the RMS: a stable side that all but vanishes does not make any ratio endless

Scale = Literal["auto", "log"]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GaugeArms:
    """
    Values of N releases per pod and slot; NaN is missing and is never filled.

    Parameters
    ----------
    canary, baseline : (N, R, n) float64
    history : (N, R, h) float64
        Stable before the release; h may be 0.
    upto : (K,) int
        Slots closed at the end of each look, rising.
    left_out : (N, n) bool
        Slots that a flag excludes.
    since : int
        First slot that counts for the means; the noise is learned from all of them.
    scale : {"auto", "log"}
        ``log``: differences of logarithms (published quantiles); ``auto``: ratios where the level allows it.
    traffic : float
        Canary's requests per pod over stable's; beyond a factor two the noise is stretched by it.
    """

    canary: Floats
    baseline: Floats
    history: Floats
    upto: Integers
    left_out: BoolArray
    since: int = 0
    scale: Scale = "auto"
    traffic: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paired:
    """
    Paired differences of N releases at K looks, and all that is needed to test them.

    Parameters
    ----------
    slots : (N, n) float64
        The difference of each slot, NaN where it does not count.
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

    slots: Floats
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
        names = {f.name for f in fields(self)} - {"slots", "learned"}
        return replace(self, **{name: getattr(self, name)[:, -1:] for name in names})


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
    canary, baseline, history = _levels(arms)
    level, ratio = _scale(arms, baseline, history)
    learned = _pods_seen(history) >= FEWEST_HISTORY
    unit = level[:, -1:, None]
    choices = [scale for scale, wanted in ((None, ratio.any()), (unit, not ratio.all())) if wanted]
    found = [_measured(arms, (canary, baseline, history), learned, scale) for scale in choices]
    at_ratio, at_level = found[0], found[-1]
    # differences over the last known level, expressed in what each look knew of it
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(level > 0, level[:, -1:] / level, 0.0)
    mean = np.where(ratio, at_ratio.mean, at_level.mean * factor)
    far = at_level.noise
    scaled = replace(far, long_run=far.long_run * factor**2, between=far.between * factor**2)
    chosen = _chosen(ratio, at_ratio.noise, scaled)
    mean_noise = chosen.long_run / np.maximum(at_ratio.count, 1)
    spread = [spread_of_pods(chosen, given) for given in (None, mean_noise)]
    pod_variance, pod_dof = (np.where(learned[:, None], a, b) for a, b in zip(*spread, strict=True))
    noise = mean_noise * at_ratio.noise_share
    pods = pod_variance * at_ratio.pod_share
    with np.errstate(divide="ignore", invalid="ignore"):
        # the parts before they are shared out: the degrees of freedom of their sum
        dof = (mean_noise + pod_variance) ** 2 / (pod_variance**2 / pod_dof + mean_noise**2 / chosen.dof)
    enough = learned[:, None] | ((at_ratio.count >= FEWEST_RUN) & (chosen.dof >= FEWEST_DOF))
    fresh = np.diff(at_ratio.count, axis=1, prepend=0.0) > 0
    return Paired(
        slots=np.where(ratio[:, -1:], at_ratio.slots, at_level.slots),
        mean=mean,
        variance=noise + pods,
        dof=dof,
        noise=noise,
        pods=pods,
        pod_dof=pod_dof,
        level=level,
        ratio=ratio,
        bets=fresh & enough & (level > 0),
        known=(at_ratio.count > 0) & enough & (level > 0),
        learned=learned,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Measured:
    """Differences at one scale, (N, n), their means and noise, and the shares of the pods, each (N, K)."""

    slots: Floats
    mean: Floats
    count: Floats
    noise: PodNoise
    noise_share: Floats
    pod_share: Floats


def _measured(
    arms: GaugeArms, values: tuple[Floats, Floats, Floats], learned: BoolArray, scale: Floats | None
) -> _Measured:
    """Return everything that depends on whether differences are ratios (``scale`` None) or not."""
    canary, baseline, history = values
    mean_c, mean_s, pods_c, pods_s = *(_mean(v) for v in (canary, baseline)), *(_pods(v) for v in (canary, baseline))
    if scale is None:
        floor = LEAST_LEVEL * _root(baseline)[:, None]
        slots = (mean_c - mean_s) / np.where(mean_s > floor, mean_s, np.maximum(floor, TINY))
    else:
        slots = (mean_c - mean_s) / np.where(scale[:, 0] > 0, scale[:, 0], 1.0)
    counted = np.isfinite(slots)
    counted[:, : arms.since] = False
    slots = np.where(counted, slots, np.nan)
    count = upto(counted, arms.upto)
    safe = np.maximum(count, 1)
    stretch = 1 / arms.traffic if not 0.5 <= arms.traffic <= 2 else 1.0
    inverse = np.where(counted, stretch / np.maximum(pods_c, 1) + 1 / np.maximum(pods_s, 1), 0.0)
    noise_share = upto(inverse, arms.upto) / safe
    pod_share = sum(_squared_shares(v, k, counted, arms.upto, safe) for v, k in ((canary, pods_c), (baseline, pods_s)))
    return _Measured(
        slots=slots,
        mean=upto(np.where(counted, slots, 0.0), arms.upto) / safe,
        count=count,
        noise=_noise(arms, baseline, history, learned, scale, slots, noise_share),
        noise_share=noise_share,
        pod_share=np.asarray(pod_share),
    )


def _noise(
    arms: GaugeArms,
    baseline: Floats,
    history: Floats,
    learned: BoolArray,
    scale: Floats | None,
    slots: Floats,
    noise_share: Floats,
) -> PodNoise:
    """Return the noise at every look: of history, of the run so far, or of the difference to a lone stable pod."""
    shape = noise_share.shape
    if learned.any():
        before = pod_noise(deviations(history, scale), np.array([history.shape[2]]), running=False)
        if learned.all():
            return PodNoise(**{f.name: np.broadcast_to(getattr(before, f.name), shape) for f in fields(PodNoise)})
    now = pod_noise(deviations(baseline, scale), arms.upto, running=True)
    if (now.pods < 2).any():
        lone = pod_noise(slots[:, None, :], arms.upto, running=True)
        lone = replace(lone, long_run=lone.long_run / np.where(noise_share > 0, noise_share, 1.0), between=0 * lone.dof)
        now = _chosen(now.pods < 2, lone, now)
    return _chosen(learned[:, None], before, now) if learned.any() else now


def _chosen(here: BoolArray, first: PodNoise, second: PodNoise) -> PodNoise:
    return PodNoise(
        **{f.name: np.where(here, getattr(first, f.name), getattr(second, f.name)) for f in fields(PodNoise)}
    )


def _levels(arms: GaugeArms) -> tuple[Floats, Floats, Floats]:
    """Return values as they are compared: slots that are left out as missing, logarithms if asked for."""
    seen = ~arms.left_out[:, None, :]
    return (
        _compared(np.where(seen, arms.canary, np.nan), arms.scale),
        _compared(np.where(seen, arms.baseline, np.nan), arms.scale),
        _compared(arms.history, arms.scale),
    )


def _compared(values: Floats, scale: Scale) -> Floats:
    if scale == "auto":
        return np.where(np.isfinite(values), values, np.nan)
    positive = np.isfinite(values) & (values > 0)
    return np.where(positive, np.log(np.where(positive, values, 1.0)), np.nan)


def _scale(arms: GaugeArms, baseline: Floats, history: Floats) -> tuple[Floats, BoolArray]:
    """Return, (N, K), the level of stable and whether differences are ratios, as known at each look."""
    shape = (baseline.shape[0], len(arms.upto))
    if arms.scale == "log":
        return np.ones(shape), np.zeros(shape, dtype=bool)
    first = np.minimum(arms.upto, SCALE_SLOTS)
    sizes = np.unique(first)
    opening = baseline[..., : sizes[-1]]
    if len(baseline) > 1:
        told = _told_scale(opening, sizes, history)
    else:
        told = SCALES.value(b"", (opening, sizes, history), lambda: _told_scale(opening, sizes, history))
    at = np.searchsorted(sizes, first)
    level, ratio = told[0][0][at].T.copy(), told[0][1][at].T.copy()
    earlier, before = told[1], told[2]
    level[earlier], ratio[earlier] = before[0][earlier, None], before[1][earlier, None]
    return level, ratio


_Scales = tuple[Floats, BoolArray]


def _told_scale(opening: Floats, sizes: Integers, history: Floats) -> tuple[_Scales, BoolArray, _Scales]:
    """Return level and kind of scale of the first so many slots, (S, N), and of history, (N,), where it tells them."""
    parts = [opening[..., :size] for size in sizes]
    run = np.array([_root(part) for part in parts]), np.array([_far_from_zero(part) for part in parts])
    earlier = np.isfinite(_mean(history)).sum(axis=1) >= FEWEST_HISTORY
    return run, np.asarray(earlier), (_root(history), _far_from_zero(history))


SCALES: Final[Recalled[tuple[_Scales, BoolArray, _Scales]]] = Recalled()


def _far_from_zero(values: Floats) -> BoolArray:
    """Return, (N,), whether the 5th percentile of the pods' mean lies above a fifth of the RMS."""
    mean = _mean(values)
    ordered = np.sort(np.where(np.isfinite(mean), mean, np.inf), axis=1)  # missing ones last
    size = np.isfinite(mean).sum(axis=1)
    if not ordered.shape[1]:
        return np.zeros(len(values), dtype=bool)
    low = np.maximum(np.ceil(0.05 * size).astype(int) - 1, 0)
    fifth = ordered[np.arange(len(values)), low]
    return np.asarray((size > 0) & (fifth > NEAR_ZERO * _root(values)))


def _root(values: Floats) -> Floats:
    """Return, (N,), the root mean square of all samples, 0 without any; safe for values near the largest float."""
    known = np.isfinite(values)
    largest = np.where(known, np.abs(values), 0.0).max(axis=(1, 2), initial=0.0)
    unit = np.where(known, values, 0.0) / np.where(largest > 0, largest, 1.0)[:, None, None]
    return np.asarray(largest * np.sqrt((unit**2).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)))


def _pods(values: Floats) -> Floats:
    return np.asarray(np.isfinite(values).sum(axis=1), dtype=np.float64)


def _pods_seen(values: Floats) -> Floats:
    """Return, (N,), the number of slots in which two pods or more had a value."""
    return np.asarray((_pods(values) >= 2).sum(axis=1), dtype=np.float64)


def _mean(values: Floats) -> Floats:
    """Return, (N, n), the mean over the pods present; NaN where there is none."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _squared_shares(values: Floats, pods: Floats, counted: BoolArray, ends: Integers, safe: Floats) -> Floats:
    """Return, (N, K), the sum over pods of the squared mean share of their side's mean."""
    here = np.isfinite(values) & counted[:, None, :]
    share = upto(np.where(here, 1.0, 0.0) / np.maximum(pods, 1)[:, None, :], ends) / safe[:, None, :]
    return np.asarray((share**2).sum(axis=1))
