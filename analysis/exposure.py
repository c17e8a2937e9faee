"""
What the requests alone say, before bad events are split: how many pods really serve, and weight steps.

Steps are read from the exposure and from nothing else, so the record gives the same answer however often
it is asked. A wrong detection costs a little evidence, never validity. A look that lost a scrape to the next one seems
to be two steps, there and back: where a fault may have begun is counted from the first sight of it, and what a step
asks for waits one look to see whether the share stays.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from analysis.grid import Floats
from analysis.noise import neighbour_dispersion
from analysis.types import BoolArray

STEP_RATIO: Final = 1.3
NEARLY: Final = STEP_RATIO * (1 - 1e-9)
STEP_SIGMAS: Final = 5.0
SPLIT_INFLATION: Final = 1.5
SPLIT_PRIOR: Final = 3.0
SPLIT_LOOKS: Final = 8
FINE_UNITS: Final = 1000.0  # what the first look of the smaller side is cut into where a unit is no count

Exposure = Literal["requests", "time", "units"]
"""
What events are counted per: requests, of which each may be bad; replica-seconds, which a router does not draw by lot;
or a counter in any unit (jobs, bytes), whose scatter says nothing of its unit.
"""


def pod_factor(canary: Floats, baseline: Floats, served: BoolArray, visible: bool) -> Floats:
    """
    Return how much of the pods' variance is left in the ratio of both sides.

    Parameters
    ----------
    canary, baseline : (N, K) float64
        From `shares_of_squares`.
    served : (N, K) bool
        Looks in which both sides had traffic.
    visible : bool
        Whether replicas can be told apart.

    Returns
    -------
    (N, K) float64
        ``c_k = 1/m_c + 1/m_s``, effective numbers ``m = (sum n)^2 / sum n^2`` of the requests so far. 1 if
        pods are not visible. Looks in which a side is silent keep the value before them; before both sides
        have had traffic it is the first value that follows.
    """
    if not visible:
        return np.ones(served.shape)
    factor = canary + baseline
    look = np.maximum.accumulate(np.where(served, np.arange(served.shape[1]), -1), axis=1)
    look = np.where(look < 0, served.argmax(axis=1)[:, None], look)
    filled = np.take_along_axis(factor, look, axis=1)
    return np.where(np.isfinite(filled), filled, 2.0)


def shares_of_squares(total: Floats, so_far: Floats) -> tuple[Floats, Floats]:
    """
    Return, (N, K), one over the effective number of pods of a side, and, (N, R), all requests up to the last look.

    Parameters
    ----------
    total : (N, R, K) float64
        Requests per replica and look, without NaN.
    so_far : (N, R) float64
        Requests of each replica before these looks.

    Returns
    -------
    share : (N, K) float64
        ``sum n^2 / (sum n)^2`` of the requests up to each look; NaN before the first.
    so_far : (N, R) float64
    """
    sums = total.copy()
    sums[:, :, 0] += so_far
    np.cumsum(sums, axis=2, out=sums)
    whole = sums.sum(axis=1)
    squares = (sums**2).sum(axis=1)
    return np.where(whole > 0, squares / np.where(whole > 0, whole, 1.0) ** 2, np.nan), sums[:, :, -1]


def weight_steps(total_canary: Floats, total_baseline: Floats, exposure: Exposure = "requests") -> BoolArray:
    """
    Return at which looks the traffic split had changed.

    Parameters
    ----------
    total_canary, total_baseline : (N, K) float64
        Requests per look; a look in which a side has none is passed over.
    exposure : {"requests", "time", "units"}, default "requests"
        Requests scatter at least like counts. Anything else is cut into a thousand parts by its first look, so that
        the answer does not depend on a unit: ``time`` counts like as many requests, ``units`` must show their scatter
        in 8 looks first.

    Returns
    -------
    (N, K) bool
        True where the odds differ from those pooled since the last step by a factor of 1.3 and by five
        standard errors, with the dispersion of the split learned from neighbouring looks (3 before 8 looks). Whether
        look k is one is read from looks up to k.

    See Also
    --------
    settled_steps : those that were still steps one look later.
    """
    return _steps(total_canary, total_baseline, exposure, patient=False)[0]


def settled_steps(
    seen: BoolArray, total_canary: Floats, total_baseline: Floats, exposure: Exposure = "requests"
) -> BoolArray:
    """
    Return at which looks the traffic split had changed, as the look after them shows it.

    Parameters
    ----------
    seen : (N, K) bool
        What `weight_steps` returns for the same requests.
    total_canary, total_baseline : (N, K) float64
        Requests per look.
    exposure : {"requests", "time", "units"}, default "requests"
        As for `weight_steps`.

    Returns
    -------
    (N, K) bool
        Like ``seen``, without looks that together with the next one have the odds from before them, within a factor of
        1.3: what one look lacked the other had too much (a scrape that came late, a look that holds no whole number of
        scrapes). The newest look has no next one and counts as seen.
    """
    return _settled(seen, np.asarray(seen.any(axis=1)), total_canary, total_baseline, exposure)


def seen_and_settled(
    total_canary: Floats, total_baseline: Floats, exposure: Exposure = "requests"
) -> tuple[BoolArray, BoolArray]:
    """Return what `weight_steps` sees, and what of it `settled_steps` lets stand; arguments as there."""
    seen, taken_back = _steps(total_canary, total_baseline, exposure, patient=False)
    return seen, _settled(seen, taken_back, total_canary, total_baseline, exposure)


def _settled(
    seen: BoolArray, asked: BoolArray, total_canary: Floats, total_baseline: Floats, exposure: Exposure
) -> BoolArray:
    """Return ``seen`` as the looks after each step let it stand; releases that are not ``asked``, (N,), stay."""
    steps = seen.copy()
    rows = np.flatnonzero(asked)
    if rows.size:
        steps[rows], _ = _steps(total_canary[rows], total_baseline[rows], exposure, patient=True)
    return steps


def _steps(
    total_canary: Floats, total_baseline: Floats, exposure: Exposure, *, patient: bool
) -> tuple[BoolArray, BoolArray]:
    """Return where the split had changed, (N, K), and of which releases the next look took a step back, (N,)."""
    N, K = total_canary.shape
    steps, taken_back = np.zeros((N, K), dtype=bool), np.zeros(N, dtype=bool)
    served = (total_canary > 0) & (total_baseline > 0)
    if exposure != "requests":
        unit = _first_look(total_canary, total_baseline, served)
        total_canary, total_baseline = total_canary / unit, total_baseline / unit
    sides = (total_canary, total_baseline) if served.all() else np.where(served, (total_canary, total_baseline), 0.0)
    before_c, before_s = (_before(side) for side in sides)
    look, since = np.arange(K), np.zeros(N, dtype=np.int64)
    open_rows = np.arange(N)
    while open_rows.size:
        start, at = since[open_rows], open_rows if len(open_rows) < N else slice(None)
        n_c, n_s = total_canary[at], total_baseline[at]
        pooled_c, pooled_s = (before[at] - before[open_rows, start, None] for before in (before_c, before_s))
        likely = _apart(n_c * pooled_s, n_s * pooled_c) & served[at] & (look > start[:, None]) & (pooled_c > 0)
        some = np.flatnonzero(likely.any(axis=1))
        if not some.size:
            break
        if some.size < len(open_rows):
            open_rows, likely = open_rows[some], likely[some]
            n_c, n_s, pooled_c, pooled_s = (each[some] for each in (n_c, n_s, pooled_c, pooled_s))
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.abs(np.log(n_c / n_s * pooled_s / pooled_c))
            error = np.sqrt(1 / n_c + 1 / n_s + 1 / pooled_c + 1 / pooled_s)
            likely &= shift >= np.log(STEP_RATIO)
            likely &= shift >= STEP_SIGMAS * np.sqrt(SPLIT_INFLATION) * error  # dispersion is never below 1
        moved = []
        for place, row in enumerate(open_rows):
            returned = -1
            for k in np.flatnonzero(likely[place]):
                if k <= returned:
                    continue
                span = served[row] & (look >= since[row]) & (look < k)
                if exposure == "units" and span.sum() < SPLIT_LOOKS:
                    continue
                phi = _split_dispersion(total_canary[row, span], total_baseline[row, span])
                if shift[place, k] >= STEP_SIGMAS * np.sqrt(phi) * error[place, k]:
                    level = pooled_c[place, k] / pooled_s[place, k]
                    if (back := _returned(n_c[place], n_s[place], served[row], int(k), level)) is not None:
                        taken_back[row] = True
                        if patient:
                            returned = back
                            continue
                    steps[row, k], since[row] = True, k
                    moved.append(row)
                    break
        open_rows = np.array(moved, dtype=np.int64)
    return steps, taken_back


def _apart(first: Floats, second: Floats) -> BoolArray:
    """Return where two products differ by `STEP_RATIO` or almost: what no logarithm needs to be asked of."""
    return np.asarray((first >= NEARLY * second) | (second >= NEARLY * first))


def _returned(canary: Floats, baseline: Floats, served: BoolArray, look: int, level: float) -> int | None:
    """Return the next look of both sides if with it the odds since ``look`` are as before, else None."""
    later = np.flatnonzero(served[look + 1 :])
    if not later.size:
        return None
    following = look + 1 + int(later[0])
    odds = (canary[look] + canary[following]) / (baseline[look] + baseline[following])
    return following if abs(np.log(odds / level)) < np.log(STEP_RATIO) else None


def _before(totals: Floats) -> Floats:
    """Return, (N, K), the sum of all looks before each."""
    return np.asarray(np.cumsum(totals, axis=1) - totals)


def _first_look(total_canary: Floats, total_baseline: Floats, served: BoolArray) -> Floats:
    """Return, (N, 1), the unit in which the smaller side's first look with both is a thousand; 1 if there is none."""
    rows, first = np.arange(len(served)), served.argmax(axis=1)
    smaller = np.minimum(total_canary[rows, first], total_baseline[rows, first])
    return np.where(served.any(axis=1), smaller / FINE_UNITS, 1.0)[:, None]


def _split_dispersion(total_canary: Floats, total_baseline: Floats) -> float:
    if total_canary.shape[0] < SPLIT_LOOKS:
        return SPLIT_PRIOR
    return SPLIT_INFLATION * float(neighbour_dispersion(total_canary, total_canary + total_baseline))
