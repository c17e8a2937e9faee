"""
From counts per replica to looks that can be judged, for N releases at once.

Everything that is decided here is decided by requests, by flags, or by looks that lie strictly before the one
that is judged; never by how the events of a look are split.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analysis.compare.tallies import tallies
from analysis.demand import LARGEST_SLACK, final_slack, next_weight, step_slack
from analysis.evidence import (
    Integers,
    Looks,
    Null,
    PromoteState,
    abort_evidence,
    promote_evidence,
    promote_start,
    promoted_now,
)
from analysis.exposure import Exposure, pod_factor, seen_and_settled
from analysis.grid import Floats
from analysis.noise import FEWEST_LOOKS
from analysis.stakes import start_masses
from analysis.types import BoolArray

UNKNOWN_SHARES = np.array([1e-4, 1e-3, 1e-2, 1e-1])
UNKNOWN_RATES = np.array([0.1, 1.0, 10.0, 100.0])  # of the slack, where a share would depend on a unit
BETTER = np.log(np.array([1.25, 2.0]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """
    What was known of N stable sides before their releases.

    Parameters
    ----------
    learned : ((N,), (N, 7)) or None
        Dispersion and pod weights, where at least 8 looks counted.
    traffic : ((N,), (N,)) or None
        Requests per second of the whole service and bad share, where stable had traffic in at least 8 looks.
    looks : int
        Looks in which stable had traffic.
    bad, total : (N, R, H) float64 or None
        The looks that counted, if fewer than 8 did; rows as those of the run's baseline.
    """

    learned: tuple[Floats, Floats] | None = None
    traffic: tuple[Floats, Floats] | None = None
    looks: int = 0
    bad: Floats | None = None
    total: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arms:
    """
    Counts of N releases per side, replica and look; NaN is missing.

    Parameters
    ----------
    canary_bad, canary_total : (N, R_c, K) float64
    baseline_bad, baseline_total : (N, R_s, K) float64
    left_out : (N, K) bool
        Looks that a flag excludes.
    seconds : (K,) float64
        Length of each look.
    visible : bool
        Whether rows are replicas.
    swapped : bool
        True where a fall does harm: the two sides change places in the bets.
    exposure : {"requests", "time", "units"}
        What totals are. Of requests each can be bad once; anything else may hold any number of events.
    history : History
    """

    canary_bad: Floats
    canary_total: Floats
    baseline_bad: Floats
    baseline_total: Floats
    left_out: BoolArray
    seconds: Floats
    visible: bool = True
    swapped: bool = False
    exposure: Exposure = "requests"
    history: History = History()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """
    Looks of N releases, ready for every test of a question.

    Parameters
    ----------
    looks : Looks
        Canary and baseline have changed places where a fall does harm.
    steps : (N, K) bool
        Looks at which the weight had changed.
    first : (N,) int
        Index of look 1: the first in which both sides had requests; K if none.
    stable_looks : (N, K) bool
        Looks that tell of stable's traffic.
    canary_total, stable_bad, stable_total : (N, K) float64
        As counted, left out looks as 0.
    seconds : (K,) float64
    empty, inconsistent, overruled : (N, K) bool
        A side had no request; more bad events than requests; the run's dispersion replaced that of history.
    history : History
    exposure : {"requests", "time", "units"}
    """

    looks: Looks
    steps: BoolArray
    first: Integers
    canary_total: Floats
    stable_bad: Floats
    stable_total: Floats
    stable_looks: BoolArray
    seconds: Floats
    empty: BoolArray
    inconsistent: BoolArray
    overruled: BoolArray
    history: History
    exposure: Exposure = "requests"
    _traffic: dict[bytes, Traffic] = field(default_factory=dict, init=False, repr=False)

    def traffic(self, before: Integers) -> Traffic:
        """Return what `traffic` does: the demands of the last step and of the running one often ask the same."""
        asked = before.tobytes()
        if asked not in self._traffic:
            self._traffic[asked] = traffic(self, before)
        return self._traffic[asked]

    @property
    def largest_slack(self) -> float:
        """The largest slack that can be meant: shares end at 1, rates nowhere."""
        return LARGEST_SLACK if self.exposure == "requests" else np.inf

    def knows(self, known: Traffic) -> bool:
        """Return whether the traffic of one release is known by now, so that a demand can be made of it."""
        return self.history.traffic is not None or bool(known.since[0] < self.steps.shape[1])


def prepare(arms: Arms) -> Prepared:
    """
    Return the looks of N releases with all that is fixed before the events are split.

    Returns
    -------
    Prepared
        A look is skipped (it keeps its number) if a side had no request, if it is left out, if a side counted more
        bad events than requests, or before enough is known of the noise.
    """
    sums = tallies(arms)
    x_c, n_c, x_s, n_s = sums.canary_bad, sums.canary_total, sums.stable_bad, sums.stable_total
    served = (n_c > 0) & (n_s > 0)
    marks, steps = seen_and_settled(n_c, n_s, arms.exposure)
    first = np.where(served.any(axis=1), served.argmax(axis=1), served.shape[1])
    noise = sums.noise
    looks = Looks(
        bad_canary=x_s if arms.swapped else x_c,
        total_canary=n_s if arms.swapped else n_c,
        bad_baseline=x_c if arms.swapped else x_s,
        total_baseline=n_c if arms.swapped else n_s,
        used=served & ~sums.inconsistent & noise.bets,
        phi=noise.phi,
        pod_factor=pod_factor(sums.canary_pods, sums.stable_pods, served, arms.visible),
        pod_weights=noise.pod_weights,
        start_mass=start_masses(marks, first),
    ).told_by(sums.trail.named(repr(arms.swapped).encode() + first.tobytes()))
    return Prepared(
        looks=looks,
        steps=steps,
        first=first,
        canary_total=n_c,
        stable_bad=x_s,
        stable_total=n_s,
        stable_looks=(n_s > 0) & ~sums.inconsistent,
        seconds=arms.seconds,
        empty=~served & ~arms.left_out,
        inconsistent=sums.inconsistent,
        overruled=noise.overruled,
        history=arms.history,
        exposure=arms.exposure,
    )


def warn_and_tolerated(prepared: Prepared, ratio: float, slack: float) -> tuple[Floats, Floats]:
    """
    Return the evidence for "worse than stable" and for "worse than tolerated", at every look.

    Parameters
    ----------
    prepared : Prepared
    ratio, slack : float
        Tolerance of the question.

    Returns
    -------
    log_warn, log_tolerated : (N, K) float64
        Logs of the e-processes against ``p_c <= p_s`` and ``p_c <= ratio p_s + slack``.
    """
    releases = prepared.first.shape[0]
    ratios = np.repeat([1.0, ratio], releases)
    slacks = np.repeat([0.0, slack], releases)
    log_e, _ = abort_evidence(prepared.looks, Null(ratio=ratios, slack=slacks), times=2)
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
    looks = prepared.looks
    count = looks.used.shape[1]
    centres = healthy_centres(null, bad_share, len(since), prepared.exposure)
    state = _start(prepared, centres, since)
    return promoted_now(looks.without(np.arange(count) < since[:, None]), null, state)


def healthy_centres(null: Null, bad_share: Floats | None, releases: int, exposure: Exposure = "requests") -> Floats:
    """
    Return, (N, M), the log ratios below the limit at which a release as good as stable lies.

    Unknown shares lie anywhere from 0.01 % to 10 %, unknown rates of another exposure from a tenth to a hundred times
    the slack: the same for the default slack of a share.
    """
    ratio, slack = (np.asarray(each).reshape(-1, 1) for each in (null.ratio, null.slack))
    if bad_share is not None:
        centres = np.log(ratio + slack / bad_share[:, None])
    elif exposure == "requests":
        centres = np.log(ratio + slack / UNKNOWN_SHARES[None, :])
    else:
        centres = np.log(ratio + np.where(slack > 0, 1.0, 0.0) / UNKNOWN_RATES[None, :])
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


def _beside(of_limit: float | Floats, of_equality: float, releases: int) -> Floats:
    return np.concatenate([np.broadcast_to(of_limit, releases), np.full(releases, of_equality)])


def _start(prepared: Prepared, centres: Floats, opening: Integers) -> PromoteState:
    looks = prepared.looks
    rows, opening = np.arange(len(opening)), np.minimum(opening, looks.used.shape[1] - 1)
    return promote_start(centres, looks.pod_factor[rows, opening], looks.pod_weights[rows, opening])


def _promoted(prepared: Prepared, null: Null, centres: Floats, since: Integers, opening: Integers) -> Floats:
    looks = prepared.looks
    early = np.arange(looks.used.shape[1]) < since[:, None]
    log_e, _ = promote_evidence(looks, null, _start(prepared, centres, opening), since=since)
    return np.where(early, 0.0, log_e)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Requests per second of both sides, stable's bad share, and the first look that may use them; each (N,)."""

    requests_per_second: Floats
    bad_share: Floats
    since: Integers


def traffic(prepared: Prepared, before: Integers) -> Traffic:
    """
    Return what is known of a service's traffic when proof is asked for.

    Parameters
    ----------
    prepared : Prepared
    before : (N,) int
        Without history: looks before this one are used, but at least the first 8 in which stable had traffic.

    Returns
    -------
    Traffic
        From history if it has 8 looks; else ``since`` is the look after the last one used, K if there is none.
    """
    if prepared.history.traffic is not None:
        rate, share = prepared.history.traffic
        return Traffic(requests_per_second=rate, bad_share=share, since=prepared.first)
    told = prepared.stable_looks
    count = told.shape[1]
    order = np.cumsum(told, axis=1)
    enough = order[:, -1] >= FEWEST_LOOKS
    eighth = np.where(enough, (order >= FEWEST_LOOKS).argmax(axis=1) + 1, count)
    until = np.maximum(eighth, before)
    parts = np.empty((4, *told.shape))
    parts[0], parts[1] = prepared.seconds, prepared.canary_total + prepared.stable_total
    parts[2], parts[3] = prepared.stable_total, prepared.stable_bad
    used = told & (np.arange(count) < until[:, None])
    seconds, requests, stable, bad = np.where(used, parts, 0.0).sum(axis=-1)
    return Traffic(
        requests_per_second=requests / np.where(seconds > 0, seconds, 1.0),
        bad_share=(bad + 0.5) / (stable + 1 if prepared.exposure == "requests" else np.where(stable > 0, stable, 1.0)),
        since=np.where(enough, np.maximum(until, prepared.first), count),
    )


def final_demand(prepared: Prepared, slack: float, budget: float) -> tuple[Floats, Traffic]:
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
