"""
The sample-ratio check: whether the canary gets the share of requests that was configured for it.

A router that ignores its weight, a service mesh that counts one side twice, clients that stick to one version or
are dropped by it: all of them show as a split that is not the one that was asked for, and all of them make the
comparison of the two sides doubtful. The check therefore holds a release and never aborts it: who gets the requests
says nothing of how well they are served.

It is the engine of `analysis.evidence` with *requests* in the place of bad events and *weights* in the place of
requests: ``x_c, x_s`` are the requests of both sides, ``n_c, n_s = w, 1 - w`` the configured weight of the look.
The ratio of the null is then an odds factor on the split. A ramp needs nothing special, because the weight is that
of each look.

Two processes run side by side, with a practical floor of 10 % inside the null, since no router is exact:

==========  =========================  =====  ======================================
process     null on the odds           sign   alternative
==========  =========================  =====  ======================================
too much    at most 1.1 of the weight  +1     start mixture, harm from 4 % on
too little  at least 1/1.1             -1     around log odds 0.1, 0.3 and 1 below it
==========  =========================  =====  ======================================

Each may be wrong in 1 of 2,000 releases whatever the number of looks, so both together in 1 of 1,000.

Requests come in clumps too: twenty or two hundred per connection with keep-alive, gRPC or sticky sessions. A
chi-square test at every look then raises an alarm in every release. Here the dispersion of the split is learned
from neighbouring looks of the canary's requests, before anything is bet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from analysis import words
from analysis.errors import InvalidInput
from analysis.evidence import Looks, Null, abort_evidence, promote_evidence, promote_start
from analysis.exposure import SPLIT_INFLATION
from analysis.grid import POD_PRIOR, Floats
from analysis.noise import neighbour_dispersion
from analysis.stakes import start_masses
from analysis.types import BoolArray, FloatArray

TOLERATED_ODDS: Final = 1.1
TOO_LITTLE: Final[Floats] = np.array([0.1, 0.3, 1.0])
ALPHA: Final = 0.0005  # of each process; 0.001 together
LEARNING_LOOKS: Final = 20  # with 8 looks, long-lived connections raised 4 % false alarms
TOO_LITTLE.setflags(write=False)


class SplitFlag(StrEnum):
    """What the check says of a release; only ``split_mismatch`` is a reason to hold."""

    OK = "ok"
    SPLIT_MISMATCH = "split_mismatch"
    WEIGHT_UNKNOWN = "weight_unknown"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitEvidence:
    """
    The check of N releases over K looks. Logs are natural; the last value is the present one.

    Parameters
    ----------
    log_more, log_less : (N, K) float64
        Evidence that the canary's odds are above 1.1 times, and below 1/1.1 times, those of its weight.
    judged : (N, K) bool
        Looks that were bet on; none of the first 20 that could be compared.
    compared : (N, K) bool
        Looks that could be compared: traffic, a weight strictly between 0 and 1 that had not just changed.
    phi : (N, K) float64
        Dispersion of the split in use, >= 1.5; 3 before anything was learned, when nothing is bet.
    observed, expected : (N,) float64
        The canary's share of the requests of all looks that could be compared, and what its weights promised of
        them; NaN where there was none.
    known : (N,) bool
        Whether a weight was named for at least one look.
    """

    log_more: Floats
    log_less: Floats
    judged: BoolArray
    compared: BoolArray
    phi: Floats
    observed: Floats
    expected: Floats
    known: BoolArray

    @property
    def alarms(self) -> BoolArray:
        """(N, K) whether either process stands at 1/0.0005 or more at that look; an alarm may clear itself."""
        return np.asarray(np.maximum(self.log_more, self.log_less) >= -np.log(ALPHA))


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """
    The answer for one release at its last look.

    Parameters
    ----------
    flag : SplitFlag
        ``ok`` also while too little was seen; ``judged`` tells.
    log_e : float
        The larger of both logs of evidence at the last look, in nats.
    observed, expected : float or None
        The canary's share of the requests, and what its weights promised; None if no look could be compared.
    odds : float or None
        Observed odds over promised odds: 1 is as configured. None where a share is missing; infinite if stable got
        nothing.
    phi : float
        Dispersion of the split in use.
    judged : int
        Looks that were bet on.
    since : int or None
        Index of the first look of the alarm that still stands; None without one.
    reason : str
        One line for people.
    """

    flag: SplitFlag
    log_e: float
    observed: float | None
    expected: float | None
    odds: float | None
    phi: float
    judged: int
    since: int | None
    reason: str


def weigh(canary: Floats, baseline: Floats, weight: Floats, left_out: BoolArray | None = None) -> SplitEvidence:
    """
    Return the evidence for a split that is not the configured one, of N releases at every look.

    Parameters
    ----------
    canary, baseline : (N, K) float64
        Requests per look, all replicas of a side together; NaN is missing, 0 is a side that got nothing.
    weight : (N, K) float64
        The canary's configured share in each look, in [0, 1]; NaN is unknown. Observed shares do not belong
        here: the check would compare them with themselves.
    left_out : (N, K) bool, optional
        Looks that a flag excludes.

    Returns
    -------
    SplitEvidence
        A look is skipped (it keeps its number, its start mass is spent) if a count or the weight is missing, if
        nothing was served, if the weight names one side alone (0 or 1), if it is left out, or if its weight is
        not that of the last look before it with a weight: the router needs a moment.

    Raises
    ------
    InvalidInput
        If the shapes differ, a count is negative or infinite, or a weight lies outside [0, 1].

    Notes
    -----
    Nothing is bet in the first 20 looks that could be compared; then, and again at 40, 80, 160, ..., the
    dispersion is 1.5 times that of neighbouring looks of the canary's requests among ``n = w`` times all
    requests, from looks strictly before. There is no pod effect (c = 0) and no slack (D = 0): a router's odds are
    the same whichever pod answers.

    A canary that gets *no* request although its weight is positive is the clearest mismatch there is, so a silent
    side is data here, other than in the comparison of errors.
    """
    changed, known = _changes(weight)
    compared = _comparable(canary, baseline, weight, left_out) & ~changed
    x_c, x_s = np.where(compared, canary, 0.0), np.where(compared, baseline, 0.0)
    w = np.where(compared, weight, 0.5)
    phi, bets = _dispersion(x_c, w * (x_c + x_s), compared)
    releases, count = compared.shape
    first = np.where(compared.any(axis=1), compared.argmax(axis=1), count)
    looks = Looks(
        bad_canary=x_c,
        total_canary=w,
        bad_baseline=x_s,
        total_baseline=1 - w,
        used=compared & bets,
        phi=phi,
        pod_factor=np.zeros((releases, count)),
        pod_weights=np.broadcast_to(POD_PRIOR, (releases, count, len(POD_PRIOR))),
        start_mass=start_masses(changed, first),
    )
    log_more, _ = abort_evidence(looks, Null(ratio=TOLERATED_ODDS))
    centres = np.broadcast_to(TOO_LITTLE, (releases, len(TOO_LITTLE)))
    state = promote_start(centres, np.zeros(releases), np.broadcast_to(POD_PRIOR, (releases, len(POD_PRIOR))))
    log_less, _ = promote_evidence(looks, Null(ratio=1 / TOLERATED_ODDS), state)
    whole = (x_c + x_s).sum(axis=1)
    served = np.where(whole > 0, whole, np.nan)
    return SplitEvidence(
        log_more=log_more,
        log_less=log_less,
        judged=looks.used,
        compared=compared,
        phi=phi,
        observed=x_c.sum(axis=1) / served,
        expected=(w * (x_c + x_s)).sum(axis=1) / served,
        known=known,
    )


def check(canary: FloatArray, baseline: FloatArray, weight: FloatArray, left_out: BoolArray | None = None) -> Split:
    """
    Return the answer for one release at its last look: ``ok``, ``split_mismatch`` or ``weight_unknown``.

    Parameters
    ----------
    canary, baseline, weight : (K,) float64
        As for `weigh`; at least one look.
    left_out : (K,) bool, optional

    Returns
    -------
    Split
        ``weight_unknown`` if no look has a weight: there is no check then, and nothing to hold for. The flag is
        that of the present look, like every hold: a router that was repaired clears it in time.

    Raises
    ------
    InvalidInput
        As `weigh`, and if there is no look.

    Examples
    --------
    >>> requests = np.full(40, 1000.0)
    >>> found = check(0.15 * requests, 0.85 * requests, np.full(40, 0.1))
    >>> found.flag.value, found.reason
    ('split_mismatch', 'canary got 15 % of the requests, 10 % is configured (odds over 1,000,000 : 1)')
    >>> check(0.1 * requests, 0.9 * requests, np.full(40, np.nan)).flag.value
    'weight_unknown'
    """
    if canary.ndim != 1 or not canary.size:
        raise InvalidInput(f"needs (K,) arrays of at least one look, got {canary.shape}", "/canary")
    rows = None if left_out is None else left_out[None]
    found = weigh(canary[None], baseline[None], weight[None], rows)
    judged = int(found.judged[0].sum())
    log_e = float(max(found.log_more[0, -1], found.log_less[0, -1])) if judged else 0.0
    flag = SplitFlag.WEIGHT_UNKNOWN
    if found.known[0]:
        flag = SplitFlag.SPLIT_MISMATCH if found.alarms[0, -1] else SplitFlag.OK
    observed = float(found.observed[0]) if found.compared[0].any() else None
    expected = float(found.expected[0]) if found.compared[0].any() else None
    quiet = np.flatnonzero(~found.alarms[0])
    return Split(
        flag=flag,
        log_e=log_e,
        observed=observed,
        expected=expected,
        odds=_odds_factor(observed, expected),
        phi=float(found.phi[0, -1]),
        judged=judged,
        since=(int(quiet[-1]) + 1 if quiet.size else 0) if flag is SplitFlag.SPLIT_MISMATCH else None,
        reason=_reason(flag, observed, expected, log_e, int(found.compared[0].sum())),
    )


def _comparable(canary: Floats, baseline: Floats, weight: Floats, left_out: BoolArray | None) -> BoolArray:
    if canary.ndim != 2 or not canary.shape == baseline.shape == weight.shape:
        raise InvalidInput(f"needs three equal (N, K) arrays, got {canary.shape}, {baseline.shape}, {weight.shape}")
    if left_out is not None and left_out.shape != canary.shape:
        raise InvalidInput(f"needs one mark per look, got {left_out.shape}", "/left_out")
    for name, values, most in (("canary", canary, np.inf), ("baseline", baseline, np.inf), ("weight", weight, 1.0)):
        if np.any(values < 0) or np.any(values > most) or np.any(np.isinf(values)):
            limit = "lie in [0, 1]" if name == "weight" else "be finite and not negative"
            raise InvalidInput(f"must {limit}, or NaN for missing", f"/{name}")
    served = np.isfinite(canary) & np.isfinite(baseline) & (canary + baseline > 0)
    return np.asarray(served & (weight > 0) & (weight < 1) & (True if left_out is None else ~left_out))


def _changes(weight: Floats) -> tuple[BoolArray, BoolArray]:
    """Return at which looks the weight differs from the last one named before, (N, K), and who named any, (N,)."""
    named = np.isfinite(weight)
    latest = np.maximum.accumulate(np.where(named, np.arange(weight.shape[1]), -1), axis=1)
    before = np.full(weight.shape, -1)
    before[:, 1:] = latest[:, :-1]
    earlier = np.take_along_axis(weight, np.maximum(before, 0), axis=1)
    changed = named & (before >= 0) & (weight != earlier)
    return changed, np.asarray(named.any(axis=1))


def _dispersion(x_c: Floats, n_c: Floats, compared: BoolArray) -> tuple[Floats, BoolArray]:
    """Return the dispersion of the split at every look from looks strictly before, and where bets are allowed."""
    releases, count = compared.shape
    seen = np.zeros((releases, count), dtype=np.int64)
    seen[:, 1:] = np.cumsum(compared, axis=1)[:, :-1]
    phi = np.full((releases, count), SPLIT_INFLATION * 2)
    goal = np.full(releases, LEARNING_LOOKS)
    for k in range(count):
        rows = np.flatnonzero(seen[:, k] >= goal)
        if rows.size:
            phi[rows, k:] = SPLIT_INFLATION * neighbour_dispersion(x_c[rows, :k], n_c[rows, :k])[:, None]
            goal[rows] *= 2
    return phi, seen >= LEARNING_LOOKS


def _odds_factor(observed: float | None, expected: float | None) -> float | None:
    if observed is None or expected is None:
        return None
    if observed == 1:
        return float("inf")
    return observed / (1 - observed) * (1 - expected) / expected


def _reason(flag: SplitFlag, observed: float | None, expected: float | None, log_e: float, compared: int) -> str:
    if flag is SplitFlag.WEIGHT_UNKNOWN:
        return "no weight is known: the split of requests is not checked"
    if observed is None or expected is None:
        return "the split of requests was not checked: no look with traffic at a steady weight"
    got = f"canary got {words.share(observed)} of the requests, {words.share(expected)} is configured"
    if flag is SplitFlag.SPLIT_MISMATCH:
        return f"{got} (odds {words.odds(log_e)})"
    if compared <= LEARNING_LOOKS:
        return f"{got}; the check begins after {LEARNING_LOOKS} looks, {compared} so far"
    return got
