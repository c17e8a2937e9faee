"""
The conditional-split e-process: log evidence from counts of two sides, look after look.

Of the bad events of a look, ``E = x_c + y``, the canary's share under ratio r is
``pi_r = r n_c / (r n_c + n_s)``. A bet on r against the null's ratio rho earns
``x_c ln(pi_r/pi_rho) + y ln((1-pi_r)/(1-pi_rho))``; bets are multiplied over looks and averaged over
ratios. The slack D of the null ``p_c <= rho p_s + D`` enters as pseudo-events of the other side,
``y = x_s + n_s D/rho``.

Every function takes a leading axis N of releases, so that simulation and judgement run the same lines
(N = 1 in production). Logs are natural, everywhere.

References
----------
M. Lindon, A. Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022.
J. Ville, Étude critique de la notion de collectif, 1939: P(sup e >= 1/alpha) <= alpha.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.beliefs import beliefs
from analysis.grid import NODES, Floats, alternative
from analysis.resumed import FEWEST_LOOKS, Recalled, Resumed, Trail
from analysis.stakes import AbortState, Stakes, advance
from analysis.types import BoolArray

Integers = NDArray[np.int64]

INFORMATION_CAP: Final = 128.0
BLOCK: Final = 2048  # releases x looks held on the grid at once: memory, not meaning

Sign = Literal[1, -1]
SIGNS: Final[tuple[Sign, Sign]] = (1, -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """
    Counts of N releases over K looks, with everything about them that is fixed before they are split.

    Parameters
    ----------
    bad_canary, total_canary, bad_baseline, total_baseline : (N, K) float64
        Events and requests per look; whole numbers are not required.
    used : (N, K) bool
        False: the look is skipped, it keeps its number and spends its start mass.
    phi : (N, K) float64
        Dispersion, >= 1.
    pod_factor : (N, K) float64
        ``c_k``, >= 0.
    pod_weights : (N, K, 7) float64
        Weights of the pod standard deviations.
    start_mass : (N, K) float64
        ``q_k``, from `analysis.stakes.start_masses`.
    """

    bad_canary: Floats
    total_canary: Floats
    bad_baseline: Floats
    total_baseline: Floats
    used: BoolArray
    phi: Floats
    pod_factor: Floats
    pod_weights: Floats
    start_mass: Floats
    _trail: list[Trail] = field(default_factory=list, init=False, repr=False)

    @property
    def trail(self) -> Trail:
        """What tells these looks from others, for the processes that read them."""
        if not self._trail:
            self._trail.append(Trail([getattr(self, name) for name in READ]))
        return self._trail[0]

    def between(self, first: int, last: int) -> Looks:
        """Return looks ``first <= k < last``."""
        count = self.used.shape[1]
        if (first, last) == (0, count):
            return self
        part = Looks(**{name: getattr(self, name)[:, first:last] for name in READ})
        return part.told_by(self._trail[0].after(first)) if self._trail and 0 <= first < last == count else part

    def without(self, left_out: BoolArray) -> Looks:
        """Return the same looks, those of ``left_out`` ((K,) or (N, K)) skipped: the burst check."""
        return replace(self, used=self.used & ~left_out) if left_out.any() else self

    def chosen(self, rows: Integers) -> Looks:
        """Return the releases of ``rows``, in that order; of rows that follow each other as views."""
        places = adjacent(rows)
        part = Looks(**{name: getattr(self, name)[places] for name in READ})
        return part.told_by(self._trail[0].named(rows.tobytes())) if self._trail else part

    def told_by(self, trail: Trail) -> Looks:
        """Return itself, told from others by the trail of what it was made of: its own numbers need no digest."""
        self._trail[:] = [trail]
        return self


def adjacent(rows: Integers) -> Integers | slice:
    """Return rows that follow each other as a slice, of which arrays give views; others as they are."""
    first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
    return slice(first, last + 1) if last - first == len(rows) - 1 and (rows[1:] > rows[:-1]).all() else rows


READ: Final = tuple(each.name for each in fields(Looks) if each.init)
"""What is known of a look."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Null:
    """The boundary ``p_c = ratio p_s + slack`` of a null; each a number or one per release, (N,)."""

    ratio: float | Floats = 1.0
    slack: float | Floats = 0.0

    @property
    def mark(self) -> bytes:
        """What tells it from other nulls."""
        parts = [np.asarray(value, dtype=np.float64) for value in (self.ratio, self.slack)]
        return b"".join(repr(part.shape).encode() + part.tobytes() for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromoteState:
    """Where a promote process stands: (N, 156) summed log likelihood and masses of the alternative."""

    log_likelihood: Floats
    alternative: Floats


def log_likelihood(looks: Looks, sign: Sign, null: Null, *, times: int = 1, since: Integers | None = None) -> Floats:
    """
    Return what every node of the grid earns at every look.

    Parameters
    ----------
    looks : Looks
        N releases, K looks.
    sign : {1, -1}
        1: the canary's ratio lies above the null's (abort); -1: below it (promote).
    null : Null
        Ratio and slack of the boundary.
    times : int, default 1
        Nulls of each release, all releases one after the other: then both its numbers have shape (times N,).
    since : (times N,) int, optional
        Looks before it are skipped.

    Returns
    -------
    (times N, K, 156) float64
        ``[sign g x_c - E (s(t + sign g) - s(t))] / phi_k``, ``s(z) = ln(1 + e**z)``, ``t = ln(rho n_c/n_s)``,
        ``phi_k = max(phi, E pi (1 - pi)/128)``: the cap bounds what one look can say, and depends on what is
        known before the events are split. 0 where a look is skipped.
    """
    share, events, bad = terms(looks, null, times=times, since=since)
    growth = grown(share, sign) * -events[..., None]
    growth += bad[..., None] * (sign * NODES)
    return np.asarray(growth)


def terms(looks: Looks, null: Null, *, times: int = 1, since: Integers | None = None) -> tuple[Floats, Floats, Floats]:
    """
    Return what a look's gain is made of: the canary's share, all events and its own, over phi.

    Parameters are those of `log_likelihood`, each of what is returned has shape (times N, K).
    """
    numbers = (np.asarray(each, dtype=np.float64) for each in (null.ratio, null.slack))
    ratio, slack = (each.reshape(times, -1, 1) if each.ndim else each for each in numbers)
    bad, other, exposure = looks.bad_canary, looks.total_baseline, ratio * looks.total_canary
    events = bad + (looks.bad_baseline + other * slack / ratio)
    usable = looks.used & (looks.total_canary > 0) & (other > 0)
    if since is not None and since.max(initial=0) > 0:
        usable = usable & (np.arange(usable.shape[1]) >= since.reshape(times, -1, 1))
    if not usable.all():
        bad, events = np.where(usable, bad, 0.0), np.where(usable, events, 0.0)
        exposure, other = np.where(usable, exposure, 1.0), np.where(usable, other, 1.0)
    share = exposure / (exposure + other)
    phi = np.maximum(looks.phi, events * share * (1 - share) / INFORMATION_CAP)
    shape = times * len(looks.used), looks.used.shape[1]
    return share.reshape(shape), (events / phi).reshape(shape), (bad / phi).reshape(shape)


def grown(share: Floats, sign: Sign) -> Floats:
    """Return ``ln(1 + share (e**(sign g) - 1))``, (N, K, 156); rows with the same requests are worked out once."""
    step = STEPS[sign]
    if len(share) == 1:
        return np.log1p(share[..., None] * step)
    rows = [row.tobytes() for row in share]
    first = {row: place for place, row in reversed(list(enumerate(rows)))}
    if len(first) == len(rows):
        return np.log1p(share[..., None] * step)
    places = {row: place for place, row in enumerate(first)}
    return np.log1p(share[list(first.values()), :, None] * step)[[places[row] for row in rows]]


STEPS: Final = {sign: np.expm1(sign * NODES) for sign in SIGNS}
"""By what a ratio at each node exceeds 1."""


def abort_evidence(
    looks: Looks, null: Null, state: AbortState | None = None, *, times: int = 1
) -> tuple[Floats, AbortState]:
    """
    Return the evidence that the canary's rate lies beyond the null, at every look.

    Parameters
    ----------
    looks : Looks
        N releases, K >= 1 looks.
    null : Null
        ``p_c <= ratio p_s + slack``.
    state : AbortState, optional
        Where an earlier call ended; ``looks`` then go on from there.
    times : int, default 1
        Every release is weighed so many times, all of them one after the other: several nulls as one batch.

    Returns
    -------
    log_e : (times N, K) float64
        Log of an e-process; ``log_e >= ln(1/alpha)`` at any look rejects with error at most alpha.
    state : AbortState
        To continue from.

    Notes
    -----
    The null carries a belief about the pod effect that may be drawn anew when harm may start, so that an
    unlucky pod met late is no fault; the harm part starts at every look with the masses of
    `analysis.stakes.start_masses`; what is not staked stays as cash.
    """
    if state is not None:
        return _abort(looks, null, state, times)
    count = looks.used.shape[1]

    def more(first: int, known: AbortState | None) -> tuple[Floats, AbortState]:
        return _abort(looks.between(first, count), null, known, times)

    return ABORTS.run(null.mark, looks.trail, more)


def _abort(looks: Looks, null: Null, state: AbortState | None, times: int) -> tuple[Floats, AbortState]:
    releases, count = looks.used.shape
    log_e = np.empty((times * releases, count))
    for first, last in _blocks(times * releases, count):
        part = looks.between(first, last)
        priors, at, moved = _priors(part, state)  # of each release once: the nulls share what is believed of its pods
        priors = np.concatenate([priors] * times) if 1 < len(priors) < times * releases else priors
        if state is None:
            state = _opening(part, priors[:, 0], times)
        stakes = Stakes(
            gain=log_likelihood(part, 1, null, times=times).swapaxes(0, 1),
            mass=np.concatenate([part.start_mass] * times).T[..., None],
            priors=priors.swapaxes(0, 1),
            at=at,
            moved=np.concatenate([moved] * times).T,
        )
        log_e[:, first:last], state = advance(state, stakes, part.pod_factor[:, -1], part.pod_weights[:, -1])
    assert state is not None
    return log_e, state


def _opening(part: Looks, prior: Floats, times: int) -> AbortState:
    releases = times * part.used.shape[0]
    null = np.broadcast_to(prior / prior.sum(axis=1, keepdims=True), (releases, prior.shape[1]))
    return AbortState(
        null=null,
        harm=np.zeros(null.shape),
        logs=False,
        cash=np.ones(releases),
        prior=prior,
        factor=part.pod_factor[:, 0],
        weights=part.pod_weights[:, 0],
        looks=0,
    )


def promote_start(centres: Floats, pod_factor: Floats, pod_weights: Floats) -> PromoteState:
    """
    Return a promote process before its first look.

    Parameters
    ----------
    centres : (N, M) float64
        Log ratios below the limit where a healthy release lies: ``ln(rho + D/p_s)`` for M shares p_s.
    pod_factor : (N,) float64
        ``c`` of the process's first look; it stays.
    pod_weights : (N, 7) float64
        Pod weights of its first look; they stay.
    """
    likely = ALTERNATIVES.value(
        b"", (centres, pod_factor, pod_weights), lambda: alternative(centres, pod_factor, pod_weights)
    )
    return PromoteState(log_likelihood=np.zeros_like(likely), alternative=likely)


def promote_evidence(
    looks: Looks, null: Null, state: PromoteState, *, times: int = 1, since: Integers | None = None
) -> tuple[Floats, PromoteState]:
    """
    Return the evidence that the canary's rate lies within the limit, at every look.

    Parameters
    ----------
    looks : Looks
        N releases, K looks; every look bets at once, there is no start mixture.
    null : Null
        ``p_c >= ratio p_s + slack``; with ratio 1 and slack 0 the process proves "better".
    state : PromoteState
        From `promote_start`, or where an earlier call ended.
    times : int, default 1
        Every release is weighed so many times, all of them one after the other: several nulls as one batch.
    since : (times N,) int, optional
        The first look that may bet; those before are skipped.

    Returns
    -------
    log_e : (times N, K) float64
        ``ln sum_i v_i e**L_i - ln sum_i w0_i e**L_i`` with L the summed likelihood.
    state : PromoteState
        To continue from.
    """
    count = looks.used.shape[1]
    first_bet = np.zeros(len(state.alternative), dtype=np.int64) if since is None else since
    if count < FEWEST_LOOKS:
        return _promote(looks, null, state, times, first_bet)
    opening = b"".join([null.mark, state.log_likelihood.tobytes(), state.alternative.tobytes(), first_bet.tobytes()])

    def more(first: int, known: PromoteState | None) -> tuple[Floats, PromoteState]:
        return _promote(looks.between(first, count), null, known or state, times, first_bet - first)

    return PROMOTES.run(opening, looks.trail, more)


def _promote(looks: Looks, null: Null, state: PromoteState, times: int, since: Integers) -> tuple[Floats, PromoteState]:
    releases, count = len(since), looks.used.shape[1]
    log_e, total = np.empty((releases, count)), state.log_likelihood
    for first, last in _blocks(releases, count):
        part = looks.between(first, last)
        gains = log_likelihood(part, -1, null, times=times, since=since - first)
        gains[:, 0] += total
        sums = np.cumsum(gains, axis=1, out=gains)
        total = sums[:, -1].copy()
        sums -= sums.max(axis=-1, keepdims=True)  # of both alike: it cancels, and no mass is too small to be heard
        heard = np.exp(sums, out=sums)
        priors, at, _ = _priors(part, None)
        priors = np.concatenate([priors] * times) if times > 1 and len(priors) > 1 else priors
        against = (heard * (priors if priors.shape[1] in (1, len(at)) else priors[:, at])).sum(axis=-1)
        heard *= state.alternative[:, None]
        log_e[:, first:last] = np.log(heard.sum(axis=-1)) - np.log(against)
    return log_e, PromoteState(log_likelihood=total, alternative=state.alternative)


ABORTS: Final[Resumed[AbortState]] = Resumed()
PROMOTES: Final[Resumed[PromoteState]] = Resumed()
ALTERNATIVES: Final[Recalled[Floats]] = Recalled()
"""What earlier calls computed of the same looks, to go on from."""


def _blocks(releases: int, count: int) -> Iterator[tuple[int, int]]:
    size = max(1, BLOCK // max(releases, 1))
    for first in range(0, count, size):
        yield first, min(first + size, count)


def _priors(part: Looks, state: AbortState | None) -> tuple[Floats, Integers, BoolArray]:
    """
    Return the null's beliefs about the pods, (N or 1, M, 156), which of them holds at each look, and where it moved.

    Moved, (N, K): the pods, or what is known of them, are others than at the look before.
    """
    factor, weights = part.pod_factor, part.pod_weights
    moved: BoolArray = np.zeros(factor.shape, dtype=np.bool_)
    if moved.shape[1] > 1:
        moved[:, 1:] = factor[:, 1:] != factor[:, :-1]
        moved[:, 1:] |= (weights[:, 1:] != weights[:, :-1]).any(axis=2)
    anew = np.asarray(moved.any(axis=0))
    anew[0] = True
    begun, at = anew.nonzero()[0], np.cumsum(anew) - 1
    if state is not None:
        moved[:, 0] = (factor[:, 0] != state.factor) | (weights[:, 0] != state.weights).any(axis=1)
        if len(begun) == 1 and not moved[:, 0].any():
            return state.prior[:, None], at, moved
    if len(factor) > 1 and bool((factor == factor[:1]).all()) and bool((weights == weights[:1]).all()):
        factor, weights = factor[:1], weights[:1]
    return beliefs(factor[:, begun], weights[:, begun]), at, moved
