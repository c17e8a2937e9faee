"""What all looks together say of each ratio of both sides: what estimates and their bounds are made of."""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis.evidence import SIGNS, Looks, Null, grown, terms
from analysis.grid import NODES, Floats
from analysis.resumed import FEWEST_LOOKS, Resumed

STEPS: Final[Floats] = np.stack([np.expm1(sign * NODES) for sign in SIGNS])[:, None]
"""What a bet on each ratio, and on its inverse, adds to the canary's share of the events."""


def against_equality(looks: Looks) -> tuple[Floats, Floats]:
    """
    Return the log likelihood of each ratio against equality, summed over the looks of one release.

    Parameters
    ----------
    looks : Looks
        N = 1; of one look more than in an earlier call only that look is added.

    Returns
    -------
    above, below : (156,) float64
        Of the ratios ``e**g`` and ``e**-g`` of every node g: the sum of `analysis.evidence.log_likelihood` of either
        sign, for the null of ratio 1 without slack.
    """
    count = looks.used.shape[1]

    def more(first: int, known: Floats | None) -> tuple[Floats, Floats]:
        share, events, bad = terms(looks.between(first, count), Null())
        few = count - first < FEWEST_LOOKS  # of many, the table is shared with the processes
        growth = np.log1p(share[..., None] * STEPS) if few else np.concatenate([grown(share, sign) for sign in SIGNS])
        spent = events[..., None] * growth
        if known is not None:
            spent[:, 0] += known
        return bad, spent.sum(axis=1)  # one look after the other, whoever summed those before

    bad, spent = SUMS.run(b"", looks.trail, more)
    gain = bad.sum() * NODES
    return gain - spent[0], -gain - spent[1]


def gained(looks: Looks, node: int) -> Floats:
    """Return, (K,), what the looks of one release say of one ratio ``e**g`` above equality, look by look."""
    share, events, bad = (each[0] for each in terms(looks, Null()))
    return np.asarray(bad * NODES[node] - events * np.log1p(share * np.expm1(NODES[node])))


SUMS: Final[Resumed[Floats]] = Resumed()
"""What earlier calls summed up: of each node what `grown` takes, (2, 156)."""
