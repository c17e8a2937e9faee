"""
What the replicas of both sides add up to, look by look: all that counts read of single replicas.

Goes on from look to look (`analysis.resumed`): what is read of a look never changes once the look is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.exposure import of_requests, shares_of_squares
from analysis.grid import POD_SDS, Floats
from analysis.noise import clean
from analysis.noise_over_run import Before, NoiseOverRun, NoiseState, over_more
from analysis.resumed import LARGEST_BATCH, Resumed, Trail
from analysis.types import BoolArray
from analysis.watched import Watched

if TYPE_CHECKING:
    from analysis.compare.arms import Arms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tallies:
    """
    Sums over the replicas of N releases; nobody writes into them.

    Parameters
    ----------
    canary_bad, canary_total, stable_bad, stable_total : (N, K) float64
        Of complete points; looks that are left out are 0.
    canary_pods, stable_pods : (N, K) float64
        One over the effective number of pods, of the requests so far; NaN before the first.
    inconsistent : (N, K) bool
        A side counted more bad events than requests.
    noise : NoiseOverRun
        What is learned of stable, without inconsistent looks.
    trail : Trail
        What tells all of it from others.
    """

    canary_bad: Floats
    canary_total: Floats
    stable_bad: Floats
    stable_total: Floats
    canary_pods: Floats
    stable_pods: Floats
    inconsistent: BoolArray
    noise: NoiseOverRun
    trail: Trail


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    """Requests of each replica so far, (N, R) of both sides, and where the noise stands."""

    canary: Floats
    stable: Floats
    noise: NoiseState | None


def tallies(arms: Arms) -> Tallies:
    """Return what the replicas of N releases add up to, at every look."""
    sides = (arms.canary_bad, arms.canary_total, arms.baseline_bad, arms.baseline_total)
    trail: Trail = Watched([*(side.swapaxes(1, 2) for side in sides), arms.left_out.astype(np.float64)])
    trail = trail.named(_frame(arms))
    table, _ = TALLIES.run(b"", trail, lambda first, state: _more(arms, first, state))
    columns = np.ascontiguousarray(np.moveaxis(table, 2, 0))
    return Tallies(
        canary_bad=columns[0], canary_total=columns[1], stable_bad=columns[2], stable_total=columns[3],
        canary_pods=columns[4], stable_pods=columns[5], inconsistent=columns[6] > 0,
        noise=NoiseOverRun(
            phi=columns[7], bets=columns[8] > 0, overruled=columns[9] > 0,
            pod_weights=np.ascontiguousarray(table[:, :, 10:]),
        ),
        trail=trail,
    )  # fmt: skip


TALLIES: Final[Resumed[_State]] = Resumed(shared=True)


def _frame(arms: Arms) -> bytes:
    """Return what tells these releases from others besides their looks; nothing is remembered of a large batch."""
    if len(arms.left_out) > LARGEST_BATCH:
        return b""
    history = arms.history
    frame = sha256(repr((arms.visible, arms.exposure, history.looks)).encode())
    for array in (*(history.learned or (None,)), history.bad, history.total):
        frame.update(b"-" if array is None else repr(array.shape).encode() + array.tobytes())
    return frame.digest()


def _before(arms: Arms) -> Before:
    history = arms.history
    earlier = (history.bad, history.total) if history.bad is not None and history.total is not None else None
    return Before(visible=arms.visible, known=history.learned, earlier=earlier, looks=history.looks)


def _more(arms: Arms, first: int, state: _State | None) -> tuple[Floats, _State]:
    """Return a row of figures for each look from ``first`` on."""
    nobody = (np.zeros(side.shape[:2]) for side in (arms.canary_total, arms.baseline_total))
    state = state or _State(canary=next(nobody), stable=next(nobody), noise=None)
    canary_bad, canary_total = clean(*_seen(arms, arms.canary_bad, arms.canary_total, first))
    stable_bad, stable_total = clean(*_seen(arms, arms.baseline_bad, arms.baseline_total, first))
    inconsistent = _inconsistent(arms, first, arms.left_out.shape[1])
    sound = stable_bad, stable_total
    if inconsistent.any():
        kept = ~inconsistent[:, None, :]
        sound = np.where(kept, stable_bad, 0.0), np.where(kept, stable_total, 0.0)
    canary_pods, canary = shares_of_squares(canary_total, state.canary)
    stable_pods, stable = shares_of_squares(stable_total, state.stable)
    noise, learned = over_more(
        sound[1].sum(axis=1) > 0,
        lambda looks: (sound[0][..., :looks], sound[1][..., :looks]) if first == 0 else _sound(arms, looks),
        _before(arms),
        state.noise,
    )
    narrow = [
        canary_bad.sum(axis=1), canary_total.sum(axis=1), stable_bad.sum(axis=1), stable_total.sum(axis=1),
        canary_pods, stable_pods, inconsistent, noise.phi, noise.bets, noise.overruled,
    ]  # fmt: skip
    table = np.empty((*inconsistent.shape, len(narrow) + len(POD_SDS)))
    for place, column in enumerate(narrow):
        table[:, :, place] = column
    table[:, :, len(narrow) :] = noise.pod_weights
    return table, _State(canary=canary, stable=stable, noise=learned)


def _seen(arms: Arms, bad: Floats, total: Floats, first: int, last: int | None = None) -> tuple[Floats, Floats]:
    """Return some looks of a side, those that are left out without requests."""
    left_out = arms.left_out[:, None, first:last]
    bad, total = bad[..., first:last], total[..., first:last]
    return bad, np.where(left_out, np.nan, total) if left_out.any() else total


def _inconsistent(arms: Arms, first: int, last: int) -> BoolArray:
    found = np.zeros(arms.left_out[:, first:last].shape, dtype=bool)
    shares = of_requests(arms.exposure)
    if shares.any():
        for bad, total in ((arms.canary_bad, arms.canary_total), (arms.baseline_bad, arms.baseline_total)):
            events, requests = (np.fmax(side[..., first:last], 0.0).sum(axis=1) for side in (bad, total))
            found |= shares[:, None] & (events > requests * (1 + 1e-9))
    return found


def _sound(arms: Arms, looks: int) -> tuple[Floats, Floats]:
    """Return what is learned from in the first so many looks of stable."""
    bad, total = clean(*_seen(arms, arms.baseline_bad, arms.baseline_total, 0, looks))
    kept = ~_inconsistent(arms, 0, looks)[:, None, :]
    return np.where(kept, bad, 0.0), np.where(kept, total, 0.0)
