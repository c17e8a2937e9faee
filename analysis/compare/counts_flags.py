"""What a reader must know of the data behind the evidence of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.compare.arms import Prepared
from analysis.grid import Floats
from analysis.noise import FEWEST_LOOKS, looks_that_count
from analysis.resumed import Recalled

if TYPE_CHECKING:
    from analysis.compare.counts import CountsData

LONE_LOOKS: Final = 5
FIRST_LOOKS: Final = 4 * FEWEST_LOOKS
"""Looks that usually say enough of the noise."""


def noise_source(data: CountsData, prepared: Prepared) -> str:
    """Return whence the noise in use comes: ``history``, ``run`` or ``prior``."""
    if prepared.overruled[0, -1]:
        return "run"
    if prepared.history.learned is not None:
        return "history"
    return "run" if _known_early(data) or _enough(data, slice(None)) else "prior"


def _known_early(data: CountsData) -> bool:
    """Return whether the first looks say enough: later ones unsay it not, once two pods were seen or none can be."""
    first = slice(FIRST_LOOKS)
    read: list[Floats] = [
        data.baseline_bad[:, first],
        data.baseline_total[:, first],
        data.left_out[first].astype(np.float64),
    ]
    read += [earlier for earlier in (data.earlier_bad, data.earlier_total) if earlier is not None]
    return EARLY.value(
        repr(data.visible).encode(),
        read,
        lambda: (not data.visible or _pods(data, first) > 1) and _enough(data, first),
    )


EARLY: Final[Recalled[bool]] = Recalled()
"""What the first looks said, which every later verdict asks again."""


def _enough(data: CountsData, looks: slice) -> bool:
    """Return whether some looks of the run, with the few before it, say enough of the noise."""
    bad, total = data.baseline_bad[:, looks], np.where(data.left_out[looks], np.nan, data.baseline_total[:, looks])
    if data.earlier_bad is not None and data.earlier_total is not None:
        bad = np.concatenate([data.earlier_bad, bad], axis=1)
        total = np.concatenate([data.earlier_total, total], axis=1)
    return bool(looks_that_count(bad, total, data.visible) >= FEWEST_LOOKS)


def _pods(data: CountsData, looks: slice) -> int:
    """Return how many stable replicas had traffic in some looks that are not left out."""
    served = ~data.left_out[looks] & (data.baseline_bad[:, looks] >= 0) & (data.baseline_total[:, looks] > 0)
    return int(served.any(axis=1).sum())


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
    elif _pods(data, slice(FIRST_LOOKS)) < 2 and (data.baseline_total > 0).any(axis=1).sum() == 1:
        found.append("one stable pod")
    return tuple(found)


def no_baseline(prepared: Prepared) -> bool:
    """Return whether only the canary served in the last 5 looks with requests: nothing is left to compare with."""
    serving = np.flatnonzero(prepared.canary_total[0] + prepared.stable_total[0] > 0)[-LONE_LOOKS:]
    return bool(serving.size and not prepared.stable_total[0, serving].any())
