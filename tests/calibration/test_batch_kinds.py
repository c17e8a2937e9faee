"""Latencies, levels, percentiles and lines: what calibration simulates is what the judge makes of a record."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.compare.gauge_curves import curves
from analysis.compare.paired import pair
from analysis.compare.percentiles import weigh as weigh_percentiles
from analysis.judge import judge
from analysis.types import Verdict
from analysis.weighing import weigh
from tests.calibration import gauges, latencies, percentiles, variations
from tests.calibration.through_judge_kinds import (
    DURATIONS,
    LEVEL,
    gauge_record,
    latency_record,
    line_policy,
    line_record,
    percentile_record,
    policy_of,
)

RELEASES = 3
LATENCIES = [
    pytest.param(latencies.Latencies(looks=30, sd=0.05), id="default buckets"),
    pytest.param(latencies.Latencies(looks=30, sd=0.05, stable_pods=3, history=0, shift=1.4), id="no history"),
    pytest.param(latencies.Latencies(looks=30, edges=tuple(latencies.NATIVE), extra=0.02), id="native buckets"),
]


@pytest.mark.parametrize("service", LATENCIES)
def test_latencies(service: latencies.Latencies):
    """Abort and promote evidence of histograms, release by release, to 1e-9."""
    drawn = latencies.draw(service, RELEASES, np.random.default_rng(16))
    batch = latencies.judged(drawn)
    for row in range(RELEASES):
        alone = weigh(policy_of(DURATIONS), latency_record(drawn, row), None)[DURATIONS.name]
        for name in ("warn", "tolerated", "abort", "promote"):
            np.testing.assert_allclose(getattr(batch, name)[row], getattr(alone, name), atol=1e-9)


@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(gauges.Fleet(looks=40, history=120), id="history"),
        pytest.param(gauges.Fleet(looks=40, history=0, stable_pods=3, effect=0.4), id="no history, +40 %"),
        pytest.param(gauges.Fleet(looks=40, history=120, gaps=0.2, coming=True), id="gaps, pods come and go"),
    ],
)
def test_levels(fleet: gauges.Fleet):
    """Evidence of gauges, release by release, to 1e-9."""
    arms = gauges.draw(fleet, RELEASES, np.random.default_rng(16))
    batch = curves(pair(arms), gauges.QUESTION)
    for row in range(RELEASES):
        alone = weigh(policy_of(LEVEL), gauge_record(arms, row, fleet.seconds), None)[LEVEL.name]
        for name in ("warn", "tolerated", "promote"):
            np.testing.assert_allclose(getattr(batch, name)[row], getattr(alone, name), atol=1e-9)


@pytest.mark.parametrize("history", [60, 0])
def test_percentiles(history: int):
    """Evidence of published percentiles, to 1e-9."""
    service = latencies.Latencies(looks=30, stable_pods=4, sd=0.05, wobble=0.05, history=history)
    drawn = percentiles.draw(service, np.random.default_rng(16))
    simulated = weigh_percentiles(drawn, percentiles.QUESTION)
    assert simulated is not None
    alone = weigh(policy_of(DURATIONS), percentile_record(drawn, service.seconds), None)[DURATIONS.name]
    for name in ("warn", "tolerated", "abort", "promote"):
        np.testing.assert_allclose(getattr(simulated, name), getattr(alone, name), atol=1e-9)


@pytest.mark.parametrize("sign", [pytest.param(1, id="directed"), pytest.param(0, id="undirected")])
def test_lines(sign: int):
    """Series without counts, asked at several ages: the verdict is what the simulation counts."""
    series = variations.Series(sd=0.4, minutes=5.0, pod_sd=0.02 if sign else 0.3, sign=sign)
    asked = variations.ask(series, 4, seed=16)
    canary, stable, _ = variations.draw(series, 4, np.random.default_rng([16, 0]))
    names = [f"metric-{i}" for i in range(variations.METRICS)]
    heard = set()
    for row in range(4):
        record = line_record(names, canary[row], stable[row], variations.STEP)
        for samples in (4, 17, 40, 63, 88, 120):
            said = judge(line_policy(names, sign), record, float(record.ends[samples - 1])).verdict
            place = row, samples - variations.FIRST
            told = Verdict.ABORT if asked.stands[place] else Verdict.HOLD if asked.hold[place] else Verdict.PROMOTE
            assert said is told
            heard.add(said)
    assert len(heard) >= 2
