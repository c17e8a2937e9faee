"""The burst check of the batch is that of the judge."""

from __future__ import annotations

import numpy as np

from analysis.compare.counts import CountsQuestion, weigh
from analysis.merging import find_abort, shares
from tests.calibration.measures import ALPHAS, judged
from tests.calibration.services import Service, draw


def test_aborts_of_a_batch_are_those_of_the_judge():
    """Faults and clumps: the same releases abort, at the same look."""
    drawn = draw(Service(looks=60, ratio=(3.0,), clump=4.0, share=0.004), 40, np.random.default_rng(18))
    batch = judged(drawn)
    assert 5 < np.isfinite(batch.aborted).sum() < 40
    for row in range(40):
        found = find_abort([weigh(drawn.release(row), CountsQuestion())], shares([1.0]), ALPHAS.abort)
        look = np.inf if found is None or found.look is None else found.look + 1.0
        assert batch.aborted[row] == look
