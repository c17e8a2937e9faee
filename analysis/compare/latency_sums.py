"""
Histograms of one side summed up, look by look: all that most of a latency question is computed from.

It is a twentieth of the histograms, and it is remembered: of one look more only the newest histograms are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np

from analysis.compare.scores import Side, complete, midpoints, so_far, squared_shares
from analysis.compare.tails import exceeding
from analysis.grid import Floats
from analysis.resumed import Resumed, Trail
from analysis.types import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Origin:
    """
    What tells one run from all others, for the processes that read it.

    Parameters
    ----------
    trail : Trail
        Of the histograms of both sides, the looks left out and their lengths: everything that is read of a look.
    frame : bytes
        Everything else.
    """

    trail: Trail
    frame: bytes

    @property
    def of_looks(self) -> Trail:
        """What tells apart what was made of each look and of those before it."""
        return self.trail.named(self.frame)

    def narrowed(self, *more: bytes) -> Origin:
        """Return the same looks, of which more has to be known."""
        return Origin(trail=self.trail, frame=sha256(b"".join([self.frame, *more])).digest())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """
    One side of N releases, summed up.

    Parameters
    ----------
    side : Side
        Requests and ln latency per replica and look.
    above : (N, K, B-1) float64
        Requests of all replicas above each edge.
    lasting : (N, K) float64
        Sum of squared shares of the replicas in all requests so far; 1 before the first.
    found : (N, K, B) float64
        Requests per bucket as they were found: of histograms that miss a bucket and of looks left out, too.
    """

    side: Side
    above: Floats
    lasting: Floats
    found: Floats


def counted(counts: Floats, left_out: BoolArray) -> Floats:
    """Return histograms (N, R, K, B) without those that miss a bucket, and without looks in which nothing counts."""
    whole = complete(counts)
    return np.where(left_out[:, None, :, None], 0.0, whole) if left_out.any() else whole


def sums_of(counts: Floats, edges: Floats, left_out: BoolArray, origin: Origin | None = None) -> Sums:
    """
    Return one side summed up.

    Parameters
    ----------
    counts : (N, R, K, B) float64
        Requests per replica, look and bucket, not cumulative, the last beyond every edge; NaN is missing.
    edges : (B-1,) float64
    left_out : (N, K) bool
        Looks in which nothing counts.
    origin : Origin, optional
        Where they come from; without it nothing is remembered.
    """
    replicas, middle = counts.shape[1], midpoints(edges)

    def more(seen: int, known: Floats | None) -> tuple[Floats, Floats]:
        whole = counted(counts[:, :, seen:], left_out[:, seen:])
        parts = whole, whole * middle  # a product of matrices would round by how many looks there are
        total, plain = (np.ascontiguousarray(np.add.reduce(part, axis=-1).swapaxes(1, 2)) for part in parts)
        buckets = np.add.reduce(whole, axis=1)
        upto = so_far(total, known)
        of_look = (np.add.reduce(part, axis=-1) for part in (total, plain, buckets * middle**2))
        shares = squared_shares(total), squared_shares(upto)
        told = np.stack([*of_look, *shares], axis=-1)
        found = np.nansum(counts[:, :, seen:], axis=1)
        return np.concatenate([total, plain, told, exceeding(buckets), found], axis=-1), upto[:, -1]

    packed, _ = more(0, None) if origin is None else SUMS.run(origin.frame, origin.trail, more)
    total, plain = (packed[..., first : first + replicas].swapaxes(1, 2) for first in (0, replicas))
    requests, latency, square, shares, lasting = packed[..., 2 * replicas : 2 * replicas + 5].transpose(2, 0, 1)
    side = Side(total=total, plain=plain, requests=requests, latency=latency, square=square, shares=shares)
    above, found = packed[..., 2 * replicas + 5 : -len(middle)], packed[..., -len(middle) :]
    return Sums(side=side, above=above, lasting=lasting, found=found)


SUMS: Final[Resumed[Floats]] = Resumed(32, shared=True)
"""What earlier calls summed up."""
