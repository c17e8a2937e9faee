"""
A trail of many numbers that is watched look by look, so that only new looks are digested.

Digesting two megabytes costs more than all that one look more computes of them. Here they are compared with a copy of
those seen last, which costs a tenth, and the digest of a look continues that of the look before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np

from analysis.grid import Floats
from analysis.resumed import LARGEST, TOGETHER, Growing, Recalled, Trail

KEPT: Final = 256
"""Runs of which the numbers are kept: those of some thirty releases of ten questions."""
KEPT_BYTES: Final = 2**26
"""What all of them may take; those that were watched longest ago are forgotten first."""
ALIKE: Final = 4
"""Runs with the same first look that are kept: one without its young replicas begins like one without younger ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Past:
    """
    A run as it was seen.

    Parameters
    ----------
    shapes : sequence of shape
        Of its columns, without the looks.
    columns : tuple of Growing
        The numbers of at least its looks.
    digests : list of bytes
        Of everything before each look, and of all: K + 1.
    nbytes : int
        Of the numbers.
    """

    shapes: Sequence[tuple[int, ...]]
    columns: tuple[Growing, ...]
    digests: list[bytes]
    nbytes: int = 0

    @property
    def count(self) -> int:
        """K."""
        return len(self.digests) - 1

    def agrees(self, columns: Sequence[Floats]) -> bool:
        """Return whether all looks that both have are the same, to the bit."""
        both = min(self.count, columns[0].shape[1])
        return all(
            (mine.until(both).view(np.uint64) == other[:, :both].view(np.uint64)).all()
            for mine, other in zip(self.columns, columns, strict=True)
        )

    def followed(self, columns: Sequence[Floats]) -> _Past:
        """Return the same with the looks that ``columns`` have more."""
        digests, first, count = list(self.digests), self.count, columns[0].shape[1]
        looks = [column[:, first:].swapaxes(0, 1).reshape(count - first, -1) for column in columns]
        for row in np.ascontiguousarray(np.concatenate(looks, axis=1)):
            digests.append(sha256(digests[-1] + row.data).digest())
        if self.columns:
            kept = [mine.followed(first, new[:, first:]) for mine, new in zip(self.columns, columns, strict=True)]
        else:
            kept = [Growing(column) for column in columns]
        nbytes = sum(each.nbytes for each in kept)
        return _Past(shapes=self.shapes, columns=tuple(kept), digests=digests, nbytes=nbytes)


class Watched(Trail):
    """A `Trail` that remembers the numbers it was made of, if they are not too many."""

    def _digested(self, ends: range) -> dict[int, bytes]:
        if sum(column.nbytes for column in self._columns) > 2 * LARGEST * min(self.releases, TOGETHER):
            return super()._digested(ends)
        digests = self._seen().digests
        return {end: digests[self._rows_until(end)] + self._lengths(end) for end in ends if end > 0}

    def _seen(self) -> _Past:
        """Return what is known of this run, which is kept for the next that goes on from it."""
        shapes = [column.shape[:1] + column.shape[2:] for column in self._columns]
        pasts = PASTS.value(b"", (), lambda: dict[bytes, tuple[_Past, ...]]())
        begun = b"".join([repr(shapes).encode(), *(column[:, :1].tobytes() for column in self._columns)])
        key = sha256(begun).digest()
        alike = pasts.get(key, ())
        known = next((past for past in alike if past.agrees(self._columns)), None)
        if known is not None and known.count >= self._columns[0].shape[1]:
            return known
        opening = known or _Past(shapes=shapes, columns=(), digests=[sha256(repr(shapes).encode()).digest()])
        found = opening.followed(self._columns)
        others = [past for past in alike if past is not known]
        with suppress(KeyError, RuntimeError, StopIteration):  # another thread watches at the same time
            pasts.pop(key, None)
            pasts[key] = (found, *others[: ALIKE - 1])  # the newest stands last, and first among those like it
            while len(pasts) > KEPT or sum(past.nbytes for each in list(pasts.values()) for past in each) > KEPT_BYTES:
                pasts.pop(next(iter(pasts)))
        return found


PASTS: Final[Recalled[dict[bytes, tuple[_Past, ...]]]] = Recalled(1)
"""The runs that were watched last, by their first looks."""
