"""Where the bounds of an effect stand on a line: the geometry of the small static drawing beside each question."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis import words
from webhook.explain.reading import Document, amount, line, part

WIDTH = 200.0
MARGIN = 8.0
"""Room at both ends, in the drawing's own unit, for the dot and the arrow heads."""
LEAST_RATIO = 2.0
MOST_RATIO = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """
    Places on a line of `WIDTH` units, rising from left to right.

    Parameters
    ----------
    low, high, dot, equal : float
        Bounds, estimate, and "no difference", which is always the middle.
    open_low, open_high : bool
        True where nothing bounds the effect, or the bound lies beyond the drawing.
    left, right : str
        What the ends of the line stand for.
    """

    low: float
    high: float
    dot: float
    equal: float
    open_low: bool
    open_high: bool
    left: str
    right: str


def draw(evidence: Document) -> Bar | None:
    """
    Return the drawing of an effect, or None where there is none.

    A ratio is drawn on a logarithmic line around 1, from at least 0.5x to 2x and at most 1/16 to 16x; a
    difference on a linear line around 0, as long as its bounds ask for.
    """
    found = part(evidence, "effect")
    values = [amount(found.get(key)) for key in ("estimate", "low", "high")]
    if line(found.get("measure")) == "difference":
        places = values
        half = max((abs(place) for place in places if place), default=1.0)
        left, right = "less", "more"
    else:
        places = [None if v is None else math.log(v) if v > 0 else -math.inf for v in values]
        widest = max((abs(place) for place in places if place is not None), default=0.0)
        half = min(math.log(MOST_RATIO), max(math.log(LEAST_RATIO), widest))
        left, right = words.ratio(math.exp(-half)), words.ratio(math.exp(half))
    estimate, low, high = places
    if estimate is None:
        return None

    def place(value: float) -> float:
        inside = min(1.0, max(-1.0, value / half))
        return round(WIDTH / 2 + inside * (WIDTH / 2 - MARGIN), 1)

    return Bar(
        low=place(-half if low is None else low),
        high=place(half if high is None else high),
        dot=place(estimate),
        equal=WIDTH / 2,
        open_low=low is None or low < -half * (1 + 1e-9),
        open_high=high is None or high > half * (1 + 1e-9),
        left=left,
        right=right,
    )
