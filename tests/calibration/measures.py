"""What is measured of many releases: highest evidence, first looks beyond a threshold, aborts, promotions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import bdtrc

from analysis.compare.arms import Prepared, prepare
from analysis.compare.claims import final_demand, no_worse, warn_and_tolerated
from analysis.compare.counts import demanded
from analysis.evidence import Null, log_likelihood
from analysis.grid import Floats
from analysis.merging import BURST_ODDS
from analysis.policy import Alphas
from tests.calibration.services import Drawn, Service, draw

CHUNK = 250
WRONG_ONCE_IN = 1000
ALPHAS = Alphas()
RATIO, SLACK, BUDGET = 1.5, 0.001, 20.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """
    Curves of N releases.

    Parameters
    ----------
    warn, abort, promote : (N, K) float64
        log E_warn, log A*, log P.
    aborted : (N,) float64
        Look of the abort with the burst check, counted from 1; infinite if there was none.
    canary, bad : (N, K) float64
        The canary's requests and bad events.
    """

    warn: Floats
    abort: Floats
    promote: Floats
    aborted: Floats
    canary: Floats
    bad: Floats

    def first(self, curve: Floats, alpha: float) -> Floats:
        """Return, (N,), the canary requests until a curve reaches 1/alpha; infinite if it never does."""
        reached = curve >= -np.log(alpha)
        requests = np.cumsum(self.canary, axis=1)
        hit = requests[np.arange(len(curve)), reached.argmax(axis=1)]
        return np.where(reached.any(axis=1), hit, np.inf)

    def requests_to_abort(self) -> Floats:
        """Return, (N,), the canary requests until the abort."""
        requests = np.cumsum(self.canary, axis=1)
        look = np.where(np.isfinite(self.aborted), self.aborted - 1, 0).astype(int)
        return np.where(np.isfinite(self.aborted), requests[np.arange(len(look)), look], np.inf)


def run(
    service: Service, releases: int, seed: int, *, promote: bool = False, tick: Callable[[int], object] = lambda _: None
) -> Runs:
    """Draw releases and put them through the tests, a chunk at a time; ``tick`` hears how many are done."""
    parts = []
    for first in range(0, releases, CHUNK):
        count = min(CHUNK, releases - first)
        drawn = draw(service, count, np.random.default_rng([seed, first]))
        parts.append(judged(drawn, promote=promote))
        tick(count)
    return Runs(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in Runs.__slots__})


def judged(drawn: Drawn, *, promote: bool = False) -> Runs:
    """Put drawn releases through the tests; with ``promote`` through the promote process, else the abort ones."""
    shape = len(drawn.canary_bad), drawn.service.looks
    curves = {name: np.zeros(shape) for name in ("warn", "abort", "promote")}
    aborted = np.full(shape[0], np.inf)
    for rows, arms in drawn.arms(np.ones(shape[0], dtype=bool)):
        prepared = prepare(arms)
        if promote:
            final, known = final_demand(prepared, SLACK, BUDGET)
            share = known.bad_share if prepared.history.traffic is not None else None
            null = Null(ratio=RATIO, slack=final)
            curves["promote"][rows] = no_worse(prepared, null, share, known.since, prepared.first)
            continue
        warn, tolerated = warn_and_tolerated(prepared, RATIO, SLACK)
        curves["warn"][rows] = warn
        curves["abort"][rows] = demanded(warn, tolerated, ALPHAS)
        aborted[rows] = aborts(prepared, curves["abort"][rows])
    return Runs(aborted=aborted, canary=drawn.canary_total.sum(axis=1), bad=drawn.canary_bad.sum(axis=1), **curves)


def aborts(prepared: Prepared, abort: Floats) -> Floats:
    """Return, (N,), the look of each abort with the burst check, from 1; infinite if there is none."""
    found = np.full(len(abort), np.inf)
    reached = abort >= -np.log(ALPHAS.abort)
    rows = np.flatnonzero(reached.any(axis=1))
    if not len(rows):
        return found
    looks = prepared.looks.chosen(rows)
    count = abort.shape[1]
    candidate = reached[rows].argmax(axis=1)
    gain = log_likelihood(looks, 1, Null(ratio=RATIO, slack=SLACK))
    gain[np.arange(count) > candidate[:, None]] = 0.0
    node = gain.sum(axis=1).argmax(axis=1)
    own = gain[np.arange(len(rows)), :, node]
    own[np.arange(count) > candidate[:, None]] = -np.inf
    loudest = own.argmax(axis=1)
    without = looks.without(np.arange(count) == loudest[:, None])
    reduced = replace(prepared, looks=without, first=prepared.first[rows])
    left = demanded(*warn_and_tolerated(reduced, RATIO, SLACK), ALPHAS)
    stands = reached[rows] & (left >= np.log(BURST_ODDS))
    found[rows] = np.where(stands.any(axis=1), stands.argmax(axis=1) + 1.0, np.inf)
    return found


def oracle(runs: Runs, service: Service, alpha: float) -> Floats:
    """Return, (N,), the canary requests of Wald's test that knows both rates exactly."""
    good, bad = service.shares, service.shares * service.ratios + service.extra
    gain = runs.bad * np.log(bad / good) + (runs.canary - runs.bad) * np.log((1 - bad) / (1 - good))
    return runs.first(np.cumsum(gain, axis=1), alpha)


def allowed(count: int, releases: int, level: float) -> bool:
    """Return whether so many false alarms may come from a true level; wrong once in 1,000."""
    return count == 0 or bool(bdtrc(count - 1, releases, level) >= 1 / WRONG_ONCE_IN)
