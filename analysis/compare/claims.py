"""
What is claimed of counts, as evidence at every look for N releases at once, and how much a promotion has to show.

Worse, worse than tolerated, within the limit, better: each a process over the looks that ``arms.py`` prepares.
"""

from __future__ import annotations

import numpy as np

from analysis.carried import promoted_now
from analysis.compare.arms import Prepared, Traffic
from analysis.demand import final_slack, next_weight, step_slack
from analysis.evidence import Integers, Null, PromoteState, abort_evidence, promote_evidence, promote_start
from analysis.exposure import Exposures, of_requests
from analysis.grid import Floats

UNKNOWN_SHARES = np.array([1e-4, 1e-3, 1e-2, 1e-1])
UNKNOWN_RATES = np.array([0.1, 1.0, 10.0, 100.0])  # of the slack, where a share would depend on a unit
BETTER = np.log(np.array([1.25, 2.0]))


def warn_and_tolerated(prepared: Prepared, ratio: float | Floats, slack: float | Floats) -> tuple[Floats, Floats]:
    """
    Return the evidence for "worse than stable" and for "worse than tolerated", at every look.

    Parameters
    ----------
    prepared : Prepared
    ratio, slack : float or (N,) float64
        Tolerance of the question.

    Returns
    -------
    log_warn, log_tolerated : (N, K) float64
        Logs of the e-processes against ``p_c <= p_s`` and ``p_c <= ratio p_s + slack``.
    """
    releases = prepared.first.shape[0]
    both = Null(ratio=_beside(1.0, ratio, releases), slack=_beside(0.0, slack, releases))
    log_e, _ = abort_evidence(prepared.looks, both, times=2)
    return log_e[:releases], log_e[releases:]


def no_worse(prepared: Prepared, null: Null, bad_share: Floats | None, since: Integers, opening: Integers) -> Floats:
    """
    Return the evidence for "within the limit" from looks ``since`` on, at every look.

    Parameters
    ----------
    prepared : Prepared
    null : Null
        The limit: ``p_c >= ratio p_s + slack``.
    bad_share : (N,) float64 or None
        Of stable, for where a healthy release lies; None: equal parts at four orders of magnitude.
    since : (N,) int
        First look that may bet.
    opening : (N,) int
        Look whose pods shape the alternative.

    Returns
    -------
    (N, K) float64
        Log evidence; 0 before ``since``.
    """
    centres = healthy_centres(null, bad_share, len(since), prepared.exposure)
    return _promoted(prepared, null, centres, since, opening)


def no_worse_now(prepared: Prepared, null: Null, bad_share: Floats | None, since: Integers) -> Floats:
    """Return, (N,), the last look of `no_worse` that opens with its first bet, up to rounding, without those before."""
    centres = healthy_centres(null, bad_share, len(since), prepared.exposure)
    return promoted_now(prepared.looks, null, _start(prepared, centres, since), since)


def healthy_centres(null: Null, bad_share: Floats | None, releases: int, exposure: Exposures = "requests") -> Floats:
    """
    Return, (N, M), the log ratios below the limit at which a release as good as stable lies.

    Unknown shares lie anywhere from 0.01 % to 10 %, unknown rates of another exposure from a tenth to a hundred times
    the slack: the same for the default slack of a share.
    """
    ratio, slack = (np.asarray(each).reshape(-1, 1) for each in (null.ratio, null.slack))
    if bad_share is not None:
        centres = np.log(ratio + slack / bad_share[:, None])
    else:
        shares, rates = slack / UNKNOWN_SHARES[None, :], np.where(slack > 0, 1.0, 0.0) / UNKNOWN_RATES[None, :]
        centres = np.log(ratio + np.where(of_requests(exposure)[:, None], shares, rates))
    return centres if len(centres) == releases else np.broadcast_to(centres, (releases, centres.shape[1]))


def no_worse_and_better(
    prepared: Prepared, null: Null, bad_share: Floats | None, since: Integers
) -> tuple[Floats, Floats]:
    """
    Return, (N, K) each, the log evidence for "within the limit" and for "fewer bad events than stable".

    One process for both; the first is `no_worse` with an alternative shaped by the pods of the first look.
    """
    limit = healthy_centres(null, bad_share, len(since), prepared.exposure)
    equal = np.broadcast_to(BETTER, (len(since), 2))
    starts = [_start(prepared, centres, prepared.first) for centres in (limit, equal)]
    releases, count = prepared.looks.used.shape
    first_bets = np.concatenate([since, prepared.first])
    log_e, _ = promote_evidence(
        prepared.looks,
        Null(ratio=_beside(null.ratio, 1.0, releases), slack=_beside(null.slack, 0.0, releases)),
        PromoteState(
            log_likelihood=np.concatenate([each.log_likelihood for each in starts]),
            alternative=np.concatenate([each.alternative for each in starts]),
        ),
        times=2,
        since=first_bets,
    )
    log_e = np.where(np.arange(count) < first_bets[:, None], 0.0, log_e)
    return log_e[:releases], log_e[releases:]


def _beside(first: float | Floats, second: float | Floats, releases: int) -> Floats:
    """Return, (2 N,), one number of every release and then the other."""
    return np.concatenate([np.broadcast_to(each, releases) for each in (first, second)])


def _start(prepared: Prepared, centres: Floats, opening: Integers) -> PromoteState:
    looks = prepared.looks
    rows, opening = np.arange(len(opening)), np.minimum(opening, looks.used.shape[1] - 1)
    return promote_start(centres, looks.pod_factor[rows, opening], looks.pod_weights[rows, opening])


def _promoted(prepared: Prepared, null: Null, centres: Floats, since: Integers, opening: Integers) -> Floats:
    looks = prepared.looks
    early = np.arange(looks.used.shape[1]) < since[:, None]
    log_e, _ = promote_evidence(looks, null, _start(prepared, centres, opening), since=since)
    return np.where(early, 0.0, log_e)


def final_demand(prepared: Prepared, slack: float | Floats, budget: float) -> tuple[Floats, Traffic]:
    """Return the slack of the last step, (N,), and the traffic it came from; where ``since`` is K it is unknown."""
    known = prepared.traffic(np.zeros_like(prepared.first))
    rate = np.where(known.requests_per_second > 0, known.requests_per_second, np.inf)
    return final_slack(slack, budget, rate, prepared.largest_slack), known


def step_demand(
    prepared: Prepared, start: Integers, end: Integers, budget: float, weight: Floats | None
) -> tuple[Floats, Traffic]:
    """
    Return the slack of the next step, (N,), and the traffic it came from.

    Parameters
    ----------
    prepared : Prepared
    start, end : (N,) int
        Looks ``start <= k < end`` ran at the present weight.
    budget : float
    weight : (N,) float64 or None
        The canary's next share; None: from the observed one.
    """
    known = prepared.traffic(start)
    if weight is None:
        look = np.arange(prepared.steps.shape[1])
        inside = (look >= start[:, None]) & (look < end[:, None])
        canary = np.where(inside, prepared.canary_total, 0.0).sum(axis=1)
        stable = np.where(inside, prepared.stable_total, 0.0).sum(axis=1)
        weight = next_weight(canary / np.where(canary + stable > 0, canary + stable, 1.0))
    rate = np.where(known.requests_per_second > 0, known.requests_per_second, np.inf)
    with np.errstate(invalid="ignore"):
        slack = step_slack(budget, rate, known.bad_share, weight, prepared.largest_slack)
    return np.where(np.isfinite(rate), slack, 0.0), known
