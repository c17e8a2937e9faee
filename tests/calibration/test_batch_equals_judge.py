"""The batch that calibrates and the path that judges are one: log e agrees to 1e-9, release by release."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.compare.arms import prepare
from analysis.compare.claims import no_worse, no_worse_and_better, warn_and_tolerated
from analysis.compare.counts import demanded
from analysis.evidence import Null
from analysis.judge import judge
from analysis.types import Verdict
from analysis.weighing import weigh
from tests.calibration.measures import ALPHAS, judged
from tests.calibration.services import Service, draw
from tests.calibration.through_judge import NAME, POLICY, record_of

RELEASES = 6
CELLS = [
    pytest.param(Service(looks=60), id="steady"),
    pytest.param(
        Service(looks=80, weights=(0.05, 0.1, 0.25, 0.5), canary_pods=(1, 1, 3, 5), drift=4.0, share=0.005, sd=0.1),
        id="ramp, drift, growing pods",
    ),
    pytest.param(Service(looks=60, clump=4.0, sd=0.2, ratio=(1.0, 3.0)), id="clumps, pods, a late fault"),
    pytest.param(Service(looks=60, share=0.0001, rps=20.0), id="slack decides, few events"),
    pytest.param(Service(looks=70, history=0, clump=4.0), id="no history"),
    pytest.param(Service(looks=70, history=0, visible=False), id="no history, pods hidden"),
    pytest.param(Service(looks=60, rps=1.0, canary_pods=(1, 3)), id="looks without requests"),
    pytest.param(Service(looks=50, rps=20_000.0, sd=0.2, law="gamma", ratio=(2.0,)), id="busy, gamma pods"),
]


@pytest.mark.parametrize("service", CELLS)
def test_a_batch_gives_what_the_judge_gives(service: Service):
    """Abort and promote evidence, and the abort with its burst check, of every release of the batch."""
    drawn = draw(service, RELEASES, np.random.default_rng(16))
    batch, promoted = judged(drawn), judged(drawn, promote=True)
    for row in range(RELEASES):
        alone = weigh(POLICY, record_of(drawn, row), None)[NAME]
        np.testing.assert_allclose(batch.warn[row], alone.warn, atol=1e-9)
        np.testing.assert_allclose(batch.abort[row], alone.abort, atol=1e-9)
        np.testing.assert_allclose(promoted.promote[row], alone.promote, atol=1e-9)


def test_the_verdict_follows_the_batch():
    """The judge aborts every release that the batch aborts, at the same look, and stays by it."""
    drawn = draw(Service(looks=40, ratio=(3.0,), sd=0.1), 20, np.random.default_rng(19))
    batch = judged(drawn)
    aborted = np.isfinite(batch.aborted)
    assert aborted.sum() > 10
    for row in np.flatnonzero(aborted):
        look = int(batch.aborted[row]) - 1
        record = record_of(drawn, int(row))
        assert judge(POLICY, record, float(drawn.ends[look])).verdict is Verdict.ABORT
        assert judge(POLICY, record, float(drawn.ends[-1])).verdict is Verdict.ABORT
        assert look == 0 or judge(POLICY, record, float(drawn.ends[look - 1])).verdict is not Verdict.ABORT


def test_rows_of_a_batch_do_not_touch_each_other():
    """A release in a batch of six is what it is alone, whatever the others are."""
    drawn = draw(Service(looks=60, sd=0.2), RELEASES, np.random.default_rng(17))
    for rows, arms in drawn.arms(np.arange(RELEASES) == 3):
        prepared = prepare(arms)
        warn, tolerated = warn_and_tolerated(prepared, 1.5, 0.001)
        batch = judged(drawn)
        assert list(np.flatnonzero(rows)) == [3]
        np.testing.assert_allclose(batch.warn[3], warn[0], atol=1e-9)
        np.testing.assert_allclose(batch.abort[3], demanded(warn, tolerated, ALPHAS)[0], atol=1e-9)
        limit = Null(ratio=1.5, slack=0.001)
        both = no_worse_and_better(prepared, limit, None, prepared.first)
        alone = no_worse(prepared, limit, None, prepared.first, prepared.first)
        np.testing.assert_array_equal(both[0], alone)
        assert both[1].shape == warn.shape
