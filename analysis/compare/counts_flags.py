"""What a reader must know of the data behind the evidence of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.compare.arms import Prepared
from analysis.noise import FEWEST_LOOKS, looks_that_count

if TYPE_CHECKING:
    from analysis.compare.counts import CountsData

LONE_LOOKS: Final = 5


def noise_source(data: CountsData, prepared: Prepared) -> str:
    """Return whence the noise in use comes: ``history``, ``run`` or ``prior``."""
    if prepared.overruled[0, -1]:
        return "run"
    if prepared.history.learned is not None:
        return "history"
    return "run" if _counted(data) >= FEWEST_LOOKS else "prior"


def _counted(data: CountsData) -> float:
    bad, total = data.baseline_bad, np.where(data.left_out, np.nan, data.baseline_total)
    if data.earlier_bad is not None and data.earlier_total is not None:
        bad = np.concatenate([data.earlier_bad, bad], axis=1)
        total = np.concatenate([data.earlier_total, total], axis=1)
    return float(looks_that_count(bad, total, data.visible))


def flags(data: CountsData, prepared: Prepared, source: str) -> tuple[str, ...]:
    """Return what a reader must know of the data behind the figures, with noise from ``source``."""
    found = []
    if prepared.inconsistent.any():
        found.append("inconsistent_counters")
    if no_baseline(prepared):
        found.append("no_baseline")
    if source == "prior":
        found.append("noise: prior")
    if prepared.overruled[0, -1]:
        found.append("dispersion: run")
    if not data.visible:
        found.append("pods: unknown")
    elif (np.nansum(data.baseline_total, axis=1) > 0).sum() == 1:
        found.append("one stable pod")
    return tuple(found)


def no_baseline(prepared: Prepared) -> bool:
    """Return whether only the canary served in the last 5 looks with requests: nothing is left to compare with."""
    serving = np.flatnonzero(prepared.canary_total[0] + prepared.stable_total[0] > 0)[-LONE_LOOKS:]
    return bool(serving.size and not prepared.stable_total[0, serving].any())
