"""
What the requests alone say, before bad events are split: how many pods really serve, and weight steps.

Steps are read from the exposure and from nothing else, so the record gives the same answer however often
it is asked. A wrong detection costs a little evidence, never validity. A look that lost a scrape to the next one seems
to be two steps, there and back: where a fault may have begun is counted from the first sight of it, and what a step
asks for waits one look to see whether the share stays.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.grid import Floats
from analysis.noise import neighbour_dispersion
from analysis.resumed import LARGEST_BATCH, Resumed
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

Exposures = Exposure | tuple[Exposure, ...]
"""That of all releases, or of each."""


def of_requests(exposure: Exposures) -> BoolArray:
    """Return, (N,) or (1,) for all, of which releases the totals are requests."""
    return np.array([each == "requests" for each in ((exposure,) if isinstance(exposure, str) else exposure)])


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
    return np.where(whole > 0, squares / np.where(whole > 0, whole, 1.0) ** 2, np.nan), sums[:, :, -1].copy()


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
    return _seen(_split(total_canary, total_baseline, exposure), exposure)


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
    return _settled(seen, _split(total_canary, total_baseline, exposure), exposure)


def seen_and_settled(
    total_canary: Floats, total_baseline: Floats, exposure: Exposures = "requests"
) -> tuple[BoolArray, BoolArray]:
    """Return what `weight_steps` sees, and what of it `settled_steps` lets stand; arguments as there."""
    if not isinstance(exposure, str):
        found = np.zeros((2, *total_canary.shape), dtype=np.bool_)
        for one in dict.fromkeys(exposure):
            rows = [row for row, each in enumerate(exposure) if each == one]
            found[:, rows] = seen_and_settled(total_canary[rows], total_baseline[rows], one)
        return found[0], found[1]
    split = _split(total_canary, total_baseline, exposure)
    seen = _seen(split, exposure)
    return seen, _settled(seen, split, exposure)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Split:
    """
    How the requests of N releases were split.

    Parameters
    ----------
    canary, baseline : (N, K) float64
        Of each look, in a unit that can be counted.
    before_canary, before_baseline : (N, K) float64
        Of all looks before, of those that both sides served.
    served : (N, K) bool
        Looks that both sides served.
    """

    canary: Floats
    baseline: Floats
    before_canary: Floats
    before_baseline: Floats
    served: BoolArray

    def chosen(self, rows: NDArray[np.int64]) -> _Split:
        """Return some releases."""
        return _Split(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    def likely(
        self, rows: NDArray[np.int64], start: NDArray[np.int64], looks: slice
    ) -> tuple[BoolArray, tuple[Floats, ...]]:
        """
        Return where odds differ from those since look ``start`` of each row by `STEP_RATIO` or almost, (n, k).

        No logarithm is asked yet. Beside it: requests of both sides in these looks, and since ``start`` before them.
        """
        at = rows if len(rows) < len(self.served) else slice(None)
        n_c, n_s = self.canary[at, looks], self.baseline[at, looks]
        pooled_c = self.before_canary[at, looks] - self.before_canary[rows, start, None]
        pooled_s = self.before_baseline[at, looks] - self.before_baseline[rows, start, None]
        above, below = n_c * pooled_s, n_s * pooled_c
        apart = (above >= NEARLY * below) | (below >= NEARLY * above)
        later = np.arange(self.served.shape[1])[looks] > start[:, None]
        return apart & self.served[at, looks] & (pooled_c > 0) & later, (n_c, n_s, pooled_c, pooled_s)


def _split(canary: Floats, baseline: Floats, exposure: Exposure) -> _Split:
    served = (canary > 0) & (baseline > 0)
    if exposure != "requests":
        unit = _first_look(canary, baseline, served)
        canary, baseline = canary / unit, baseline / unit
    both = (canary, baseline) if served.all() else np.where(served, (canary, baseline), 0.0)
    before_canary, before_baseline = (_before(side) for side in both)
    return _Split(
        canary=canary, baseline=baseline, before_canary=before_canary, before_baseline=before_baseline, served=served
    )


def _seen(split: _Split, exposure: Exposure) -> BoolArray:
    """Return what `weight_steps` does; once there was a step, only new looks are asked."""
    rows, begun = np.arange(len(split.served)), np.zeros(len(split.served), dtype=np.int64)
    if len(rows) <= LARGEST_BATCH and not split.likely(rows, begun, slice(None))[0].any():
        return np.zeros(split.served.shape, dtype=np.bool_)

    def more(first: int, since: NDArray[np.int64] | None) -> tuple[Floats, NDArray[np.int64]]:
        steps, since = _steps(split, exposure, first, begun if since is None else since, patient=False)
        return steps.astype(np.float64), since

    return SEEN.run(exposure.encode(), (split.canary, split.baseline), more)[0] > 0


SEEN: Final[Resumed[NDArray[np.int64]]] = Resumed(shared=True)
"""Since which look the present step runs, of each release."""


def _settled(seen: BoolArray, split: _Split, exposure: Exposure) -> BoolArray:
    """Return ``seen`` as the looks after each step let it stand; where none was taken back that is all."""
    steps = seen.copy()
    stepped = np.flatnonzero(seen.any(axis=1)).tolist()
    rows = np.array([row for row in stepped if _taken_back(seen[row], split, row)], dtype=np.int64)
    if rows.size:
        begun = np.zeros(len(rows), dtype=np.int64)
        steps[rows], _ = _steps(split.chosen(rows), exposure, 0, begun, patient=True)
    return steps


def _taken_back(seen: BoolArray, split: _Split, row: int) -> bool:
    """Return whether the look after it takes back any of the steps of one release, (K,)."""
    since = 0
    for look in np.flatnonzero(seen).tolist():
        canary, baseline = (
            before[row, look] - before[row, since] for before in (split.before_canary, split.before_baseline)
        )
        if _returned(split.canary[row], split.baseline[row], split.served[row], look, canary / baseline) is not None:
            return True
        since = look
    return False


def _steps(
    split: _Split, exposure: Exposure, first: int, since: NDArray[np.int64], *, patient: bool
) -> tuple[BoolArray, NDArray[np.int64]]:
    """
    Return where the split had changed, in looks ``first …``, and since when the present step runs, (N,).

    ``since`` is that of the looks before; a patient search passes over what the next look takes back.
    """
    count = split.served.shape[1]
    steps, since = np.zeros((len(since), count - first), dtype=bool), since.copy()
    look, looks, open_rows = np.arange(count), slice(first, None), np.arange(len(since))
    while open_rows.size:
        likely, requests = split.likely(open_rows, since[open_rows], looks)
        some = np.flatnonzero(likely.any(axis=1))
        if not some.size:
            break
        if some.size < len(open_rows):
            open_rows, likely, requests = open_rows[some], likely[some], tuple(each[some] for each in requests)
        n_c, n_s, pooled_c, pooled_s = requests
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.abs(np.log(n_c / n_s * pooled_s / pooled_c))
            error = np.sqrt(1 / n_c + 1 / n_s + 1 / pooled_c + 1 / pooled_s)
            likely &= shift >= np.log(STEP_RATIO)
            likely &= shift >= STEP_SIGMAS * np.sqrt(SPLIT_INFLATION) * error  # dispersion is never below 1
        moved = []
        for place, row in enumerate(open_rows):
            returned = -1
            canary, baseline, served = split.canary[row], split.baseline[row], split.served[row]
            for k in np.flatnonzero(likely[place]):
                if k + first <= returned:
                    continue
                span = served & (look >= since[row]) & (look < k + first)
                if exposure == "units" and span.sum() < SPLIT_LOOKS:
                    continue
                phi = _split_dispersion(canary[span], baseline[span])
                if shift[place, k] >= STEP_SIGMAS * np.sqrt(phi) * error[place, k]:
                    level = pooled_c[place, k] / pooled_s[place, k]
                    if patient and (back := _returned(canary, baseline, served, int(k) + first, level)) is not None:
                        returned = back
                        continue
                    steps[row, k], since[row] = True, k + first
                    moved.append(row)
                    break
        open_rows = np.array(moved, dtype=np.int64)
    return steps, since


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
