"""Counts of invented services for the tests of evidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.compare.counts import CountsData
from analysis.grid import Floats
from analysis.noise import Noise, learn


def history(
    seed: int = 0,
    *,
    looks: int = 60,
    pods: int = 10,
    requests: float = 300.0,
    share: float = 0.01,
    seconds: float = 15.0,
) -> Noise:
    """Stable before the release: pods alike, independent events."""
    rng = np.random.default_rng(seed)
    total = np.full((pods, looks), requests)
    return learn(rng.poisson(total * share).astype(float), total, np.full(looks, seconds), True)


def release(
    seed: int = 1,
    *,
    ratio: float | Floats = 1.0,
    looks: int = 40,
    share: float = 0.01,
    stable: tuple[int, float] = (10, 285.0),
    canary: tuple[int, float] = (1, 150.0),
    seconds: float = 15.0,
    **changes: Any,
) -> CountsData:
    """
    One release: ``stable`` and ``canary`` are (pods, requests per pod and look), ``ratio`` is per look or one.

    Further keywords replace fields of the data.
    """
    rng = np.random.default_rng(seed)
    n_s, n_c = np.full((stable[0], looks), stable[1]), np.full((canary[0], looks), canary[1])
    fields: dict[str, Any] = {
        "baseline_bad": rng.poisson(n_s * share).astype(float),
        "baseline_total": n_s,
        "canary_bad": rng.poisson(n_c * share * np.asarray(ratio)).astype(float),
        "canary_total": n_c,
        "left_out": np.zeros(looks, dtype=bool),
        "ends": 1_700_000_000.0 + seconds * np.arange(1, looks + 1),
        "seconds": np.full(looks, seconds),
        "history": history(),
    }
    return CountsData(**{**fields, **changes})
