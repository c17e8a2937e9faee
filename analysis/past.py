"""
What a service did before a release and at the same hours of earlier days: bins of two numbers, and windows over them.

A bin holds a part and a whole: bad events and requests, or the sum of logarithms of a level and how many there were. So
every window of every day is a pair of sums, and its rate or mean is their quotient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.errors import InvalidRecord
from analysis.grid import Floats
from analysis.types import Json

PAST: Final = "past"
"""Where a question's record keeps it."""
DAY: Final = 86400.0
LEAST_KNOWN: Final = 0.5
"""Share of a window that must be there for it to speak for its day."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Past:
    """
    Bins of D days around the clock time of a release's start.

    Parameters
    ----------
    start : float
        Unix seconds of the start of the release.
    step : float
        Seconds of a bin, > 0.
    before : int
        Bins before the start; bin ``i`` of a day that lies ``b`` days back covers
        ``start - b days + step (i - before)`` and the ``step`` seconds after it.
    backs : tuple of int
        How many days back each row lies; the first is 0, the day of the release, whose bins end at the start.
    part, whole : (D, B) float64
        NaN where the source had nothing.
    skipped : tuple of (int, str)
        Days that were left out, and why.
    """

    start: float
    step: float
    before: int
    backs: tuple[int, ...]
    part: Floats
    whole: Floats
    skipped: tuple[tuple[int, str], ...] = ()

    def window(self, begin: Floats, end: Floats) -> tuple[Floats, Floats]:
        """
        Return part and whole of a window on every day, (D, K) each; NaN where half of it or more is not known.

        Parameters
        ----------
        begin, end : (K,) float64
            Unix seconds on the day of the release, ``begin < end``. Bins are cut linearly.
        """
        known = np.isfinite(self.part) & np.isfinite(self.whole)
        sums = [self._between(np.where(known, values, 0.0), begin, end) for values in (self.part, self.whole)]
        share = self._between(known.astype(np.float64), begin, end) * self.step / (end - begin)
        enough = (share >= LEAST_KNOWN) & (sums[1] > 0)
        # What is missing of a window is missing of both sums: their quotient needs no correction.
        return np.where(enough, sums[0], np.nan), np.where(enough, sums[1], np.nan)

    def _between(self, values: Floats, begin: Floats, end: Floats) -> Floats:
        ticks = np.arange(values.shape[1] + 1, dtype=np.float64)
        upto = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        places = [(edge - self.start) / self.step + self.before for edge in (begin, end)]
        low, high = (np.stack([np.interp(place, ticks, row) for row in upto]) for place in places)
        return np.asarray(high - low)

    def document(self) -> dict[str, Json]:
        """Return what a record keeps; `read` gives the same again."""
        rows = [_plain(values) for values in (self.part, self.whole)]
        return {
            "start": self.start,
            "step": self.step,
            "before": self.before,
            "backs": list(self.backs),
            "part": rows[0],
            "whole": rows[1],
            "skipped": [[back, why] for back, why in self.skipped],
        }


def read(content: Mapping[str, Json]) -> Past:
    """
    Return what `Past.document` wrote.

    Raises
    ------
    InvalidRecord
        It was not written by it.
    """
    try:
        part, whole = (_array(content[name]) for name in ("part", "whole"))
        backs = tuple(int(back) for back in content["backs"])
        found = Past(
            start=float(content["start"]),
            step=float(content["step"]),
            before=int(content["before"]),
            backs=backs,
            part=part,
            whole=whole,
            skipped=tuple((int(back), str(why)) for back, why in content["skipped"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRecord(f"cannot be read: {error!r}", f"/notes/{PAST}") from error
    if part.ndim != 2 or part.shape != whole.shape or len(backs) != len(part) or not found.step > 0:
        raise InvalidRecord("needs a row of part and whole for each day", f"/notes/{PAST}")
    return found


def _plain(values: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(value) else value for value in row] for row in values.tolist()]


def _array(rows: Json) -> Floats:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)
