"""On which scale levels of pods are compared: ratios where stable is far from zero, else differences over its level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.grid import Floats
from analysis.resumed import Recalled
from analysis.types import BoolArray

FEWEST_HISTORY: Final = 60
SCALE_SLOTS: Final = 20
NEAR_ZERO: Final = 0.2
LEAST_LEVEL: Final = 0.1  # of the RMS: a stable side that all but vanishes does not make any ratio endless

Scale = Literal["auto", "log"]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scales:
    """
    The scale of N releases as it was known at their first L looks; the last holds for all later ones.

    Parameters
    ----------
    level : (N, L) float64
        Root mean square of stable, 1 for logarithms.
    ratio : (N, L) bool
        Whether differences are ratios less 1, else differences over a level.
    learned : (N,) bool
        Whether the noise comes from history.
    """

    level: Floats
    ratio: BoolArray
    learned: BoolArray

    def at(self, first: int, count: int) -> tuple[Floats, BoolArray]:
        """Return level and kind of scale of looks ``first … count - 1``, (N, P)."""
        looks = np.minimum(np.arange(first, count), self.level.shape[1] - 1)
        return self.level.take(looks, axis=1), self.ratio.take(looks, axis=1)


def batch_of_scales(scales: Sequence[Scales]) -> Scales:
    """Return the scales of several releases as one."""
    level, ratio, learned = (
        np.concatenate([getattr(each, name) for each in scales]) for name in ("level", "ratio", "learned")
    )
    return Scales(level=level, ratio=ratio, learned=learned)


def scales_of(baseline: Floats, history: Floats, upto: Integers, scale: Scale, mark: bytes | None = None) -> Scales:
    """
    Return the scale of N releases: that of history where it tells one, else of the first 20 slots.

    Parameters
    ----------
    baseline, history : (N, R, n), (N, R, h) float64
        As they are compared; of ``baseline`` the first 20 slots are read.
    upto : (K,) int
        Slots closed at the end of each look.
    scale : {"auto", "log"}
    mark : bytes, optional
        What tells this history from all others: then what was found before is remembered.
    """
    sizes = np.minimum(upto[: int(np.searchsorted(upto, SCALE_SLOTS)) + 1], SCALE_SLOTS)
    opening = baseline[..., : sizes[-1]]
    if mark is None:
        return _told(opening, history, sizes, scale)
    return SCALES.value(mark + scale.encode(), (opening, sizes), lambda: _told(opening, history, sizes, scale))


def _told(opening: Floats, history: Floats, sizes: Integers, scale: Scale) -> Scales:
    learned = np.asarray((pods_of(history) >= 2).sum(axis=1) >= FEWEST_HISTORY)
    shape = len(opening), len(sizes)
    if scale == "log":
        return Scales(level=np.ones(shape), ratio=np.zeros(shape, dtype=bool), learned=learned)
    parts = [opening[..., :size] for size in sizes]
    level = np.stack([root(part) for part in parts], axis=1)
    ratio = np.stack([_far_from_zero(part) for part in parts], axis=1)
    earlier = np.isfinite(mean_of(history)).sum(axis=1) >= FEWEST_HISTORY
    if earlier.any():
        level = np.where(earlier[:, None], root(history)[:, None], level)
        ratio = np.where(earlier[:, None], _far_from_zero(history)[:, None], ratio)
    return Scales(level=level, ratio=ratio, learned=learned)


SCALES: Final[Recalled[Scales]] = Recalled()


def compared(values: Floats, scale: Scale) -> Floats:
    """Return values as they are compared, what is not finite as missing; logarithms of positive ones if asked for."""
    known = np.isfinite(values)
    if scale == "auto":
        return np.where(known, values, np.nan)
    known &= values > 0
    return np.where(known, np.log(np.where(known, values, 1.0)), np.nan)


def vanishes(baseline: Floats) -> BoolArray:
    """Return, (N, n), the slots in which stable's mean is no more than a tenth of its RMS over all of them."""
    return np.asarray(mean_of(baseline) <= LEAST_LEVEL * root(baseline)[:, None])


def never_vanishes(baseline: Floats) -> bool:
    """Return whether all values lie so near each other that no slot can vanish, whichever are left out or missing."""
    lowest, highest = np.fmin.reduce(baseline, axis=None), np.fmax.reduce(baseline, axis=None)
    return bool(highest < np.inf and lowest > 2 * LEAST_LEVEL * highest)


def _far_from_zero(values: Floats) -> BoolArray:
    """Return, (N,), whether the 5th percentile of the pods' mean lies above a fifth of the RMS."""
    mean = mean_of(values)
    ordered = np.sort(np.where(np.isfinite(mean), mean, np.inf), axis=1)  # missing ones last
    size = np.isfinite(mean).sum(axis=1)
    if not ordered.shape[1]:
        return np.zeros(len(values), dtype=bool)
    low = np.maximum(np.ceil(0.05 * size).astype(int) - 1, 0)
    fifth = ordered[np.arange(len(values)), low]
    return np.asarray((size > 0) & (fifth > NEAR_ZERO * root(values)))


def root(values: Floats) -> Floats:
    """Return, (N,), the root mean square of all samples, 0 without any; safe for values near the largest float."""
    known = np.isfinite(values)
    largest = np.where(known, np.abs(values), 0.0).max(axis=(1, 2), initial=0.0)
    unit = np.where(known, values, 0.0) / np.where(largest > 0, largest, 1.0)[:, None, None]
    return np.asarray(largest * np.sqrt((unit**2).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)))


def pods_of(values: Floats) -> Floats:
    """Return, (N, n), the number of pods that are there."""
    return np.asarray(np.isfinite(values).sum(axis=1), dtype=np.float64)


def mean_of(values: Floats) -> Floats:
    """Return, (N, n), the mean over the pods present; NaN where there is none."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
