"""Native histograms in an answer of Prometheus's query API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.types import FloatArray
from webhook.ports import Points


def native_points(labels: Mapping[str, str], pairs: Sequence[Any]) -> Points:
    """
    Return one series of native histograms.

    Parameters
    ----------
    labels : mapping
    pairs : sequence
        As the API writes them: ``[time, {"count", "sum", "buckets": [[rule, lower, upper, count], …]}]``; the rule says
        which bounds are closed, which matters to no duration. ``buckets`` is absent where nothing was observed.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is no such list.
    """
    buckets = [np.array(found.get("buckets") or np.zeros((0, 4)), dtype=np.float64) for _, found in pairs]
    if any(found.ndim != 2 or found.shape[1] != 4 for found in buckets):
        raise ValueError("a bucket must be rule, lower and upper bound, and count")
    return Points(
        labels=labels,
        times=np.array([moment for moment, _ in pairs], dtype=np.float64),
        values=np.array([found["count"] for _, found in pairs], dtype=np.float64),
        histograms=tuple(_frozen(found[:, 1:]) for found in buckets),
    )


def _frozen(array: FloatArray) -> FloatArray:
    array.flags.writeable = False
    return array
