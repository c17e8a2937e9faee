"""What was learned of a stable side's latencies, as plain numbers that a record can keep."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from analysis.compare.latency_noise import LatencyNoise
from analysis.compare.podnoise import PodNoise
from analysis.compare.score_noise import ScoreNoise
from analysis.compare.tails import TailNoise
from analysis.errors import InvalidRecord
from analysis.types import Json


def summary(noise: LatencyNoise) -> dict[str, Json]:
    """
    Return one release's noise as numbers and lists of numbers, small enough for a record.

    Parameters
    ----------
    noise : LatencyNoise
        N = 1.

    Returns
    -------
    dict
        `from_summary` gives back the same figures, bit for bit.
    """
    return {
        "pods": {f.name: float(getattr(noise.score.pods, f.name)[0, -1]) for f in fields(PodNoise)},
        "slot_seconds": float(noise.score.slot_seconds[0, 0]),
        "pod_rate": float(noise.score.pod_rate[0, 0]),
        "tail": {f.name: getattr(noise.tail, f.name)[0].tolist() for f in fields(TailNoise)},
        "looks": int(noise.looks[0]),
        "requests_per_second": float(noise.requests_per_second[0]),
    }


def from_summary(told: Json, edges: int) -> LatencyNoise:
    """
    Return the noise that a record kept.

    Parameters
    ----------
    told : object
        From `summary`.
    edges : int
        How many edges the histogram has.

    Raises
    ------
    InvalidRecord
        If a figure is missing, is not a finite number, or does not fit the edges.
    """
    try:
        pods = PodNoise(**{f.name: _array(told["pods"][f.name], 2) for f in fields(PodNoise)})
        tail = TailNoise(**{f.name: _array(told["tail"][f.name], 1) for f in fields(TailNoise)})
        noise = LatencyNoise(
            score=ScoreNoise(
                pods=pods, slot_seconds=_array(told["slot_seconds"], 2), pod_rate=_array(told["pod_rate"], 2)
            ),
            tail=tail,
            looks=_array(told["looks"], 1).astype(np.int64),
            requests_per_second=_array(told["requests_per_second"], 1),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRecord(f"is no summary of latencies: {error}", "/notes/latency_noise") from error
    if tail.exceedance.shape != (1, edges):
        raise InvalidRecord(f"needs {edges} edges, got {tail.exceedance.shape[1]}", "/notes/latency_noise/tail")
    return noise


def _array(value: Any, scalar_dimensions: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    array = np.asarray(value, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError("not a finite number")
    return array.reshape((1,) * scalar_dimensions) if array.ndim == 0 else array[None]
