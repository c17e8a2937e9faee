"""What the null believes of the pods at each look: `analysis.grid.null_weights`, never worked out twice."""

from __future__ import annotations

from typing import Final

import numpy as np

from analysis.grid import Floats, null_weights
from analysis.resumed import LARGEST_BATCH, Recalled, Resumed, Tabled


def beliefs(factor: Floats, weights: Floats) -> Floats:
    """
    Return what is believed of the pods of N releases at K looks.

    Parameters
    ----------
    factor : (N, K) float64
        ``c``, as for `null_weights`.
    weights : (N, K, 7) float64

    Returns
    -------
    (N, K, 156) float64
        `null_weights` of each, to the last bit; nobody may write into it. One row of the table costs some 35 us, and
        each process of a question asks for it: a batch has several that are weighed again for every step.
    """
    newest = factor.shape[1] == 1  # every process of a question asks about it
    if newest and len(factor) <= LARGEST_BATCH:
        return NEWEST.value(b"", (factor, weights), lambda: null_weights(factor, weights))
    if len(factor) > LARGEST_BATCH:
        numbers = np.concatenate([factor[..., None], weights], axis=-1).reshape(factor.size, -1)
        found = OF_BATCHES.rows(numbers, lambda some: null_weights(some[:, 0], some[:, 1:]))
        return found.reshape(*factor.shape, -1)

    def more(seen: int, _: None) -> tuple[Floats, None]:
        found = null_weights(factor[:, seen:], weights[:, seen:])
        return np.broadcast_to(found, (len(factor), *found.shape[1:])), None

    return BELIEFS.run(b"", (factor, weights), more)[0]


BELIEFS: Final[Resumed[None]] = Resumed(32, shared=True)
NEWEST: Final[Recalled[Floats]] = Recalled()
OF_BATCHES: Final = Tabled(2**16)
"""What earlier calls worked out; the last takes 80 MB at most, and only where many releases are played at once."""
