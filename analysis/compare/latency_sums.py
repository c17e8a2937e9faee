"""
Histograms of one side summed up, look by look: all that most of a latency question is computed from.

It is a twentieth of the histograms, and it is remembered: of one look more only the newest histograms are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np

from analysis.compare.scores import Side, complete, midpoints, so_far, squared_shares
from analysis.compare.tails import exceeding
from analysis.errors import InvalidInput
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
        Requests per bucket so far, as they were found: of histograms that miss a bucket and of looks left out, too.
    """

    side: Side
    above: Floats
    lasting: Floats
    found: Floats


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
    packed, _ = _packed(counts, midpoints(edges), left_out, None)
    return _sums_in(packed, counts.shape[1])


def sums_of_both(sides: Mapping[str, Floats], edges: Floats, left_out: BoolArray, origin: Origin) -> list[Sums]:
    """
    Return `sums_of` several sides, by name, of runs that come from ``origin``: only looks not seen before are read.

    Raises
    ------
    InvalidInput
        If a new look holds a negative or an infinite number.
    """
    middle = midpoints(edges)

    def more(seen: int, known: Sequence[Floats] | None) -> tuple[Floats, Sequence[Floats]]:
        before: Sequence[Floats | None] = known or [None] * len(sides)
        parts, states = [], []
        for (name, counts), upto in zip(sides.items(), before, strict=True):
            new = counts[:, :, seen:]
            low, high = (end.reduce(new, axis=None, initial=0.0) for end in (np.fmin, np.fmax))  # of what is there
            if low < 0 or math.isinf(high):
                raise InvalidInput("must be finite and not negative, or NaN for missing", f"/{name}/counts")
            packed, after = _packed(new, middle, left_out[:, seen:], upto)
            parts.append(packed)
            states.append(after)
        return np.concatenate(parts, axis=-1), states

    packed, _ = SUMS.run(origin.frame, origin.trail, more)
    found, begin = [], 0
    for counts in sides.values():
        end = begin + _width(counts.shape[1], counts.shape[3])
        found.append(_sums_in(packed[..., begin:end], counts.shape[1]))
        begin = end
    return found


SUMS: Final[Resumed[Sequence[Floats]]] = Resumed(32, shared=True)
"""What earlier calls summed up."""
TOLD: Final = 5
"""Columns of a look besides those of replicas and buckets."""


def _packed(counts: Floats, middle: Floats, left_out: BoolArray, known: Floats | None) -> tuple[Floats, Floats]:
    """Return everything of `Sums`, (N, K, ...), of looks that follow what is known, and what is known after them."""
    whole = counted(counts, left_out)
    buckets = np.add.reduce(whole, axis=1)
    packed = np.empty((*buckets.shape[:2], _width(counts.shape[1], counts.shape[3])))
    total, plain, told, above, found = _columns(packed, counts.shape[1])
    total[:] = np.add.reduce(whole, axis=-1).swapaxes(1, 2)
    plain[:] = np.add.reduce(whole * middle, axis=-1).swapaxes(1, 2)  # a matrix product rounds by the number of looks
    above[:] = exceeding(buckets)
    found[:] = buckets if whole is counts else np.nansum(counts, axis=1)
    upto = so_far(np.concatenate([total, found], axis=-1), known)
    found[:] = upto[..., total.shape[-1] :]
    for place, part in enumerate((total, plain, buckets * middle**2)):
        np.add.reduce(part, axis=-1, out=told[..., place])
    told[..., 3], told[..., 4] = squared_shares(total), squared_shares(upto[..., : total.shape[-1]])
    return packed, upto[:, -1]


def _width(replicas: int, buckets: int) -> int:
    return 2 * replicas + TOLD + 2 * buckets - 1


def _columns(packed: Floats, replicas: int) -> list[Floats]:
    """Return the parts of what is packed: requests and ln latency by replica, what is told of all, above, found."""
    last = 2 * replicas + TOLD
    buckets = (packed.shape[-1] - last + 1) // 2
    ends = replicas, 2 * replicas, last, last + buckets - 1, packed.shape[-1]
    return [packed[..., first:end] for first, end in zip((0, *ends), ends, strict=False)]


def _sums_in(packed: Floats, replicas: int) -> Sums:
    total, plain, told, above, found = _columns(packed, replicas)
    side = Side(total=total.swapaxes(1, 2), plain=plain.swapaxes(1, 2), told=told[..., :-1])
    return Sums(side=side, above=above, lasting=told[..., -1], found=found)
