"""
What a promote process says at its newest look, from sums that are carried from look to look.

The demand on a step follows the traffic, so that its limit is another one at every look, and all looks have to be
weighed against it again. What they add up to is linear in the slack as long as no look says so much that it is capped:
then two sums are enough, and one look more costs one look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.beliefs import beliefs
from analysis.evidence import BLOCK, INFORMATION_CAP, Integers, Looks, Null, PromoteState, grown, terms
from analysis.grid import NODES, Floats
from analysis.resumed import Resumed
from analysis.types import BoolArray

STEP: Final = np.expm1(-NODES)
"""By what a ratio at each node, below the limit's, differs from 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """
    What the looks of N releases add up to so far, each over its dispersion.

    Parameters
    ----------
    columns : (N, 313) float64
        Of each node what the events cost, of each what a slack of 1 would cost, and the events of the canary.
    largest : (N,) float64
        The slack up to which no look is capped.
    """

    columns: Floats
    largest: Floats

    @property
    def events(self) -> Floats:
        """(N, 156), of every node."""
        return self.columns[:, : len(NODES)]

    @property
    def slack(self) -> Floats:
        """(N, 156), of every node."""
        return self.columns[:, len(NODES) : -1]

    @property
    def canary(self) -> Floats:
        """(N, 1)."""
        return self.columns[:, -1:]


def promoted_now(looks: Looks, null: Null, state: PromoteState, since: Integers) -> Floats:
    """
    Return what `analysis.evidence.promote_evidence` says at the last look, up to rounding, without those before it.

    Parameters
    ----------
    looks : Looks
        N releases, K looks.
    null : Null
        ``p_c >= ratio p_s + slack``.
    state : PromoteState
        From `analysis.evidence.promote_start`.
    since : (N,) int
        The first look that may bet.

    Returns
    -------
    (N,) float64
    """
    sums = state.log_likelihood + summed_likelihood(looks, null, since)
    sums -= sums.max(axis=-1, keepdims=True)
    heard = np.exp(sums, out=sums)
    against = (heard * beliefs(looks.pod_factor[:, -1:], looks.pod_weights[:, -1:])[:, 0]).sum(axis=-1)
    return np.asarray(np.log((heard * state.alternative).sum(axis=-1)) - np.log(against))


def summed_likelihood(looks: Looks, null: Null, since: Integers) -> Floats:
    """
    Return, (N, 156), the sum of `analysis.evidence.log_likelihood` for a promotion over looks ``since …``.

    With ``r = rho n_c/(rho n_c + n_s)`` and ``G_i = ln(1 + r (e**-g_i - 1))`` a look earns
    ``-[x_c g_i + (x_c + x_s + n_s D/rho) G_i]/phi``: linear in the slack D while the cap on what one look can say does
    not change phi.
    """
    ratio, slack = (
        np.broadcast_to(np.asarray(each, dtype=np.float64), len(since)) for each in (null.ratio, null.slack)
    )
    count = looks.used.shape[1]

    def more(first: int, known: Sums | None) -> tuple[Floats, Sums]:
        sums = known or _nothing(len(since))
        size = max(1, BLOCK // len(since))
        for begin in range(first, count, size):
            part = looks.between(begin, min(begin + size, count))
            late = np.arange(begin, begin + part.used.shape[1]) >= since[:, None]
            sums = _added(sums, part, ratio[:, None], late)
        return np.zeros((len(since), count - first)), sums

    _, sums = SUMS.run(ratio.tobytes() + since.tobytes(), looks.trail, more)
    if (slack > sums.largest).any():
        return _at_once(looks.without(np.arange(count) < since[:, None]), ratio, slack)
    return np.asarray(-NODES * sums.canary - sums.events - slack[:, None] * sums.slack)


SUMS: Final[Resumed[Sums]] = Resumed(shared=True)
"""What earlier calls summed up."""


def _nothing(releases: int) -> Sums:
    return Sums(columns=np.zeros((releases, 2 * len(NODES) + 1)), largest=np.full(releases, np.inf))


def _added(sums: Sums, looks: Looks, ratio: Floats, late: BoolArray) -> Sums:
    """Return the sums with some looks more, of which those count that are ``late``, (N, K)."""
    usable = looks.used & late & (looks.total_canary > 0) & (looks.total_baseline > 0)
    exposure, other = (np.where(usable, each, 1.0) for each in (ratio * looks.total_canary, looks.total_baseline))
    share = exposure / (exposure + other)
    worth = np.where(usable, 1 / looks.phi, 0.0)
    events, pseudo = looks.bad_canary + looks.bad_baseline, other / ratio
    with np.errstate(divide="ignore"):  # of a side that has all requests, nearly: nothing caps what it can say
        room = looks.phi * INFORMATION_CAP / (share * (1 - share))
    largest = np.where(usable, (room - events) / pseudo, np.inf).min(axis=1)
    growth = np.log1p(share[..., None] * STEP)
    table = np.empty((len(share), 1 + share.shape[1], sums.columns.shape[1]))
    table[:, 0] = sums.columns
    np.multiply((events * worth)[..., None], growth, out=table[:, 1:, : len(NODES)])
    np.multiply((pseudo * worth)[..., None], growth, out=table[:, 1:, len(NODES) : -1])
    table[:, 1:, -1] = looks.bad_canary * worth
    return Sums(columns=np.add.reduce(table, axis=1), largest=np.minimum(sums.largest, largest))  # look after look


def _table(share: Floats) -> Floats:
    """Return what `analysis.evidence.grown` does of one release, (K, 156), for which it was asked a look ago."""
    return np.asarray(TABLES.run(b"", (share,), lambda seen, _: (grown(share[:, seen:], -1), None))[0][0])


TABLES: Final[Resumed[None]] = Resumed(32, shared=True)
"""What earlier calls computed where looks are capped; a table takes a megabyte, so they are few."""


def _at_once(looks: Looks, ratio: Floats, slack: Floats) -> Floats:
    """Return the same sum, (N, 156), of all looks anew."""
    found = np.empty((len(ratio), len(NODES)))
    for row in range(len(found)):
        null = Null(ratio=ratio[row : row + 1], slack=slack[row : row + 1])
        share, events, bad = terms(looks.chosen(np.array([row])), null)
        found[row] = -bad.sum() * NODES - np.einsum("k,ki->i", events[0], _table(share))
    return found
