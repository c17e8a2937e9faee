"""What a reader must know of the data behind the evidence of a latency."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.compare.latency_arms import PreparedLatency

if TYPE_CHECKING:
    from analysis.compare.latency import LatencyData, LatencyEvidence

COARSE: Final = 0.9


def pod_limited(evidence: LatencyEvidence) -> bool:
    """
    Return whether pods, not requests, are what a promotion lacks.

    So it is from the start where even an equal canary could not be proved with endless requests, and later where
    time has taken away all but a tenth of what the pods leave open and the question is still undecided.
    """
    shift, goal = evidence.shift, -np.log(evidence.question.alphas.promote)
    if not shift.bets[0, -1]:
        return False
    if float(shift.reachable(np.log(evidence.question.shift))[0]) < goal:
        return True
    settled = shift.noise[0, -1] < shift.pods[0, -1] / 10
    return bool(
        settled and evidence.promote[-1] < goal and evidence.warn[-1] < -np.log(evidence.question.alphas.freeze)
    )


def noise_source(prepared: PreparedLatency) -> str:
    """Return where what is known of the noise comes from: ``history``, ``run``, ``prior``."""
    if not (prepared.shift.bets.any() or prepared.rows.looks.used.any()):
        return "prior"
    return "run" if prepared.score_from_run[0] or prepared.tail_from_run[0] else "history"


def flags(data: LatencyData, evidence: LatencyEvidence, moved: bool) -> tuple[str, ...]:
    """Return what a reader must know of the data behind the figures."""
    prepared = evidence.prepared
    served = (pod for pod in data.baseline if (pod > 0).any())
    serving = np.flatnonzero(prepared.canary_total[0] + prepared.stable_total[0] > 0)[-5:]
    told = {
        "no_baseline": bool(serving.size and not prepared.stable_total[0, serving].any()),
        "noise: prior": evidence.noise_source == "prior",
        "dispersion: run": bool(prepared.overruled[0]),
        "pods: unknown": not data.visible,
        "one stable pod": data.visible and len(list(islice(served, 2))) == 1,
        "weak guard": bool(prepared.edges.weak_guard[0]),
        "no guard": bool(evidence.first_look is not None and not len(prepared.edges.asked)),
        "pod-limited": pod_limited(evidence),
        "slo edge moved": moved,
        "histogram too short": bool(prepared.edges.short[0]),
        "coarse buckets": bool(prepared.largest_bucket[0] > COARSE),
    }
    return tuple(name for name, holds in told.items() if holds)
