"""From the counts of one question to a batch of one, and which questions can be weighed as one batch."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from analysis.compare.arms import Arms, History
from analysis.noise import FEWEST_LOOKS, Noise

if TYPE_CHECKING:
    from analysis.compare.counts import CountsData, CountsQuestion


def arms_of(data: CountsData, question: CountsQuestion) -> Arms:
    """Return one release as a batch of one."""
    noise = data.history
    learned = traffic = None
    if noise is not None and _learned(noise):
        learned = (np.array([noise.phi]), np.array([noise.pod_weights]))
    if noise is not None and _traffic(noise):
        traffic = (np.array([noise.requests_per_second]), np.array([noise.bad_share]))
    history = History(
        learned=learned,
        traffic=traffic,
        looks=noise.looks if noise is not None else 0,
        bad=None if data.earlier_bad is None else data.earlier_bad[None],
        total=None if data.earlier_total is None else data.earlier_total[None],
    )
    return Arms(
        canary_bad=data.canary_bad[None],
        canary_total=data.canary_total[None],
        baseline_bad=data.baseline_bad[None],
        baseline_total=data.baseline_total[None],
        left_out=data.left_out[None],
        seconds=data.seconds,
        visible=data.visible,
        swapped=question.swapped,
        exposure=question.exposure,
        history=history,
    )


def kin_of(data: CountsData, question: CountsQuestion) -> Hashable:
    """Return what questions have in common that can be weighed as one batch."""
    history = data.history
    earlier = None if data.earlier_bad is None else data.earlier_bad.shape
    return (
        data.baseline_bad.shape, data.canary_bad.shape, data.seconds.tobytes(), data.visible, _learned(history),
        _traffic(history), None if history is None else history.looks, earlier, question.harm_budget, question.swapped,
    )  # fmt: skip


def _learned(noise: Noise | None) -> bool:
    """Return whether history tells the noise."""
    return noise is not None and noise.source == "history"


def _traffic(noise: Noise | None) -> bool:
    """Return whether history tells the traffic."""
    return noise is not None and noise.looks >= FEWEST_LOOKS and noise.requests_per_second > 0
