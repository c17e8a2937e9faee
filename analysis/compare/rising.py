"""
Levels that are counters in truth: values that only rise, and now and then begin anew.

A counter's level says how long a process has run, not how it does. Where every side does nothing but rise, what is
compared is by how much it grew from sample to sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from analysis.grid import Floats

FEWEST_STEPS: Final = 7
"""Steps of stable that must have been seen: a level that wanders rises so often in a row once in 5,000 times."""
FEWEST_CANARY: Final = 3
MOST_RESETS: Final = 0.1
RESET: Final = 0.5
"""A fall below this share of the value before is a process that began anew; a smaller fall is no counter's."""


def only_rises(stable: Sequence[Floats], canary: Floats) -> bool:
    """
    Return whether levels are counters.

    Parameters
    ----------
    stable : sequence of (R, K) float64
        Values of stable, and those of its history; NaN is missing.
    canary : (R, K) float64

    Returns
    -------
    bool
        True if on either side nearly every step rises, none falls but to less than half, and at most one in ten, or one
        alone, does.
    """
    return _rises(stable, FEWEST_STEPS) and _rises([canary], FEWEST_CANARY)


def _rises(parts: Sequence[Floats], fewest: int) -> bool:
    rows = [row[np.isfinite(row)] for part in parts for row in part]
    steps = np.concatenate([np.diff(row) for row in rows]) if rows else np.zeros(0)
    before = np.concatenate([row[:-1] for row in rows]) if rows else np.zeros(0)
    if len(steps) < fewest or np.any(np.concatenate([*rows, np.zeros(1)]) < 0):
        return False
    falls = steps < 0
    anew = falls & (before + steps < RESET * before)
    still = int((steps == 0).sum())
    resets = int(falls.sum())
    return bool((falls == anew).all() and resets <= max(1.0, MOST_RESETS * len(steps)) and 2 * still < len(steps))


def growth(values: Floats) -> Floats:
    """
    Return by how much counters grew in each sample, (R, K).

    Parameters
    ----------
    values : (R, K) float64
        NaN is missing.

    Returns
    -------
    (R, K) float64
        Growth since the sample before, over as many samples as lie between; after a fall all of what is there. NaN at
        the first sample and where one is missing.

    Examples
    --------
    >>> growth(np.array([[5.0, 7.0, np.nan, 13.0, 2.0]])).tolist()
    [[nan, 2.0, nan, 3.0, 2.0]]
    """
    found = np.full(values.shape, np.nan)
    for row, line in zip(found, values, strict=True):
        known = np.flatnonzero(np.isfinite(line))
        if len(known) < 2:
            continue
        steps = np.diff(line[known])
        row[known[1:]] = np.where(steps < 0, line[known[1:]], steps) / np.diff(known)
    return found
