"""
Where an abort process stands, and how looks move it.

The null is a belief about the pods that each look corrects; at every look a share of the bet is staked on "harm starts
now" (`analysis.evidence.abort_evidence`). Only the two short loops below go look by look: where the stakes go is one
product with the harm matrix for many looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.grid import HARM, TINY, Floats
from analysis.types import BoolArray

START_NOW: Final = 0.60
START_LATER: Final = 0.15
START_AT_STEPS: Final = 0.25
LOG_ZERO: Final = -1e300
LARGEST: Final = 1e250
"""Evidence that numbers hold; what lies beyond is kept as logarithms, which costs time."""
ROWS: Final = 16
"""Rows of one product with the harm matrix."""
MOST_ROWS: Final = 128
"""Processes of one look that are cut into such products: several questions with several edges each."""


def start_masses(steps: BoolArray, first: NDArray[np.int64]) -> Floats:
    """
    Return the share of the bet that is placed on "harm starts at this look".

    Parameters
    ----------
    steps : (N, K) bool
        Looks at which the weight had changed.
    first : (N,) int
        Index of each release's look 1; nothing is placed before it.

    Returns
    -------
    (N, K) float64
        0.60 at look 1, ``0.15/(k(k-1))`` at every later look, ``0.25 * 2**-j`` more at the j-th step. A step
        at look 1 is the release itself. The sum stays below 1 whatever happens.
    """
    number = np.arange(steps.shape[1], dtype=np.float64) - first[:, None] + 1
    later = np.where(number > 1, START_LATER / np.maximum(number * (number - 1), 1), 0.0)
    known = steps & (number > 1)
    masses = np.where(number == 1, START_NOW, later)
    if known.any():
        masses += np.where(known, START_AT_STEPS * 0.5 ** np.cumsum(known, axis=1), 0.0)
    return masses


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AbortState:
    """
    Where N abort processes stand.

    Parameters
    ----------
    null : (N, 156) float64
        Belief about the pods after the looks so far; rows sum to 1.
    harm : (N, 156) float64
        What was staked on harm, grown by what the looks said.
    logs : bool
        Whether ``harm`` is logarithms, since it once was more than `LARGEST`.
    cash : (N,) float64
        What is not staked yet.
    prior, factor, weights : (N or 1, 156), (R,), (R, 7) float64
        The belief of the last look, and the pods that it came from, of R releases with one process or more each.
    looks : int
    """

    null: Floats
    harm: Floats
    logs: bool
    cash: Floats
    prior: Floats
    factor: Floats
    weights: Floats
    looks: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stakes:
    """
    What B looks bring, time first so that each of them lies together in memory.

    Parameters
    ----------
    gain : (B, N, 156) float64
        Log likelihood ratio of every node.
    mass : (B, N, 1) float64
        Share of the bet that is staked at each look.
    priors : (M, N or 1, 156) float64
        What is believed of the pods ...
    at : (B,) int
        ... at each look.
    moved : (B, N) bool
        Where that belief is another than at the look before.
    """

    gain: Floats
    mass: Floats
    priors: Floats
    at: NDArray[np.int64]
    moved: BoolArray

    def prior(self, look: int) -> Floats:
        """Return the belief at one look, (N or 1, 156)."""
        return np.asarray(self.priors[self.at[look]])


def advance(state: AbortState, stakes: Stakes, factor: Floats, weights: Floats) -> tuple[Floats, AbortState]:
    """
    Return the log evidence at each of B looks, (N, B), and where the processes stand after them.

    Parameters
    ----------
    state : AbortState
    stakes : Stakes
    factor, weights : (R,), (R, 7) float64
        Of the pods, at the last of these looks.

    Notes
    -----
    In this order: belief moves to what is now known of the pods; harm starts here; from the second look on, or the
    pods are drawn anew here; the look is weighed. What one look does depends on nothing but the looks before it, to the
    last bit, however many are taken at once.
    """
    top = stakes.gain.max(axis=-1, keepdims=True)  # in every node alike: it cancels, and nothing overflows
    weight = np.exp(stakes.gain - top)
    before, moved, scale, null = _beliefs(state, stakes, weight)
    fresh = np.maximum(stakes.mass * _started(before, state.looks), TINY)
    weight /= scale
    cash = _cash(state.cash, stakes.mass[..., 0])
    safe, log_e, harm = 0, np.empty(cash.shape), state.harm
    if not state.logs:
        grown = _grown(harm, fresh, moved, weight)
        sums = grown.sum(axis=-1) + np.maximum(cash, TINY)
        within = (sums <= LARGEST).all(axis=1)  # neither is what is no number
        safe = len(within) if within.all() else int(within.argmin())
        log_e[:safe] = np.log(sums[:safe])
        harm = grown[safe - 1] if safe else harm
    logs = state.logs or safe < len(log_e)
    if logs and not state.logs:
        with np.errstate(divide="ignore"):
            harm = np.maximum(np.log(harm), LOG_ZERO)
    for k in range(safe, len(log_e)):
        harm = np.logaddexp(harm - np.log(moved[k]), np.log(fresh[k])) + (stakes.gain[k] - top[k] - np.log(scale[k]))
        log_e[k] = np.logaddexp(log_sum(harm), np.log(np.maximum(cash[k], TINY)))
    return log_e.T, AbortState(
        null=null,
        harm=harm.copy(),
        logs=logs,
        cash=cash[-1].copy(),  # copies: what is remembered must not keep tables of all looks alive
        prior=stakes.prior(-1).copy(),
        factor=factor.copy(),
        weights=weights.copy(),
        looks=state.looks + len(log_e),
    )


def _beliefs(state: AbortState, stakes: Stakes, weight: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """
    Return the null before each look, (B, N, 156), how far it had to be scaled there and after the look, and its end.

    ``weight`` is what the look says of each node, up to a factor per look and release.
    """
    count, releases = weight.shape[:2]
    before = np.empty(weight.shape)
    moved, scale = np.ones((count, releases, 1)), np.empty((count, releases, 1))
    kept, null, prior = 1 - stakes.mass, state.null.copy(), state.prior
    for k in range(count):
        here = stakes.moved[k]
        if here.any():
            fresh = stakes.prior(k)
            null *= fresh / prior
            np.add.reduce(null, axis=1, keepdims=True, out=moved[k])
            if not here.all():
                moved[k, ~here] = 1.0
            null /= moved[k]
            prior = fresh
        before[k] = null
        if k or state.looks:
            null *= kept[k]
            null += stakes.mass[k] * prior
        null *= weight[k]
        np.add.reduce(null, axis=1, keepdims=True, out=scale[k])
        null /= scale[k]
    return before, moved, scale, null


def _started(before: Floats, looks: int) -> Floats:
    """
    Return where harm takes what starts at each look, (B, N, 156).

    A product may round differently with its size, so that all have the same, but those of a large batch.
    """
    count, releases, nodes = before.shape
    if releases > MOST_ROWS:
        return np.asarray(before @ HARM)
    together = max(1, ROWS // releases)
    ahead, rows = looks % together, together * releases
    whole = -(-(ahead + count) // together)
    filled = np.zeros((whole * together, releases, nodes))
    filled[ahead : ahead + count] = before
    filled = filled.reshape(whole, rows, nodes)
    if rows % ROWS:
        filled = np.concatenate([filled, np.zeros((whole, -rows % ROWS, nodes))], axis=1)
    products = filled.reshape(-1, ROWS, nodes) @ HARM
    found = products.reshape(whole, -1, nodes)[:, :rows].reshape(-1, releases, nodes)
    return np.asarray(found[ahead : ahead + count])


def _grown(harm: Floats, fresh: Floats, moved: Floats, weight: Floats) -> Floats:
    """Return what is staked on harm after each look, (B, N, 156)."""
    found = np.empty(fresh.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for k, here in enumerate(found):
            np.divide(harm, moved[k], out=here)
            here += fresh[k]
            here *= weight[k]
            harm = here
    return found


def _cash(before: Floats, mass: Floats) -> Floats:
    """Return what is left after each look, (B, N)."""
    return np.cumsum(np.concatenate([before[None], -mass]), axis=0)[1:]


def log_sum(logs: Floats) -> Floats:
    """Return ``ln sum exp`` over the last axis; the largest term is taken out first, so nothing overflows."""
    top = logs.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(logs - top).sum(axis=-1)) + top[..., 0])
