"""
Many questions, one release: how their evidence is put together without spending an error rate twice.

A weighted mean of e-processes is an e-process, whatever the dependence between questions; the release is
aborted on the running maximum of the *weighted sum*, never on a sum of maxima.

References
----------
V. Vovk, R. Wang, E-values: calibration, combination and applications, Ann. Stat. 2021.
R. Wang, A. Ramdas, False discovery rate control with e-values, JRSS-B 2022.
Y. Tavyrikov, J. Goeman, R. de Heide, Carefree multiple testing with e-processes, 2025.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.policy import Alphas
from analysis.sequential import Sequential
from analysis.types import BoolArray

BURST_ODDS: Final = 10.0
LISTED: Final = 0.05
ROUNDING: Final = 1e-6
"""How far below a goal the largest of some logs lies for certain, whatever their weighted mean was rounded to."""


def shares(weights: Sequence[float]) -> Floats:
    """
    Return each question's share of the abort evidence: weights divided by their sum.

    Parameters
    ----------
    weights : sequence of float
        1 critical, 1/2 normal, 0 info; fixed for a release.

    Returns
    -------
    (M,) float64
        Sums to 1, or to 0 if every weight is 0: such a policy cannot abort.
    """
    values = np.asarray(weights, dtype=np.float64)
    if np.any(values < 0) or not np.all(np.isfinite(values)):
        raise InvalidInput(f"weights must be finite and not negative, got {list(weights)}", "/questions")
    whole = float(values.sum())
    return values / whole if whole > 0 else np.zeros_like(values)


def merged(log_e: Floats, omega: Floats) -> Floats:
    """
    Return the log of the weighted sum over questions, at every look.

    Parameters
    ----------
    log_e : (M, K) float64
        Log evidence; a question without data yet counts as 0.
    omega : (M,) float64
        From `shares`.

    Returns
    -------
    (K,) float64
        ``ln sum_m omega_m e_m``; minus infinity if every share is 0.
    """
    with np.errstate(divide="ignore"):
        terms = log_e + np.log(omega)[:, None]
    top = terms.max(axis=0)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(terms - safe).sum(axis=0)) + safe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """
    A release whose abort evidence reached its goal.

    Parameters
    ----------
    candidate : int
        First look at which the weighted sum reached ``1/alpha``.
    question : int
        Index of the question with the largest term there.
    burst : int
        The loudest look of that question, left out by the burst check.
    look : int or None
        Look of the abort; None while one look, or one replica, alone carries the evidence.
    suspect : int or None
        Which of the replicas that were left out blocks it, where one does.
    """

    candidate: int
    question: int
    burst: int
    look: int | None
    suspect: int | None = None


def find_abort(
    questions: Sequence[Sequential],
    omega: Floats,
    alpha: float,
    others: Sequence[Sequence[Sequential]] = (),
    since: int = 0,
) -> Abort | None:
    """
    Return the abort of a release, or what blocks it.

    Parameters
    ----------
    questions : sequence of Sequential
        M questions over the same K looks.
    omega : (M,) float64
        From `shares`.
    alpha : float
        Accepted share of good releases that are aborted.
    others : sequence of M questions each
        The same evidence without one replica of the canary each: it must be 10 without any of them.
    since : int
        First look at which there were replicas enough to ask that.

    Returns
    -------
    Abort or None
        None if the weighted sum never reached ``1/alpha``. An abort stays: the first look that satisfies the rule
        is returned, whatever came after it.

    Notes
    -----
    One incident inside one look does not abort: without the loudest look of the loudest question the sum must
    still be 10 at a look where the whole sum is at its goal. An extra condition cannot raise an error rate.
    """
    if not questions or not omega.any():
        return None
    log_e = np.stack([q.abort for q in questions])
    goal = -np.log(alpha)
    if log_e[omega > 0].max() < goal - ROUNDING:
        return None  # a mean is no larger than the largest
    total = merged(log_e, omega)
    reached = total >= goal
    if not reached.any():
        return None
    candidate = int(reached.argmax())
    with np.errstate(divide="ignore"):
        loudest = int((log_e[:, candidate] + np.log(omega)).argmax())
    burst = questions[loudest].loudest_look(candidate)
    reduced = log_e.copy()
    reduced[loudest] = questions[loudest].without_looks([burst]).abort
    stands = reached & (merged(reduced, omega) >= np.log(BURST_ODDS))
    last = int(np.flatnonzero(stands)[-1]) if stands.any() else -1
    left = [merged(np.stack([q.abort for q in each]), omega) for each in others]
    suspect = carried(last, left) if last >= since else None
    early = np.arange(len(total)) < since
    for each in left:
        stands &= early | (each >= np.log(BURST_ODDS))
    look = int(stands.argmax()) if stands.any() else None
    return Abort(
        candidate=candidate, question=loudest, burst=burst, look=look, suspect=None if look is not None else suspect
    )


def carried(look: int, without: Sequence[Floats]) -> int | None:
    """Return which replica alone carries the evidence at a look: without it, log evidence is below 10 : 1 and least."""
    if not without:
        return None
    left = [float(each[look]) for each in without]
    least = int(np.argmin(left))
    return least if left[least] < np.log(BURST_ODDS) else None


def frozen(evidence: Sequential, omega: float, alphas: Alphas) -> BoolArray:
    """
    Return at which looks a question is worse than stable at freezing odds and not proved within its limit.

    Returns
    -------
    (K,) bool
        ``omega E_warn >= 1/alpha_freeze`` and not ``P >= 1/alpha_promote``. It clears itself.
    """
    if omega <= 0:
        return np.zeros(len(evidence.ends), dtype=bool)
    worse = evidence.warn + np.log(omega) >= -np.log(alphas.freeze)
    return np.asarray(worse & (evidence.promote < -np.log(alphas.promote)))


def frozen_now(evidence: Sequential, omega: float, alphas: Alphas) -> bool:
    """Return whether a question is `frozen` at the newest look."""
    if omega <= 0 or float(evidence.warn[-1]) + math.log(omega) < -math.log(alphas.freeze):
        return False
    return float(evidence.promote[-1]) < -math.log(alphas.promote)


def unresolved(evidence: Sequential, omega: float, alphas: Alphas, freeze_limit: float) -> int | None:
    """
    Return the look at which a freeze had stayed unresolved for too long.

    Parameters
    ----------
    evidence : Sequential
    omega : float
        The question's share.
    alphas : Alphas
    freeze_limit : float
        Seconds between the ends of the first and the last look of the freeze.

    Returns
    -------
    int or None
        First look at which ``omega E_warn >= 1/alpha_abort`` held, without proof of "no worse", at every look that was
        not skipped for ``freeze_limit``, and holds at 10 : 1 without its loudest look.
    """
    if omega <= 0:
        return None
    proved = evidence.warn + np.log(omega) >= -np.log(alphas.abort)
    if not proved.any():
        return None
    stuck = proved & frozen(evidence, omega, alphas)
    if not stuck.any():
        return None
    start: int | None = None
    without: Floats | None = None
    for k in np.flatnonzero(evidence.used):
        if not stuck[k]:
            start = without = None
            continue
        start = int(k) if start is None else start
        if evidence.ends[k] - evidence.ends[start] < freeze_limit:
            continue
        if without is None:
            without = evidence.without_looks([evidence.loudest_look(int(k), tolerated=False)]).warn
        if without[k] >= np.log(BURST_ODDS):
            return int(k)
    return None


def listed(log_e: Sequence[float], alpha: float = LISTED) -> tuple[int, ...]:
    """
    Return which questions are guilty, for the text only: e-BH at ``alpha``.

    Parameters
    ----------
    log_e : sequence of float
        Log A* of every question at this moment.
    alpha : float, default 0.05
        Expected share of innocent questions in the list.

    Returns
    -------
    tuple of int
        Indices, most guilty first; empty if none.
    """
    values = np.asarray(log_e, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    goals = np.log(len(values)) - np.log(alpha) - np.log(np.arange(1, len(values) + 1))
    passing = np.flatnonzero(values[order] >= goals)
    return tuple(int(i) for i in order[: passing[-1] + 1]) if passing.size else ()
