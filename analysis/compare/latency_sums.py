"""
Histograms of one side summed up, look by look: all that most of a latency question is computed from.

It is a twentieth of the histograms, and it is remembered: of one look more only the newest histograms are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from analysis.compare.scores import Side, complete, midpoints
from analysis.grid import Floats
from analysis.resumed import Resumed
from analysis.types import BoolArray

Learned = dict[str, tuple[int, Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """
    One side of N releases, summed up.

    Parameters
    ----------
    side : Side
        Requests and ln latency per replica and look.
    buckets : (N, K, B) float64
        Requests of all replicas, not cumulative.
    learned : dict of str to (int, anything)
        What was learned of the first so many looks, for whoever asks the same again; only of a single release.
    """

    side: Side
    buckets: Floats
    learned: Learned


def counted(counts: Floats, left_out: BoolArray) -> Floats:
    """Return histograms (N, R, K, B) without those that miss a bucket, and without looks in which nothing counts."""
    whole = complete(counts)
    return np.where(left_out[:, None, :, None], 0.0, whole) if left_out.any() else whole


def sums_of(counts: Floats, edges: Floats, left_out: BoolArray) -> Sums:
    """
    Return one side summed up.

    Parameters
    ----------
    counts : (N, R, K, B) float64
        Requests per replica, look and bucket, not cumulative, the last beyond every edge; NaN is missing.
    edges : (B-1,) float64
    left_out : (N, K) bool
        Looks in which nothing counts.
    """
    replicas = counts.shape[1]
    middle = midpoints(edges)

    def more(seen: int, known: Learned | None) -> tuple[Floats, Learned]:
        whole = counted(counts[:, :, seen:], left_out[:, seen:])
        parts = whole.sum(axis=-1), (whole * middle).sum(axis=-1)  # a product would round by how many looks there are
        found = np.concatenate([*(np.moveaxis(part, 1, -1) for part in parts), whole.sum(axis=1)], axis=-1)
        return found, {mark: what for mark, what in dict(known or {}).items() if what[0] <= seen}

    packed, learned = SUMS.run(edges.tobytes(), (np.moveaxis(counts, 2, 1), left_out.astype(np.float64)), more)
    total, plain = (
        np.ascontiguousarray(np.moveaxis(packed[..., first : first + replicas], -1, 1)) for first in (0, replicas)
    )
    buckets = packed[..., 2 * replicas :]
    side = Side(total=total, plain=plain, square=(buckets * middle**2).sum(axis=-1))
    return Sums(side=side, buckets=buckets, learned=learned)


SUMS: Final[Resumed[Learned]] = Resumed(32, shared=True)
"""What earlier calls summed up."""
