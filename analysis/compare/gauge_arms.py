"""What is compared of a level: values of both sides, their differences slot by slot, and the means at each look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from analysis.compare.gauge_scale import LEAST_LEVEL, SCALE_SLOTS, Integers, Scale, Scales, compared, root, scales_of
from analysis.compare.podnoise import columns_at, over_pods
from analysis.grid import TINY, Floats
from analysis.types import BoolArray


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
    scale: Scale = "auto"
    traffic: float = 1.0

    @property
    def stretch(self) -> float:
        """What a canary pod's noise is multiplied by for its share of the traffic."""
        return 1 / self.traffic if not 0.5 <= self.traffic <= 2 else 1.0

    @property
    def history_mark(self) -> bytes:
        """What tells this history from all others."""
        return sha256(repr(self.history.shape).encode() + np.ascontiguousarray(self.history).data).digest()

    def scales(self, mark: bytes | None) -> Scales:
        """Return the scale as it was known at each look; remembered by ``mark``, the mark of the history."""
        opening = self.values(self.baseline, slice(SCALE_SLOTS))
        return scales_of(opening, self.history, self.upto, self.scale, mark)

    def floor(self) -> Floats:
        """Return, (N, 1), the level of stable below which a ratio is taken to this level instead."""
        return LEAST_LEVEL * root(self.values(self.baseline, slice(None)))[:, None]

    def values(self, side: Floats, slots: slice) -> Floats:
        """Return some slots of a side as they are compared: those that are left out as missing."""
        seen = np.where(self.left_out[:, None, slots], np.nan, side[..., slots])
        return compared(seen, self.scale)


def batch_of(arms: Sequence[GaugeArms]) -> GaugeArms:
    """Return several releases of one shape, with the same looks and scale, as one."""
    if len(arms) == 1:
        return arms[0]
    return replace(
        arms[0],
        canary=np.concatenate([each.canary for each in arms]),
        baseline=np.concatenate([each.baseline for each in arms]),
        history=np.concatenate([each.history for each in arms]),
        left_out=np.concatenate([each.left_out for each in arms]),
    )


class Side:
    """Values of one side, (N, R, w), which of them are there, how many pods and their mean, (N, w)."""

    def __init__(self, values: Floats) -> None:
        self.values, self.known = values, np.isfinite(values)
        self.pods = self.known.sum(axis=1)
        self.worth = np.maximum(self.pods, 1)
        total = np.where(self.known, values, 0.0).sum(axis=1)
        self.mean = np.where(self.pods > 0, total / self.worth, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mean:
    """A mean difference at P looks, the slots that counted, whether any is new, shares of noise and of pods: (N, P)."""

    mean: Floats
    count: Floats
    fresh: BoolArray
    noise_share: Floats
    pod_share: Floats


class Differences:
    """
    Differences of w slots, (N, w), NaN where they do not count, and what is summed of them, (N, 3 + R_c + R_s, w).

    Parameters
    ----------
    unit : (N, 1) float64 or None
        What differences are divided by; None: they are ratios.
    """

    def __init__(self, canary: Side, baseline: Side, unit: Floats | None, floor: Floats | None, stretch: float) -> None:
        if unit is not None:
            over = np.where(unit > 0, unit, 1.0)
        elif floor is None:
            over = baseline.mean
        else:
            over = np.where(baseline.mean > floor, baseline.mean, np.maximum(floor, TINY))
        away = (canary.mean - baseline.mean) / over
        counted = np.isfinite(away)
        self.slots = np.where(counted, away, np.nan)
        self.split = 3 + canary.known.shape[1]
        self.rows = np.empty((len(away), self.split + baseline.known.shape[1], away.shape[1]))
        self.rows[:, 0] = counted
        self.rows[:, 1] = np.where(counted, stretch / canary.worth + 1 / baseline.worth, 0.0)
        self.rows[:, 2] = np.where(counted, away, 0.0)
        here = counted[:, None, :]
        np.divide(canary.known & here, canary.worth[:, None, :], out=self.rows[:, 3 : self.split])
        np.divide(baseline.known & here, baseline.worth[:, None, :], out=self.rows[:, self.split :])

    def mean(self, ends: Integers, seen: int, begin: int, past: Floats | None) -> tuple[Mean, Floats]:
        """Return the mean at each look, and the sums after the last; ``begin``: of slots."""
        sums = np.zeros((*self.rows.shape[:2], max(int(ends[-1]) - seen, 0) + 1))
        if past is not None:
            sums[..., 0] = past
        sums[..., 1:] = self.rows[..., seen - begin : seen - begin + sums.shape[2] - 1]
        sums = sums.cumsum(axis=-1)
        at = columns_at(sums, ends - seen)
        count = at[:, 0]
        safe = np.maximum(count, 1)
        squared = (at[:, 3:] / safe[:, None, :]) ** 2
        alone = seen > 0 and len(ends) == 1
        split = self.split - 3
        found = Mean(
            mean=at[:, 2] / safe,
            count=count,
            fresh=count > np.concatenate([sums[:, 0, :1], count[:, :-1]], axis=1),
            noise_share=at[:, 1] / safe,
            pod_share=over_pods(squared[:, :split], alone) + over_pods(squared[:, split:], alone),
        )
        return found, sums[..., -1].copy()
